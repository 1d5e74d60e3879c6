"""Becoming somebody without being them: forged requests, stolen and stale identities, guessing."""

import json
import os
import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import harness
from api import CSRF, PASSWORD, Service, routes
from harness import allow, ask, finish, wait_for


@pytest.fixture
def service(make_warden):
    made = []

    def make(*rules, options=(), **top):
        warden = make_warden(*rules, warden_options={"options": ["--api", "127.0.0.1:0", *options]}, **top)
        made.append(Service(warden))
        return made[-1]

    yield make
    for entry in made:
        entry.close()


def every_call():
    """A request of each route that needs somebody."""
    for (method, path), needs in routes().items():
        if needs not in ("NOTHING", "NOBODY"):
            yield method, path.replace("{}", "x"), {} if method in ("POST", "PATCH") else None


# Requests that a browser makes for somebody else's page.


def test_a_session_alone_changes_nothing(service):
    api = service(ask("touch"))
    api.make_user("alice", "admin")
    alice = api.login("alice")
    csrf = alice.headers.pop(CSRF)
    process = api.warden.spawn("touch", "mark", stdin=-3)
    question = wait_for(lambda: alice.ok("GET", "/api/queue")["pending"])[0]
    other = api.login("alice").headers[CSRF]
    for headers in ({}, {CSRF: ""}, {CSRF: csrf[:-1]}, {CSRF: csrf + "x"}, {CSRF: csrf[::-1]}, {CSRF: "x" * len(csrf)},
                    {CSRF: other}):
        for path in (f"/api/queue/{question['id']}/approve", "/api/kill", "/api/tokens", "/api/logout"):
            answer = alice.post(path, {}, headers=headers)
            assert answer.status == 403 and answer.code == "csrf", (path, headers, answer)
        for method, path, body in every_call():
            if method not in ("GET", "HEAD"):
                assert alice.call(method, path, body, headers=headers).status == 403, (method, path)
    assert process.poll() is None
    # Forms cannot send JSON, nor this header.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = alice.post("/api/kill", b'{"all":true}', headers={CSRF: csrf, "Content-Type": kind})
        assert answer.status == 415, answer
    alice.headers[CSRF] = csrf
    alice.ok("POST", f"/api/queue/{question['id']}/deny", {})
    finish(process)


def test_pages_of_other_origins(service):
    api = service(allow("echo"))
    api.make_user("alice", "admin")
    alice = api.login("alice")
    own = f"http://127.0.0.1:{api.port}"
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": f"http://127.0.0.1:{api.port + 1}"},
                    {"Origin": "http://localhost.evil.example"}, {"Origin": own + ".evil.example"}, {"Origin": ""},
                    {"Origin": f"file://127.0.0.1:{api.port}"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Sec-Fetch-Site": "same-site"}, {"Origin": own, "Sec-Fetch-Site": "cross-site"}):
        answer = alice.post("/api/resume", {"all": True}, headers=headers)
        assert answer.status == 403 and answer.code == "cross_origin", (headers, answer)
        assert alice.get("/api/status", headers=headers).status == 403, headers
        # Neither can somebody be logged in as somebody else.
        login = api.nobody.post("/api/login", {"user": "alice", "password": PASSWORD}, headers=headers)
        assert login.status == 403 and "Set-Cookie" not in login.headers, headers
    for headers in ({"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": own}):
        assert alice.post("/api/resume", {"all": True}, headers=headers).status == 200, headers
    # A preflight is not answered with anything that a browser could take for a permission.
    answer = api.nobody.call("OPTIONS", "/api/kill", check=False,
                             headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"})
    assert answer.status == 401 and not [name for name in answer.headers if name.startswith("Access-Control")]


# Identities that are not, or not any more.


def test_no_identity_no_answer(service):
    api = service(allow("echo"))
    good = api.make_token("good", "admin")["token"]
    identifier, secret = good[4:16], good[17:]
    wrong = [None, "", "Bearer", "Bearer ", f"Basic {good}", good, f"Bearer {good[:-1]}", f"Bearer {good}x",
             f"Bearer  {good}", f"Bearer {good.upper()}", f"Bearer clw_{identifier}_{secret[::-1]}",
             f"Bearer clw_{'a' * 12}_{secret}", f"Bearer {identifier}", f"Bearer {secret}",
             f"Bearer {good},{good}", f"Bearer {good} {good}", "Bearer clw_" + "'" * 56]
    for header in wrong:
        client = api.client(headers={"Authorization": header} if header is not None else {})
        for method, path, body in every_call():
            answer = client.call(method, path, body)
            assert answer.status == 401, (header, answer)
    assert api.bearer(good).get("/api/tokens").status == 200


def test_an_expired_token_opens_nothing(service):
    api = service(allow("echo"))
    client = api.token("short", "admin", expires_in_ms=1500)
    assert client.get("/api/tokens").status == 200
    wait_for(lambda: client.get("/api/session").status == 401, what="the expiry")
    for method, path, body in every_call():
        answer = client.call(method, path, body)
        assert answer.status == 401 and answer.code == "token_expired", answer


def test_a_revoked_token_opens_nothing(service):
    api = service(allow("echo"))
    made = api.make_token("t", "admin")
    client = api.bearer(made["token"])
    assert client.get("/api/tokens").status == 200
    api.operator.ok("DELETE", f"/api/tokens/{made['id']}")
    for method, path, body in every_call():
        assert client.call(method, path, body).status == 401, (method, path)


def test_a_wrong_scope_decides_nothing(service):
    api = service(ask("touch"), jails={"default": {}, "other": {}})
    jailed, viewer = api.token("jailed", "approver", jails=["other"]), api.token("viewer", "viewer")
    process = api.warden.spawn("touch", "mark", stdin=-3)
    question = wait_for(lambda: api.operator.ok("GET", "/api/queue")["pending"])[0]["id"]
    for length in range(1, len(question) + 1):  # nor by the beginning of an id
        assert jailed.post(f"/api/queue/{question[:length]}/approve", {}).status == 404
        assert viewer.post(f"/api/queue/{question[:length]}/approve", {}).status == 403
    granted = api.operator.ok("POST", f"/api/queue/{question}/approve", {"for_ms": 60000})["grant"]["id"]
    finish(process)
    assert jailed.ok("GET", "/api/grants") == {"grants": []}
    assert jailed.delete(f"/api/grants/{granted}").status == 404
    assert viewer.delete(f"/api/grants/{granted}").status == 403
    assert len(api.operator.ok("GET", "/api/grants")["grants"]) == 1


def test_a_scope_tells_nothing_of_other_jails(service):
    """What a rule of another jail is called, what it is for and what is wrong in it."""
    api = service({"name": "secret-project", "command": "touch", "jail": "other", "action": "deny",
                   "reason": "secret-project"}, ask("touch"), allow("echo"))
    jailed, viewer = api.token("jailed", "viewer", jails=["default"]), api.token("all", "viewer")
    tried = {"jail": "default", "uid": 1, "gid": 1, "cwd": "/", "argv": ["touch", "x"]}
    assert "secret-project" in viewer.ok("POST", "/api/policy/test", tried)["explanation"]
    answer = jailed.ok("POST", "/api/policy/test", tried)
    assert answer["action"] == "ask" and "secret-project" not in str(answer)
    api.warden.write_policy("version: 1\njails: {other: {secret-project: 1}}\n")
    wait_for(lambda: "secret-project" in str(viewer.ok("GET", "/api/status")["policy"]["error"]))
    for path in ("/api/status", "/api/queue", "/api/grants", "/api/jails", "/api/session", "/metrics",
                 "/api/history?limit=1000", "/api/history?format=jsonl", "/api/history?format=csv"):
        answer = jailed.get(path)
        assert answer.status == 200 and b"secret-project" not in answer.body, answer
        assert b"other" not in answer.body, answer
    assert jailed.ok("GET", "/api/status")["policy"]["error"]


@pytest.mark.parametrize("name", ["admin", "approver", "viewer"])
def test_a_user_is_not_called_like_a_role(service, name):
    """`approvers: [admin]` means every admin: whoever reads it must not think of a user."""
    api = service(allow("echo"))
    refused = api.operator.post("/api/users", {"name": name, "role": "viewer", "password": PASSWORD})
    assert refused.status == 400 and refused.code == "bad_name" and "is a role" in refused.json["error"]
    assert api.operator.ok("GET", "/api/users")["users"] == []


def test_roles_cannot_be_raised(service):
    api = service(allow("echo"))
    for role in ("viewer", "approver"):
        client = api.token(f"t-{role}", role)
        api.make_user(f"u-{role}", role)
        session = api.login(f"u-{role}")
        for caller in (client, session):
            assert caller.post("/api/tokens", {"name": "mine", "role": "admin"}).status == 403
            assert caller.post("/api/users", {"name": "mine", "role": "admin", "password": PASSWORD}).status == 403
            assert caller.patch(f"/api/users/u-{role}", {"role": "admin"}).status == 403
            assert caller.get("/api/tokens").status == 403
            assert caller.ok("GET", "/api/session")["role"] == role
    assert [token["name"] for token in api.operator.ok("GET", "/api/tokens")["tokens"]].count("mine") == 0


def test_names_of_headers_do_not_make_an_operator(service):
    """By TCP nobody is an operator for what he says about himself."""
    api = service(allow("echo"))
    for headers in ({"User-Agent": "clawrden-cli/0.1.0"}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Real-IP": "127.0.0.1"},
                    {"X-Remote-User": "root"}, {"Forwarded": "for=127.0.0.1"}):
        assert api.nobody.get("/api/status", headers=headers).status == 401
    token = api.token("t", "approver")
    assert token.ok("GET", "/api/session", headers={"User-Agent": "clawrden-cli/0.1.0"})["via"] == "api"


# Sessions.


def test_a_session_cannot_be_planted(service):
    """An id that somebody brings along to the login is not the one they get, and is worth nothing."""
    api = service(allow("echo"))
    api.make_user("alice", "admin")
    planted = "A" * 43
    client = api.client(headers={"Cookie": f"clawrden_session={planted}"})
    answer = client.post("/api/login", {"user": "alice", "password": PASSWORD})
    given = re.match(r"clawrden_session=([^;]+); Path=/; HttpOnly; SameSite=Strict$", answer.headers["Set-Cookie"])
    assert given and given.group(1) != planted
    assert client.get("/api/session").status == 401
    good = given.group(1)
    # A new login ends the session it came with.
    again = api.client(headers={"Cookie": f"clawrden_session={good}"}).post(
        "/api/login", {"user": "alice", "password": PASSWORD})
    fresh = again.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    assert fresh != good
    assert api.client(headers={"Cookie": f"clawrden_session={good}"}).get("/api/session").status == 401
    for cookie in (f"clawrden_session={fresh}; clawrden_session={planted}",
                   f"clawrden_session={planted}; clawrden_session={fresh}", f"clawrden_session={fresh}x",
                   f"clawrden_session={fresh[:-1]}", f"__Host-clawrden_session={fresh}", f"xclawrden_session={fresh}",
                   f"Clawrden_Session={fresh}", f"clawrden_session=\"{fresh}\"", "clawrden_session="):
        assert api.client(headers={"Cookie": cookie}).get("/api/session").status == 401, cookie
    assert api.client(headers={"Cookie": f"a=b; clawrden_session={fresh}; c=d"}).get("/api/session").status == 200


def test_a_wrong_token_is_not_helped_by_a_session(service):
    api = service(allow("echo"))
    api.make_user("alice", "admin")
    alice = api.login("alice")
    assert alice.get("/api/session", headers={"Authorization": "Bearer nonsense"}).status == 401


def test_a_stolen_session_cannot_change_the_password(service):
    """Who sits at somebody's browser does not know the password; nor can they guess it there."""
    api = service(allow("echo"))
    api.make_user("alice", "approver")
    alice, elsewhere = api.login("alice"), api.login("alice")
    wanted = {"password": PASSWORD, "new_password": "another horse battery"}
    assert alice.post("/api/password", {**wanted, "new_password": "short"}).code == "bad_password"
    assert alice.post("/api/password", {**wanted, "user": "bob"}).code == "unknown_member"
    assert alice.post("/api/password", wanted, headers={CSRF: "x" * 43}).code == "csrf"
    assert api.token("t", "admin").post("/api/password", wanted).code == "no_session"
    assert api.operator.post("/api/password", wanted).code == "no_session"
    assert api.nobody.post("/api/password", wanted).status == 401
    assert alice.post("/api/password", {**wanted, "password": "wrong horse battery"}).code == "wrong_password"
    assert alice.ok("GET", "/api/session")["name"] == "alice"
    assert alice.ok("POST", "/api/password", wanted) == {"ok": True}
    for session in (alice, elsewhere):
        assert session.get("/api/session").code == "session_over"
    assert api.nobody.post("/api/login", {"user": "alice", "password": PASSWORD}).status == 401
    assert api.login("alice", wanted["new_password"]).ok("GET", "/api/session")["role"] == "approver"
    assert wait_for(lambda: [r for r in api.warden.journal(event="config") if "another password" in r["message"]])
    assert PASSWORD not in str(api.warden.lines()) and wanted["new_password"] not in str(api.warden.lines())


def test_guessing_in_a_session_is_throttled(service):
    api = service(allow("echo"))
    api.make_user("alice", "approver")
    alice = api.login("alice")
    wrong = {"password": "wrong horse battery", "new_password": "another horse battery"}
    clients = [api.client(headers=alice.headers) for _ in range(12)]
    with ThreadPoolExecutor(len(clients)) as pool:  # at once: what is slow to hash refills nothing
        codes = list(pool.map(lambda client: client.post("/api/password", wrong).status, clients))
    assert set(codes) == {403, 429}, codes


def test_a_user_has_so_many_sessions(service):
    api = service(allow("echo"))
    api.make_user("alice")
    first = api.login("alice")
    for _ in range(20):
        last = api.login("alice")
    assert first.get("/api/session").status == 401, "the one that was idle longest has ended"
    assert last.get("/api/session").status == 200
    assert api.operator.ok("GET", "/api/users")["users"][0]["sessions"] == 20


# Guessing.


def attempt(api, user, password="wrong password"):
    return api.nobody.post("/api/login", {"user": user, "password": password})


def test_unknown_users_are_like_known_ones(service):
    """The same answer, and about the same time."""
    api = service(allow("echo"))
    api.make_user("alice", "admin")
    times = {"alice": [], "nobody-of-this-name": []}
    bodies = set()
    for _ in range(3):
        for user, taken in times.items():
            start = time.monotonic()
            answer = attempt(api, user)
            taken.append(time.monotonic() - start)
            assert answer.status == 401
            bodies.add((answer.body, tuple(sorted(name for name in answer.headers))))
    assert len(bodies) == 1, bodies
    known, unknown = (statistics.median(taken) for taken in times.values())
    # Not a measurement: without the work for nobody the one would be a hundredth of the other.
    assert unknown > known / 10 and known > unknown / 10, times


def test_guessing_is_throttled_before_hashing(service):
    api = service(allow("echo"))
    api.make_user("alice", "admin")
    answers = [attempt(api, "alice") for _ in range(15)]
    statuses = [answer.status for answer in answers]
    assert statuses[0] == 401 and statuses[-1] == 429 and statuses.count(401) <= 8, statuses
    throttled = answers[-1]
    assert throttled.code == "throttled" and int(throttled.headers["Retry-After"]) >= 1
    # The right password does not help then: it is not even looked at.
    assert attempt(api, "alice", PASSWORD).status == 429
    # One address is not let through for other names for ever either; unknown ones are throttled alike.
    statuses = [attempt(api, f"user{number}").status for number in range(30)]
    assert statuses[-1] == 429 and statuses.count(401) <= 12, statuses
    # Others come in: by token, and by the unix socket.
    assert api.token("t").get("/api/status").status == 200
    messages = [record["message"] for record in api.warden.journal(event="login")]
    assert any(text.startswith("a login failed: alice") for text in messages)
    assert any(text.startswith("a login was throttled") for text in messages)
    assert len(messages) < 25, "the journal is not flooded"


def test_what_is_guessed_is_not_written_down(service):
    api = service(allow("echo"))
    token = api.make_token("t", "admin")["token"]
    hostile = 'x"},{\n\x1b[31m\u202e'
    assert attempt(api, hostile, "a secret guess").status == 401
    attempt(api, "bob", "a secret guess")
    api.bearer(token[:-4] + "AAAA").get("/api/status")
    record = wait_for(lambda: [entry for entry in api.warden.journal(event="login")
                               if "token" in entry["message"]])[0]
    assert "refused" in record["message"]
    with open(api.warden.audit, encoding="utf-8") as file:
        text = file.read()
    assert "a secret guess" not in text and token[17:] not in text and "\x1b" not in text
    assert "\\u202e" not in text and "\u202e" not in text
    assert "a secret guess" not in api.warden.log() and token[17:] not in api.warden.log()
    api.warden.verify()


def test_secrets_are_compared_in_constant_time():
    """Every comparison with a secret goes through libsodium's."""
    found = {}
    for name in ("tokens.c", "sessions.c"):
        with open(os.path.join(harness.ROOT, "src", "api", name), encoding="utf-8") as file:
            found[name] = file.read()
    assert "digest_equal(&hash, &token->hash)" in found["tokens.c"]
    assert "digest_equal(&session->id, &id)" in found["sessions.c"] and "sodium_memcmp(session->csrf" in found["sessions.c"]
    with open(os.path.join(harness.ROOT, "src", "base", "digest.c"), encoding="utf-8") as file:
        assert "return sodium_memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;" in file.read()
    for name, text in found.items():
        for line in text.splitlines():
            assert not re.search(r"\b(strcmp|memcmp)\(.*(hash|csrf|secret|password)", line), (name, line)


def test_passwords_are_kept_as_argon2(service):
    api = service(allow("echo"))
    api.make_user("alice")
    api.make_user("bob")
    with open(os.path.join(api.warden.state_dir, "api", "auth.json"), encoding="utf-8") as file:
        users = json.load(file)["users"]
    assert all(user["password"].startswith("$argon2id$") for user in users)
    assert users[0]["password"] != users[1]["password"], "salted"
    directory = os.stat(os.path.join(api.warden.state_dir, "api"))
    assert directory.st_mode & 0o777 == 0o700
    if api.warden.privileged:
        assert directory.st_uid not in (0, harness.PRISONER)


@pytest.mark.root
def test_the_hasher_and_the_api_can_open_nothing_of_others(service):
    api = service(allow("echo"))
    processes = {harness.comm(pid): pid for pid in harness.descendants(api.warden.pid)}
    for name in ("clwd-api", "clwd-hasher"):
        with open(f"/proc/{processes[name]}/status", encoding="ascii") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        kept = {"clwd-api": 1 << 24, "clwd-hasher": 0}[name]  # CAP_SYS_RESOURCE: who sends descriptors
        assert status["Uid"].split()[0] != "0" and int(status["CapEff"], 16) & ~kept == 0, name
        assert status["NoNewPrivs"].strip() == "1"
        if not harness.SANITIZED:
            assert status["Seccomp"].strip() == "2"
    with open(f"/proc/{processes['clwd-hasher']}/stat", encoding="ascii") as file:
        assert file.read().rpartition(")")[2].split()[16] == "19", "nice"


def test_the_hasher_is_replaced(service):
    """Without it nobody could log in; it cannot be made anew, so the api goes with it."""
    api = service(allow("echo"))
    api.make_user("alice")
    hasher = next(pid for pid in harness.descendants(api.warden.pid) if harness.comm(pid) == "clwd-hasher")
    harness.kill_quietly(hasher)

    def works():
        try:
            return api.client().post("/api/login", {"user": "alice", "password": PASSWORD}).status == 200
        except OSError:
            return False

    wait_for(works, what="a login")
    assert api.warden.shim("echo", "x").code == 0
