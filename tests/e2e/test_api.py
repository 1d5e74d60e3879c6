"""Every endpoint, for every kind of caller: real answers and errors as docs/openapi.yaml has them."""

import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import tempfile

import pytest

import harness
from api import DOCUMENT, Client, Events, PASSWORD, Service, operations, routes, tls_client_context
from harness import PRISONER, ask, allow, finish, wait_for

quick = pytest.mark.quick

TCP = {"options": ["--api", "127.0.0.1:0"]}
JAILS = {"jails": {"default": {"commands": ["echo"]}, "other": {"commands": ["git"]}}}


@pytest.fixture
def service(make_warden):
    made = []

    def make(*rules, warden_options=None, **top):
        warden = make_warden(*rules, warden_options={**TCP, **(warden_options or {})}, **{**JAILS, **top})
        made.append(Service(warden))
        return made[-1]

    yield make
    for entry in made:
        entry.close()


# The document and the program.


def test_the_document_knows_every_route_and_no_other():
    documented, routed = set(operations()), set(routes())
    assert documented == routed, {"not documented": routed - documented, "not there": documented - routed}


def test_the_document_says_who_may():
    for key, needs in routes().items():
        operation = operations()[key]
        public = operation.get("security") == []
        assert public == (needs in ("NOTHING", "NOBODY")), key
        named = re.search(r"Needs the role (\w+)\.", operation.get("description", ""))
        assert (named.group(1) if named else "viewer") == needs.lower() or public, key


def test_the_document_is_whole():
    text = json.dumps(DOCUMENT)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        node = DOCUMENT
        for part in reference.split("/"):
            node = node[part]
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert name in ("Record",) or "additionalProperties" in schema or "oneOf" in schema or \
            schema.get("type") in ("string", "array"), name
    with open(os.path.join(harness.ROOT, "meson.build"), encoding="utf-8") as file:
        assert f"version: '{DOCUMENT['info']['version']}'" in file.read()


# Who may do what.


CALLS = {  # a call of each route that changes nothing, whatever comes of it
    ("GET", "/healthz"): ("/healthz", None),
    ("GET", "/readyz"): ("/readyz", None),
    ("GET", "/metrics"): ("/metrics", None),
    ("POST", "/api/login"): ("/api/login", {"user": "nobody"}),
    ("POST", "/api/logout"): ("/api/logout", {"no": "member"}),
    ("POST", "/api/password"): ("/api/password", {"no": "member"}),
    ("GET", "/api/session"): ("/api/session", None),
    ("GET", "/api/status"): ("/api/status", None),
    ("GET", "/api/queue"): ("/api/queue", None),
    ("POST", "/api/queue/{}/approve"): ("/api/queue/NOSUCH/approve", {}),
    ("POST", "/api/queue/{}/deny"): ("/api/queue/NOSUCH/deny", {}),
    ("GET", "/api/containers"): ("/api/containers", None),
    ("GET", "/api/grants"): ("/api/grants", None),
    ("DELETE", "/api/grants/{}"): ("/api/grants/G-NOSUCH", None),
    ("POST", "/api/kill"): ("/api/kill", {"jail": "nowhere"}),
    ("POST", "/api/pause"): ("/api/pause", {"jail": "nowhere"}),
    ("POST", "/api/resume"): ("/api/resume", {"jail": "nowhere"}),
    ("GET", "/api/jails"): ("/api/jails", None),
    ("GET", "/api/jails/{}"): ("/api/jails/other", None),
    ("POST", "/api/jails"): ("/api/jails", {"name": "other"}),
    ("PATCH", "/api/jails/{}"): ("/api/jails/other", {"add": ["ls"]}),
    ("DELETE", "/api/jails/{}"): ("/api/jails/other", None),
    ("GET", "/api/policy"): ("/api/policy", None),
    ("POST", "/api/policy/test"): ("/api/policy/test", {"jail": "other", "uid": 1, "gid": 1, "cwd": "/tmp",
                                                          "argv": ["echo", "x"]}),
    ("POST", "/api/policy/reload"): ("/api/policy/reload", None),
    ("GET", "/api/history"): ("/api/history", None),
    ("GET", "/api/events"): ("/api/events?last_event_id=x", None),
    ("GET", "/api/tokens"): ("/api/tokens", None),
    ("POST", "/api/tokens"): ("/api/tokens", {"name": "x"}),
    ("DELETE", "/api/tokens/{}"): ("/api/tokens/aaaaaaaaaaaa", None),
    ("GET", "/api/users"): ("/api/users", None),
    ("POST", "/api/users"): ("/api/users", {"name": "x"}),
    ("PATCH", "/api/users/{}"): ("/api/users/nobody", {"role": "viewer"}),
    ("DELETE", "/api/users/{}"): ("/api/users/nobody", None),
}
RANK = {"viewer": 1, "approver": 2, "admin": 3}


def expected(needs, role):
    """Whether the gate lets them through: what the handler says then is another matter."""
    return needs in ("NOTHING", "NOBODY") or (role is not None and RANK[role] >= RANK[needs.lower()])


@quick
def test_every_route_for_every_kind_of_caller(service):
    api = service(allow("echo"))
    for role in RANK:
        api.make_user(f"user-{role}", role)
    revoked = api.make_token("revoked", "admin")
    api.operator.ok("DELETE", f"/api/tokens/{revoked['id']}")
    expired = api.make_token("expired", "admin", expires_in_ms=1000)
    callers = {"nobody": (api.nobody, None), "operator": (api.operator, "admin"),
               "revoked": (api.bearer(revoked["token"]), None),
               "unknown": (api.bearer("clw_" + "a" * 12 + "_" + "A" * 43), None),
               "jailed viewer": (api.token("jailed-viewer", "viewer", jails=["other"]), "viewer"),
               "jailed approver": (api.token("jailed-approver", "approver", jails=["other"]), "approver")}
    for role in RANK:
        callers[f"token {role}"] = (api.token(f"token-{role}", role), role)
        callers[f"session {role}"] = (api.login(f"user-{role}"), role)
    wait_for(lambda: api.bearer(expired["token"]).get("/api/status").status == 401, what="the expiry")
    callers["expired"] = (api.bearer(expired["token"]), None)

    assert set(CALLS) == set(routes())
    for name, (client, role) in callers.items():
        for key, needs in routes().items():
            path, body = CALLS[key]
            answer = client.call(key[0], path, body)
            if expected(needs, role):
                assert answer.status not in (401, 403) or name.startswith("jailed"), (name, answer)
            elif role is None:
                assert answer.status == 401 and answer.headers["WWW-Authenticate"], (name, answer)
            else:
                assert answer.status == 403 and answer.code == "role", (name, answer)
        assert client.get("/api/nothing").status == (401 if role is None else 404)


def test_heads_and_methods(service):
    api = service(allow("echo"))
    viewer = api.token("viewer", "admin")
    for (method, path), _ in routes().items():
        if method == "GET" and "{}" not in path and path != "/api/events":
            answer = viewer.call("HEAD", path)
            assert answer.status == 200 and answer.body == b"", answer
    answer = viewer.call("PUT", "/api/users/x", b"", check=False)
    assert answer.status == 405 and answer.headers["Allow"] == "PATCH, DELETE", answer.headers
    answer = viewer.call("PATCH", "/api/tokens", {}, check=False)
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD, POST", answer.headers


def test_queries_are_read_strictly(service):
    api = service(allow("echo"))
    viewer = api.token("viewer")
    for path in ("/api/status?x=1", "/api/queue?limit=0", "/api/queue?limit=1001", "/api/queue?limit=-1",
                 "/api/queue?limit=01", "/api/queue?limit=1&limit=1", "/api/queue?limit", "/api/queue?Limit=1",
                 "/api/queue?limit=%", "/api/queue?limit=%00", "/api/queue?after=", "/api/queue?&",
                 "/api/history?limit=1001", "/api/history?before=x", "/api/history?since=yesterday",
                 "/api/history?format=xml", "/api/history?q=%ff", "/api/events?last_event_id=1x",
                 "/api/events?last_event_id=-1", "/metrics?x=1", "/api/queue?limit=1;after=2"):
        answer = viewer.get(path, check=False)
        assert answer.status == 400 and answer.code in ("bad_query", "bad_request"), answer
    assert viewer.get("/api/queue?limit=%31").status == 200


# Questions, grants, jails, the policy.


def test_a_question_from_arrival_to_grant(service):
    api = service(ask("touch"), allow("echo"))
    warden, approver = api.warden, api.token("approver", "approver")
    process = warden.spawn("touch", "one", stdin=subprocess.DEVNULL)
    queue = wait_for(lambda: (found := approver.ok("GET", "/api/queue"))["pending"] and found)
    question = queue["pending"][0]
    assert queue["total"] == 1 and question["may_decide"] and question["argv"] == ["touch", "one"]
    assert api.token("viewer").ok("GET", "/api/queue")["pending"][0]["may_decide"] is False

    for body in ({"for_ms": 999}, {"for_ms": "1h"}, {"session": False}, {"widened": True},
                 {"for_ms": 60000, "session": True}, {"reason": 1}, {"grant": True}):
        assert approver.post(f"/api/queue/{question['id']}/approve", body).status == 400, body
    given = approver.ok("POST", f"/api/queue/{question['id']}/approve", {"for_ms": 60000, "reason": "go"})
    assert given["decision"] == "approved" and given["ran"] == 1
    assert given["grant"]["covers"] == question["grant"]["exact"]
    assert finish(process).code == 0
    again = approver.post(f"/api/queue/{question['id']}/deny", {})
    assert again.status == 409 and again.code == "over"

    assert warden.shim("touch", "one").code == 0, "the grant answers"
    grants = approver.ok("GET", "/api/grants")["grants"]
    assert len(grants) == 1 and grants[0]["used"] == 1 and grants[0]["approver"] == "approver"
    assert approver.ok("DELETE", f"/api/grants/{grants[0]['id']}") == {"id": grants[0]["id"], "revoked": True}
    assert approver.delete(f"/api/grants/{grants[0]['id']}").status == 404
    assert approver.ok("GET", "/api/grants") == {"grants": []}
    decided = warden.recorded(event="decided")
    assert decided["approver"] == "approver" and decided["via"] == "api" and decided["reason"] == "go"

    process = warden.spawn("touch", "two", stdin=subprocess.DEVNULL)
    question = wait_for(lambda: approver.ok("GET", "/api/queue?limit=1")["pending"])[0]
    denied = approver.ok("POST", f"/api/queue/{question['id']}/deny", {"reason": "not today"})
    assert denied == {"id": question["id"], "decision": "denied", "refused": 1}
    assert "not today" in finish(process).stderr


def test_pages_of_the_queue(service):
    api = service(ask("touch"), jails={"default": {"limits": {"pending": 30}}})
    processes = [api.warden.spawn("touch", str(number), stdin=subprocess.DEVNULL) for number in range(5)]
    viewer = api.token("viewer")
    wait_for(lambda: viewer.ok("GET", "/api/queue")["total"] == 5)
    seen, after = [], ""
    while after is not None:
        page = viewer.ok("GET", "/api/queue?limit=2" + (f"&after={after}" if after else ""))
        assert len(page["pending"]) <= 2
        seen += [entry["id"] for entry in page["pending"]]
        after = page["next"]
    assert len(seen) == 5 == len(set(seen))
    api.operator.ok("POST", "/api/kill", {"all": True})
    for process in processes:
        assert finish(process).code != 0


def test_jails_and_their_switch(service):
    api = service(allow("echo", "sleep"))
    approver = api.token("approver", "approver")
    assert {jail["name"] for jail in approver.ok("GET", "/api/jails")["jails"]} == {"default", "other"}
    assert approver.ok("GET", "/api/jails/other")["commands"] == ["git"]
    assert approver.get("/api/jails/nowhere").status == 404
    process = api.warden.spawn("sleep", "100", stdin=subprocess.DEVNULL)
    wait_for(lambda: approver.ok("GET", "/api/jails/default")["running"] == 1)
    assert approver.ok("POST", "/api/kill", {"jail": "default"}) == {
        "state": "killed", "jails": ["default"], "killed": 1, "cancelled": 0, "frozen": 0, "resumed": 0,
        "until": None, "alive": 0, "saved": True, "containers": 0, "failed": []}
    assert finish(process).code != 0
    assert approver.ok("GET", "/api/jails/default")["paused"] is True
    assert approver.ok("POST", "/api/resume", {"jail": "default"})["jails"] == ["default"]
    assert api.warden.shim("echo", "x").code == 0


def test_the_policy(service):
    api = service(allow("echo"))
    viewer, admin = api.token("viewer"), api.token("admin", "admin")
    text = viewer.ok("GET", "/api/policy")
    assert json.loads(text["text"])["version"] == 1
    verdict = viewer.ok("POST", "/api/policy/test", {"jail": "default", "uid": 1, "gid": 1, "cwd": "/tmp",
                                                      "argv": ["echo", "x"]})
    assert verdict["action"] == "allow" and verdict["explanation"]
    for body in ({}, {"jail": "default"}, {"jail": "default", "uid": -1, "gid": 1, "cwd": "/", "argv": ["x"]},
                 {"jail": "default", "uid": 1, "gid": 1, "cwd": "/", "argv": []},
                 {"jail": "default", "uid": 1, "gid": 1, "cwd": "tmp", "argv": ["x"]},
                 {"jail": "default", "uid": 1, "gid": 1, "cwd": "/", "argv": [1]}):
        assert viewer.post("/api/policy/test", body).status == 400, body
    assert admin.ok("POST", "/api/policy/reload")["policy"]["error"] is None
    api.warden.write_policy("version: 1\nrules: 5\n")
    refused = admin.post("/api/policy/reload")
    assert refused.status == 422 and "rules" in refused.json["error"]
    assert isinstance(viewer.ok("GET", "/api/status")["policy"]["error"], str)


def test_a_scope_is_all_that_is_seen(service):
    api = service(ask("touch"), allow("echo"))
    warden = api.warden
    jailed = api.token("jailed", "approver", jails=["other"])
    mine = warden.spawn("touch", "mine", jail="other", stdin=subprocess.DEVNULL)
    other = warden.spawn("touch", "theirs", stdin=subprocess.DEVNULL)
    everything = wait_for(lambda: (found := api.operator.ok("GET", "/api/queue"))["total"] == 2 and found)
    theirs = next(entry["id"] for entry in everything["pending"] if entry["jail"] == "default")
    queue = jailed.ok("GET", "/api/queue")
    assert queue["total"] == 1 and [entry["jail"] for entry in queue["pending"]] == ["other"]
    assert [jail["name"] for jail in jailed.ok("GET", "/api/jails")["jails"]] == ["other"]
    assert [jail["name"] for jail in jailed.ok("GET", "/api/status")["jails"]] == ["other"]
    for verb in ("approve", "deny"):
        assert jailed.post(f"/api/queue/{theirs}/{verb}", {}).status == 404
    assert jailed.get("/api/jails/default").status == 404
    assert jailed.post("/api/kill", {"jail": "default"}).status == 404
    assert jailed.get("/api/policy").status == 403
    records = jailed.ok("GET", "/api/history?limit=1000")["records"]
    assert records and all(record["jail"] == "other" for record in records)
    assert jailed.ok("GET", "/api/session")["jails"] == ["other"]
    lines = jailed.get("/api/history?format=jsonl").body.splitlines()
    assert len(lines) == len(jailed.ok("GET", "/api/history?limit=1000")["records"]) > 0
    killed = jailed.ok("POST", "/api/kill", {"all": True})
    assert killed["jails"] == ["other"] and killed["cancelled"] == 1
    assert finish(mine).code != 0 and other.poll() is None
    api.operator.ok("POST", f"/api/queue/{theirs}/deny", {})
    finish(other)


# Tokens, users, sessions.


def test_tokens(service):
    api = service(allow("echo"))
    for body, code in (({}, "bad_name"), ({"name": "x y", "role": "viewer"}, "bad_name"),
                       ({"name": "-x", "role": "viewer"}, "bad_name"), ({"name": "x", "role": "root"}, "bad_role"),
                       ({"name": "x", "role": "viewer", "jails": []}, "bad_jails"),
                       ({"name": "x", "role": "viewer", "jails": ["UP"]}, "bad_jails"),
                       ({"name": "x", "role": "admin", "jails": ["default"]}, "bad_jails"),
                       ({"name": "x", "role": "viewer", "via": "cli"}, "bad_via"),
                       ({"name": "x", "role": "viewer", "expires_in_ms": 1}, "bad_expiry"),
                       ({"name": "x", "role": "viewer", "expires_in_ms": 10 ** 15}, "bad_expiry"),
                       ({"name": "x", "role": "viewer", "extra": 1}, "unknown_member")):
        answer = api.operator.post("/api/tokens", body)
        assert answer.status == 400 and answer.code == code, (body, answer)
    made = api.make_token("bridge", "approver", via="slack", jails=["other", "default"], expires_in_ms=3600000)
    assert re.fullmatch(r"clw_[a-z2-9]{12}_[A-Za-z0-9_-]{43}", made["token"])
    assert api.operator.post("/api/tokens", {"name": "bridge", "role": "viewer"}).status == 409
    client = api.bearer(made["token"])
    session = client.ok("GET", "/api/session")
    assert session["via"] == "slack" and session["jails"] == ["other", "default"] and session["csrf"] is None
    listed = api.operator.ok("GET", "/api/tokens")["tokens"]
    assert len(listed) == 1 and listed[0]["last_used_at"]
    assert listed[0]["created_by"].endswith(f"uid {api.warden.user})")
    assert made["token"][17:] not in json.dumps(listed)
    store = open(os.path.join(api.warden.state_dir, "api", "auth.json"), encoding="utf-8").read()
    assert made["token"][17:] not in store and made["id"] in store
    assert os.stat(os.path.join(api.warden.state_dir, "api", "auth.json")).st_mode & 0o777 == 0o600
    api.operator.ok("DELETE", f"/api/tokens/{made['id']}")
    assert client.get("/api/session").status == 401
    assert api.operator.delete(f"/api/tokens/{made['id']}").status == 404
    messages = [record["message"] for record in api.warden.journal(event="config")]
    assert any("token bridge" in text and "created" in text for text in messages)
    assert any("token bridge" in text and "revoked" in text for text in messages)


def test_an_operator_who_sends_a_token_speaks_as_it(service):
    api = service(allow("echo"))
    made = api.make_token("bridge", "viewer", via="telegram")
    client = api.client(f"unix:{api.warden.api_socket}", {"Authorization": f"Bearer {made['token']}"})
    assert client.ok("GET", "/api/session")["via"] == "telegram"
    assert client.get("/api/tokens").status == 403
    wrong = api.client(f"unix:{api.warden.api_socket}", {"Authorization": "Bearer clw_nonsense"})
    assert wrong.get("/api/session").status == 401


def test_users_and_sessions(service):
    api = service(allow("echo"))
    for body, code in (({}, "bad_name"), ({"name": "a", "role": "viewer", "password": "short"}, "bad_password"),
                       ({"name": "a", "role": "viewer"}, "bad_password"), ({"name": "a", "password": PASSWORD},
                                                                           "bad_role"),
                       ({"name": "a", "role": "viewer", "password": "x" * 1025}, "bad_password")):
        answer = api.operator.post("/api/users", body)
        assert answer.status == 400 and answer.code == code, (body, answer)
    user = api.make_user("alice", "approver")
    assert user["sessions"] == 0 and user["last_login_at"] is None
    assert api.operator.post("/api/users", {"name": "alice", "role": "viewer", "password": PASSWORD}).status == 409
    assert api.operator.post("/api/tokens", {"name": "alice", "role": "viewer"}).status == 409
    alice = api.login("alice")
    session = alice.ok("GET", "/api/session")
    assert session["name"] == "alice" and session["via"] == "dashboard" and session["csrf"]
    assert alice.post("/api/kill", {"jail": "nowhere"}).status == 404, "an approver, with her CSRF text"
    assert api.operator.ok("GET", "/api/users")["users"][0]["sessions"] == 1

    # A change of the user ends her sessions.
    assert api.operator.patch("/api/users/alice", {}).status == 400
    assert api.operator.ok("PATCH", "/api/users/alice", {"role": "viewer", "jails": ["other"]})["role"] == "viewer"
    assert alice.get("/api/session").code == "session_over"
    alice = api.login("alice")
    assert alice.ok("GET", "/api/session")["jails"] == ["other"]
    assert api.operator.patch("/api/users/alice", {"role": "admin"}).code == "bad_jails"
    api.operator.ok("PATCH", "/api/users/alice", {"password": "another password"})
    assert alice.get("/api/session").status == 401
    assert api.nobody.post("/api/login", {"user": "alice", "password": PASSWORD}).status == 401
    alice = api.login("alice", "another password")

    # Logging out.
    assert alice.ok("POST", "/api/logout") == {"ok": True}
    assert alice.get("/api/session").status == 401
    assert api.token("t").post("/api/logout").code == "no_session"
    alice = api.login("alice", "another password")
    assert api.operator.ok("DELETE", "/api/users/alice") == {"name": "alice", "deleted": True}
    assert alice.get("/api/session").status == 401
    assert api.operator.delete("/api/users/alice").status == 404
    messages = [record["message"] for record in api.warden.journal(event="login")]
    for words in ("logged in: alice", "a login failed: alice", "logged out: alice"):
        assert any(words in text for text in messages), messages


def test_identities_survive_a_restart_and_sessions_do_not(service):
    api = service(allow("echo"))
    token = api.make_token("keeper", "viewer")["token"]
    api.make_user("alice")
    alice = api.login("alice")
    api.warden.restart()
    url = api.warden.url
    client = api.client(url, {"Authorization": f"Bearer {token}"})
    assert client.ok("GET", "/api/session")["name"] == "keeper"
    assert api.client(url, alice.headers).get("/api/session").status == 401
    again = api.client(url).post("/api/login", {"user": "alice", "password": PASSWORD})
    assert again.status == 200


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version":1,"tokens":[],"users":[{"name":"x"}]}',
                                    b'{"version":2,"tokens":[],"users":[]}', b"\xff" * 100])
def test_a_damaged_store_shuts_tcp_and_is_left_alone(service, damage):
    api = service(allow("echo"))
    token = api.make_token("keeper", "admin")["token"]
    path = os.path.join(api.warden.state_dir, "api", "auth.json")
    api.warden.terminate()
    with open(path, "wb") as file:
        file.write(damage)
    api.warden.start()
    assert "auth.json" in api.warden.log() and "repaired or removed" in api.warden.log()
    client = api.client(api.warden.url, {"Authorization": f"Bearer {token}"})
    answer = client.get("/api/status")
    assert answer.status == 503 and answer.code == "no_identities"
    assert client.get("/healthz").status == 200
    assert api.client(api.warden.url).post("/api/login", {"user": "a", "password": "b"}).status == 503
    operator = api.client(f"unix:{api.warden.api_socket}")
    assert operator.get("/api/status").status == 200
    assert operator.get("/api/tokens").code == "no_identities"
    assert operator.post("/api/tokens", {"name": "x", "role": "viewer"}).status == 503
    with open(path, "rb") as file:
        assert file.read() == damage
    assert api.warden.shim("echo", "x").code == 0


# Where it listens.


def certificate(directory):
    """A self-signed one for localhost and 127.0.0.1."""
    key, cert = str(directory / "key.pem"), str(directory / "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True, timeout=60)
    os.chmod(key, 0o600)
    return cert, key


@pytest.fixture
def trusted(make_warden):  # pylint: disable=unused-argument
    """A directory that only root can write, all the way up; removed afterwards."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="clwd-tls-", dir="/root" if harness.IS_ROOT else None))
    yield path
    shutil.rmtree(path)


@pytest.mark.root
def test_tls(service, trusted):
    cert, key = certificate(trusted)
    api = service(allow("echo"), warden_options={
        "options": ["--api", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key]})
    assert api.url.startswith("https://")
    context = tls_client_context(cert)
    nobody = api.client(tls=context)
    assert nobody.get("/healthz").status == 200
    assert nobody.get("/api/status").status == 401
    token = api.make_token("t")["token"]
    client = api.client(headers={"Authorization": f"Bearer {token}"}, tls=context)
    assert client.ok("GET", "/api/session")["name"] == "t"
    api.make_user("alice")
    answer = nobody.post("/api/login", {"user": "alice", "password": PASSWORD})
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-clawrden_session=") and "; Secure" in cookie
    # The cookie of the unencrypted service is worth nothing here.
    value = cookie.partition("=")[2].partition(";")[0]
    assert api.client(headers={"Cookie": f"clawrden_session={value}"}, tls=context).get("/api/session").status == 401
    assert api.client(headers={"Cookie": f"__Host-clawrden_session={value}"},
                      tls=context).get("/api/session").status == 200
    view = Events(client)
    api.warden.shim("echo", "over TLS")
    assert view.until(lambda event: event[1] == "ended")
    view.close()
    with pytest.raises(OSError):  # no plain text here
        Client(f"http://127.0.0.1:{api.port}").get("/healthz")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        Client(api.url, tls=old).get("/healthz")

    # A renewed certificate is taken up without a restart.
    certificate(trusted)
    api.warden.reload()
    fresh = tls_client_context(cert)

    def is_served():
        try:
            return Client(api.url, tls=fresh).get("/healthz").status == 200
        except ssl.SSLError:
            return False

    wait_for(is_served, what="the new certificate")


def refused(make_warden, *options, environment=None):
    warden = make_warden(allow("true"), warden_options={"start": False, "options": list(options),
                                                        "environment": environment or {}})
    warden.launch()
    status = warden.process.wait(harness.PATIENCE)
    assert status != 0
    return warden, warden.log()


def test_no_clear_text_off_loopback(make_warden):
    for where in ("0.0.0.0:0", "[::]:0"):
        warden, log = refused(make_warden, "--api", where)
        assert "--tls-cert" in log and "127.0.0.1" in log, log
        assert not os.path.exists(warden.run_dir) and not os.path.exists(warden.state_dir)


def test_addresses_that_are_none(make_warden):
    for where in ("8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "example.org:80", "::1:80",
                  "127.0.0.1:http", "http://127.0.0.1:80"):
        _, log = refused(make_warden, "--api", where)
        assert "ADDR:PORT" in log, (where, log)


@pytest.mark.root
def test_keys_that_everybody_can_read(make_warden, trusted):
    cert, key = certificate(trusted)
    os.chmod(key, 0o644)
    _, log = refused(make_warden, "--api", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
    assert "everybody can read this key" in log
    os.chmod(key, 0o600)
    os.chmod(cert, 0o600)
    _, log = refused(make_warden, "--api", "127.0.0.1:0", "--tls-cert", key, "--tls-key", cert)
    assert "PEM" in log
    _, log = refused(make_warden, "--api", "127.0.0.1:0", "--tls-cert", cert)
    assert "belong together" in log
    os.chown(key, PRISONER, PRISONER)
    _, log = refused(make_warden, "--api", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
    assert "others own it" in log


def test_a_port_that_is_taken(make_warden, service):
    api = service(allow("echo"))
    warden, log = refused(make_warden, "--api", f"127.0.0.1:{api.port}")
    assert "something listens there already" in log and "--api none" in log
    assert not os.path.exists(warden.run_dir), "a failed start leaves nothing behind"


def test_no_listener_at_all(make_warden):
    warden = make_warden(allow("echo"))
    assert "http://" not in warden.log()
    assert warden.status()["version"]


def test_ipv6_and_the_api_again(service):
    api = service(allow("echo"), warden_options={"options": ["--api", "[::1]:0"]})
    assert api.url.startswith("http://[::1]:")
    token = api.make_token("t")["token"]
    client = api.client(headers={"Authorization": f"Bearer {token}"})
    assert client.get("/api/status").status == 200
    # The parent keeps the listener: an api that ends comes back at the same address.
    harness.kill_quietly(api.warden.process_of("api"))

    def answers():
        try:
            return api.client(headers=client.headers).get("/api/status").status == 200
        except OSError:
            return False

    wait_for(answers, what="the api again")


def test_metrics(service):
    api = service(allow("echo"))
    api.warden.shim("echo", "x")
    text = api.token("prometheus").get("/metrics").body.decode()
    values = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP clawrden_\w+ .+|TYPE clawrden_\w+ (gauge|counter))", line), line
        else:
            name, value = re.fullmatch(r"(clawrden_\w+(?:\{\w+=\"[a-z0-9._,=\"-]+\"\})?) (\S+)", line).groups()
            assert name not in values
            values[name] = float(value)
    assert values["clawrden_requests_allowed_total"] == 1 and values["clawrden_up"] == 1
    assert values['clawrden_switches{state="killed",scope="all"}'] == 0
    assert values['clawrden_jail_paused{jail="other"}'] == 0 and values["clawrden_journal_healthy"] == 1
    types = re.findall(r"# TYPE (\w+)", text)
    assert len(types) == len(set(types))


def test_the_dashboards_files(service):
    api = service(allow("echo"))
    page = api.nobody.get("/", check=False)
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert page.headers["Cache-Control"] == "no-cache"
    again = api.nobody.get("/", headers={"If-None-Match": page.headers["ETag"]}, check=False)
    assert again.status == 304 and again.body == b""
    assert api.nobody.call("HEAD", "/main.js", check=False).status == 200
    assert api.nobody.get("/?x=1").status == 401
    assert api.nobody.post("/", {}).status == 401
    operator = api.operator.get("/", check=False)
    assert operator.status == 404, "the unix socket serves no pages"


def test_times_are_kept(service):
    """The time of a token's last use is written now and then, and at the end."""
    api = service(allow("echo"))
    made = api.make_token("t")
    path = os.path.join(api.warden.state_dir, "api", "auth.json")
    api.bearer(made["token"]).ok("GET", "/api/session")
    api.warden.terminate()
    with open(path, encoding="utf-8") as file:
        assert json.load(file)["tokens"][0]["last_used_at"]
