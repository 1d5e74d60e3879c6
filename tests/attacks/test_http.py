"""Bytes on the api's TCP port: smuggling, slow and greedy clients, names of others, paths that lead out."""

import os
import re
import resource
import socket
import threading
import time

import pytest

import harness
from api import Events, Service
from harness import allow, ask, finish, wait_for

HOST = b"Host: localhost\r\n"


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


def exchange(api, data, end=False, timeout=harness.PATIENCE):
    """Everything that is answered until the connection ends, or is silent for a while."""
    connection = api.raw(timeout)
    answer = b""
    try:
        connection.sendall(data)
        if end:
            connection.shutdown(socket.SHUT_WR)
        while True:
            piece = connection.recv(65536)
            if not piece:
                return answer
            answer += piece
    except ConnectionResetError:
        return answer
    finally:
        connection.close()


def statuses(answer):
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


SMUGGLED = b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n"

MALFORMED = {
    "CL.TE": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "TE.CL": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n",
    "TE alone": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE obfuscated": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE tab": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
    "TE twice": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n",
    "two lengths": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "two equal lengths": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: 0, 44\r\n\r\n",
    "a signed length": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "a hex length": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: 0x5\r\n\r\nhello",
    "a huge length": b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: 18446744073709551616\r\n\r\n",
    "GET with a body": b"GET /api/status HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
    "DELETE with a body": b"DELETE /api/users/a HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
    "bare LF": b"GET /api/status HTTP/1.1\nHost: localhost\n\n",
    "bare LF in between": b"GET /api/status HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
    "bare CR": b"GET /api/status HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n",
    "obs-fold": b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    "space before the colon": b"GET /api/status HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "no Host": b"GET /api/status HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /api/status HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "absolute form": b"GET http://localhost/api/status HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority form": b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk form": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /api/status\r\n\r\n",
    "two spaces": b"GET  /api/status HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL": b"GET /api/status HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "two Authorizations": b"GET /api/status HTTP/1.1\r\n" + HOST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "two Cookies": b"GET /api/status HTTP/1.1\r\n" + HOST + b"Cookie: a=b\r\nCookie: c=d\r\n\r\n",
    "two Origins": b"GET /api/status HTTP/1.1\r\n" + HOST + b"Origin: http://localhost\r\nOrigin: http://evil.example\r\n\r\n",
    "a fragment": b"GET /api/status#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a bad escape": b"GET /api/queue?limit=%zz HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 64,
}


def test_what_two_readers_could_read_differently_is_refused(service):
    api = service(allow("echo"))
    for name, data in MALFORMED.items():
        answer = exchange(api, data + SMUGGLED, end=True)
        found = statuses(answer)
        assert len(found) == 1 and 400 <= found[0] < 600 and found[0] != 401, (name, answer)
        assert b"Connection: close" in answer, name
    assert api.operator.get("/api/status").status == 200


def test_pipelined_requests_are_answered_in_order(service):
    api = service(allow("echo"))
    token = api.make_token("t")["token"].encode()
    one = b"GET /api/session HTTP/1.1\r\n" + HOST + b"Authorization: Bearer " + token + b"\r\n\r\n"
    other = b"GET /api/session HTTP/1.1\r\n" + HOST + b"\r\n"
    answer = exchange(api, one + other + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert statuses(answer) == [200, 401, 200], answer
    # An identity is the call's, not the connection's: nothing is left for the next one.


def test_a_body_is_never_the_next_request(service):
    api = service(allow("echo"))
    body = SMUGGLED
    head = b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nConnection: close\r\n" \
        b"Content-Length: %d\r\n\r\n" % len(body)
    answer = exchange(api, head + body)
    assert statuses(answer) == [400], answer


def test_heads_and_bodies_have_an_end(service):
    api = service(allow("echo"))
    for data, status in (
            (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
            (b"GET /api/queue?after=" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
            (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 70 + b"\r\n", 431),
            (b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: 65537\r\n\r\n", 413)):
        assert statuses(exchange(api, data, end=True)) == [status], data[:40]


def test_names_of_others(service):
    """A page at evil.example that lets its own name lead to 127.0.0.1 (DNS rebinding)."""
    api = service(allow("echo"), options=["--api-host", "warden.example,Other.Example"])
    token = api.make_token("t")["token"]

    def status(host):
        return api.nobody.get("/api/status", headers={"Host": host, "Authorization": f"Bearer {token}"}).status

    for host in ("evil.example", f"evil.example:{api.port}", "localhost.evil.example", "127.0.0.1.evil.example",
                 "127.0.0.2", "0.0.0.0", "[::2]", "localhost:x", "localhost:80:80", "warden.example.", "127.1",
                 "2130706433", "user@localhost", "[::1"):
        assert status(host) in (400, 421), host
        assert api.nobody.get("/", headers={"Host": host}, check=False).status in (400, 421), host
        assert api.nobody.get("/healthz", headers={"Host": host}).status in (400, 421), host
        assert api.nobody.post("/api/login", {"user": "a", "password": "b"},
                               headers={"Host": host}).status in (400, 421), host
    for host in ("localhost", "LOCALHOST", f"localhost:{api.port}", "127.0.0.1", f"127.0.0.1:{api.port}", "[::1]:80",
                 "warden.example", "other.example:443", "WARDEN.example"):
        assert status(host) == 200, host


def test_paths_lead_nowhere_else(service):
    api = service(allow("echo"))
    token = api.make_token("t")["token"]
    for path in ("/../../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "//etc/passwd", "/./main.js",
                 "/main.js/..", "/%6dain.js", "/main.js%00.html", "/assets/../main.js", "/main.js/", "/MAIN.JS",
                 "/.git/config", "/index.html", "/api/../main.js", "/etc/passwd", "/%2e%2e/%2e%2e/etc/passwd"):
        for headers in ({}, {"Authorization": f"Bearer {token}"}):
            answer = api.nobody.get(path, headers=headers, check=False)
            assert answer.status in (400, 401, 404), (path, answer)
            assert b"root:" not in answer.body
            assert answer.headers["Content-Type"] == "application/json"


def test_slow_clients_are_dropped(service):
    """One byte now and then: the request has ten seconds in all, however often something comes."""
    api = service(allow("echo"))
    connection = api.raw()
    data = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 4000
    start, sent = time.monotonic(), 0
    connection.settimeout(0.2)
    answer = b""
    while time.monotonic() - start < harness.PATIENCE and b"\r\n\r\n" not in answer:
        try:
            connection.send(data[sent:sent + 1])
            sent += 1
        except OSError:
            break
        try:
            piece = connection.recv(65536)
            answer += piece
            if not piece:
                break
        except socket.timeout:
            pass
    connection.close()
    assert statuses(answer) == [408], answer


def test_strangers_cannot_take_all_connections(service):
    """Idle connections by TCP make room for each other, and never stand in the unix socket's way."""
    api = service(allow("echo"))
    token = api.token("t")
    opened = [api.raw() for _ in range(1300)]
    try:
        assert token.get("/api/status").status == 200
        assert api.operator.get("/api/status").status == 200
    finally:
        for connection in opened:
            connection.close()


# Live views.


def raw_view(api, token, path=b"/api/events"):
    connection = api.raw()
    connection.sendall(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"Authorization: Bearer " + token.encode() +
                       b"\r\n\r\n")
    return connection


def memory(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def test_a_thousand_live_views_while_approvals_work(service):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    api = service(ask("touch"))
    token = api.make_token("viewer")["token"]
    approver = api.token("approver", "approver")
    views = []
    try:
        views = [raw_view(api, token) for _ in range(1000)]
        for view in views:
            assert b"retry:" in view.recv(4096)
        assert b" 429 " in raw_view(api, token).recv(4096), "that is enough for one"
        process = api.warden.spawn("touch", "mark", stdin=-3)
        question = wait_for(lambda: approver.ok("GET", "/api/queue")["pending"])[0]
        assert approver.ok("POST", f"/api/queue/{question['id']}/approve")["ran"] == 1
        assert finish(process).code == 0
        for view in views:
            seen = b""
            while b"event: ended" not in seen:
                piece = view.recv(65536)
                assert piece, seen
                seen += piece
            assert seen.count(b"event: asked") == 1
        assert b"clawrden_api_live_views 1000" in approver.get("/metrics").body
    finally:
        for view in views:
            view.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_for(lambda: b"clawrden_api_live_views 0" in approver.get("/metrics").body, what="the end of the views")


def test_views_that_never_read(service):
    """They hold up nobody, cost little memory, and are cut off."""
    api = service(allow("true"))
    token = api.make_token("viewer")["token"]
    pid = api.warden.process_of("api")
    before = memory(pid)
    views = []
    for _ in range(50):
        view = socket.socket()
        view.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        view.settimeout(harness.PATIENCE)
        view.connect(("127.0.0.1", api.port))
        view.sendall(b"GET /api/events?last_event_id=0 HTTP/1.1\r\n" + HOST + b"Authorization: Bearer " +
                     token.encode() + b"\r\n\r\n")
        views.append(view)
    for _ in range(100):
        result = api.warden.shim("true", "x" * 100000)
        assert result.code == 0
    if not harness.SANITIZED:  # whose allocator keeps what was freed
        assert memory(pid) - before < 64 * 1024, "kB"
    reader = Events(api.token("reader"), last=0)
    last = api.operator.ok("GET", "/api/status")["journal"]["seq"]
    seen = reader.until(lambda event: event[0] >= last)
    assert [event[0] for event in seen] == list(range(1, seen[-1][0] + 1))
    reader.close()
    wait_for(lambda: b"clawrden_api_live_views 0" in api.operator.get("/metrics").body, 60,
             "the end of those that do not read")
    for view in views:
        view.close()


def test_a_revoked_token_ends_its_views(service):
    api = service(allow("echo"))
    made = api.make_token("viewer")
    view = Events(api.bearer(made["token"]))
    other = Events(api.token("other"))
    api.operator.ok("DELETE", f"/api/tokens/{made['id']}")
    while view.next():
        pass  # until the stream ends
    api.warden.shim("echo", "x")
    assert other.until(lambda event: event[1] == "ended")
    view.close()
    other.close()

    api.make_user("alice")
    alice = api.login("alice")
    views = [Events(alice), Events(api.login("alice"))]
    alice.ok("POST", "/api/logout")
    while views[0].next():
        pass
    api.operator.ok("PATCH", "/api/users/alice", {"role": "approver"})
    while views[1].next():
        pass
    for view in views:
        view.close()


def test_decisions_are_not_held_up_by_exports_that_nobody_reads(service):
    api = service(ask("touch"), allow("true"))
    for _ in range(20):
        assert api.warden.shim("true", "x" * 100000).code == 0
    token = api.make_token("viewer")["token"]
    approver = api.token("approver", "approver")
    opened = [raw_view(api, token, b"/api/history?format=" + kind) for kind in (b"csv", b"jsonl") * 4]
    process = api.warden.spawn("touch", "mark", stdin=-3)
    question = wait_for(lambda: approver.ok("GET", "/api/queue")["pending"])[0]
    approver.ok("POST", f"/api/queue/{question['id']}/approve")
    assert finish(process).code == 0
    for connection in opened:
        connection.close()


def test_logins_at_full_speed_do_not_delay_verdicts(service):
    """The hasher is another process; what is throttled costs nothing."""
    api = service(allow("true"))
    stop = threading.Event()
    answers = []

    def guess():
        client = api.client()
        number = 0
        while not stop.is_set():
            number += 1
            answers.append(client.post("/api/login", {"user": f"u{number}", "password": "x" * 20}).status)

    threads = [threading.Thread(target=guess) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert api.warden.shim("true").code == 0
        assert api.operator.get("/api/status").status == 200
        wait_for(lambda: answers.count(429) > 50, what="throttled logins")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(answers) <= {401, 429, 503}
    assert 1 <= answers.count(401) <= 60
    assert os.path.exists(f"/proc/{api.warden.process_of('api')}")
