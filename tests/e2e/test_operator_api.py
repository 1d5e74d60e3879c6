"""The operator's verbs that speak to the api: grants, history, tokens, users, over a unix socket and
TCP. Against the real warden, and against an api that is played where an answer must be odd."""

import csv
import grp
import io
import json
import os
import pty
import pwd
import re
import select
import signal
import subprocess
import termios
import time

import pytest

from fakeapi import FakeApi, certificate, entry, record
from harness import PATIENCE, STRANGER, Result, allow, as_user, ask, finish, program, wait_for


def cli(*arguments, data=b"", env=None, uid=None, **more):
    process = subprocess.run([program("clawrden-cli"), *arguments], input=data, capture_output=True,
                             timeout=PATIENCE, cwd="/", env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **(env or {})},
                             **(as_user(uid) if uid is not None else {}), **more)
    return Result(process.returncode, process.stdout, process.stderr, 0)


@pytest.fixture
def api():
    made = []

    def make(**more):
        made.append(FakeApi(**more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


# Grants.


def test_a_grant_from_approve_to_revoke(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "one", stdin=subprocess.DEVNULL)
    ident = warden.pending_id()
    words = warden.queue()[0]["grant"]["exact"]
    result = warden.cli("approve", ident, "--for", "10m")
    assert result.code == 0, result
    said, given = result.stdout.index(words), result.stdout.index("approved " + ident)
    assert said < given, "the coverage came after the decision"
    assert finish(process).code == 0
    grant = warden.cli_json("grants")["grants"][0]
    assert grant["covers"] == words
    shown = warden.cli("grants").stdout
    assert grant["id"] in shown and words in shown and "for another 9m" in shown and "not used yet" in shown
    assert warden.shim("touch", "one").code == 0  # nobody is asked
    assert "used 1 time," in warden.cli("grants").stdout
    assert warden.cli("revoke", grant["id"]).code == 0
    assert warden.cli("grants").stdout == "no approval is remembered\n"
    gone = warden.cli("revoke", grant["id"])
    assert gone.code == 1 and "there is no grant" in gone.stderr


def test_nothing_is_decided_when_the_grant_is_not_possible(api):
    server = api()
    server.pending = [entry("AAAAAA"),
                      entry("BBBBBB", grant={"exact": None, "widened": None, "session": False,
                                             "why_not": "its stdin is a pipe"}),
                      entry("CCCCCC", grant={"exact": "x", "widened": None, "session": False,
                                             "why_not": "its root process is not known"})]
    for arguments, said in ((("AAAAAA", "--for", "1m", "--widened"), "does not say how"),
                            (("BBBBBB", "--for", "1m"), "its stdin is a pipe"),
                            (("CCCCCC", "--session"), "root process is not known"),
                            (("DDDDDD", "--session"), "pending: AAAAAA (git), BBBBBB (git)")):
        result = cli("--api", server.url, "approve", *arguments)
        assert result.code == 1 and said in result.stderr, result
    assert server.decisions() == []


@pytest.mark.parametrize("arguments", [
    ("AAAAAA", "--widened"), ("AAAAAA", "--for", "soon"), ("AAAAAA", "--for", "0"), ("AAAAAA", "--for", "1m", "--session"),
    ("../../kill",), ("AAAAAA?x=1",), ("",)])
def test_malformed_approvals_are_not_sent(api, arguments):
    server = api()
    server.pending = [entry("AAAAAA")]
    result = cli("--api", server.url, "approve", *arguments)
    assert result.code == 2, result
    assert server.calls == []


def test_the_beginning_of_an_id_must_fit_one(api):
    server = api()
    server.pending = [entry("AAAA11"), entry("AAAA22")]
    result = cli("--api", server.url, "approve", "aaaa", "--for", "1m")
    assert result.code == 1 and "use the whole id" in result.stderr
    assert server.decisions() == []
    assert cli("--api", server.url, "approve", "aaaa2", "--for", "1m").code == 0
    assert server.decisions() == [("/api/queue/AAAA22/approve", {"for_ms": 60000})]


def test_a_grant_that_covers_something_else_fails(api):
    server = api()
    server.pending = [entry("AAAAAA")]
    server.answers[("POST", "/api/queue/AAAAAA/approve")] = (
        200, {"id": "AAAAAA", "decision": "approved", "ran": 1,
              "grant": {"id": "G-EVIL", "covers": "all", "expires_at": None}})
    result = cli("--api", server.url, "approve", "AAAAAA", "--session")
    assert result.code == 1 and "something else than was announced" in result.stderr and "G-EVIL" in result.stdout


def at_terminal(*arguments, answers):
    """Runs the command line in a terminal and types the answers to its prompts."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = subprocess.Popen([program("clawrden-cli"), *arguments], stdin=slave, stdout=slave, stderr=slave,
                               start_new_session=True, env={"PATH": "/usr/bin:/bin"}, cwd="/")
    seen, end = b"", time.monotonic() + PATIENCE

    def read():
        nonlocal seen
        if select.select([master], [], [], 0.05)[0]:
            seen += os.read(master, 65536)

    for prompt, answer in answers:
        while prompt.encode() not in seen:
            assert time.monotonic() < end, seen
            read()
        if isinstance(answer, int):
            os.kill(process.pid, answer)
        else:
            os.write(master, answer.encode())
    while process.poll() is None:
        assert time.monotonic() < end, seen
        read()
    read()
    assert termios.tcgetattr(slave) == before, "echo did not come back"
    os.close(master)
    os.close(slave)
    return process.returncode, seen.decode()


@pytest.mark.parametrize("answer,code,count", [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0), ("\x04", 1, 0)])
def test_a_terminal_is_asked_before_a_grant_is_given(api, answer, code, count):
    server = api()
    server.pending = [entry("AAAAAA")]
    result, seen = at_terminal("--api", server.url, "approve", "AAAAAA", "--for", "1m",
                               answers=[("Give this grant? [y/N]", answer)])
    assert result == code and "exactly git, by uid 54001" in seen
    assert len(server.decisions()) == count


def test_which_request_is_told(api):
    server = api()
    none = cli("--api", server.url, "deny")
    assert none.code == 2 and "deny which request?" in none.stderr and "nothing is pending" in none.stderr
    server.pending = [entry("AAAAAA"), entry("BBBBBB", ["rm", "x"])]
    some = cli("--api", server.url, "approve")
    assert some.code == 2 and "pending: AAAAAA (git), BBBBBB (rm)" in some.stderr
    assert server.decisions() == []


# The queue.


def test_the_queue_pages(api):
    server = api()
    server.pending = [entry(f"ID{i:04}", ["git", f"n{i}"]) for i in range(2500)]
    first = cli("--api", server.url, "queue")
    assert first.stdout.count("expires in") == 100 and "2500 wait in all" in first.stdout
    assert "clawrden-cli queue --after ID0099" in first.stdout
    second = cli("--api", server.url, "queue", "--after", "ID0099", "--limit", "2")
    assert re.findall(r"^ID\d+", second.stdout, re.M) == ["ID0100", "ID0101"]
    whole = json.loads(cli("--api", server.url, "--json", "queue").out)
    assert len(whole["pending"]) == 2500 and whole["total"] == 2500 and whole["next"] is None
    one = cli("--api", server.url, "queue", "ID2499")
    assert one.code == 0 and "git n2499" in one.stdout
    for bad in ("0", "-1", "x", "1000000000000"):
        assert cli("--api", server.url, "queue", "--limit", bad).code == 2


def test_waiters_and_quiet_rules(api):
    server = api()
    server.pending = [entry("AAAAAA", waiters=75), entry("BBBBBB", needed=2, approved_by=["alice"]),
                      *[entry(f"Q{i}", quiet=True, rule="chores", waiters=2) for i in range(3)]]
    text = cli("--api", server.url, "queue").stdout
    assert "×75" in text and "approvals 1/2 (alice)" in text and "Q0" not in text
    assert 'quiet: 3 requests by "chores" in jail default, 6 waiting' in text
    assert "Q0" in cli("--api", server.url, "queue", "--quiet").stdout


def test_counted_approvals(make_warden):
    warden = make_warden(ask("touch", approvals=2))
    process = warden.spawn("touch", "x", stdin=subprocess.DEVNULL)
    ident = warden.pending_id()
    counted = warden.cli("approve", ident)
    assert counted.code == 0 and "1 of 2 approvals" in counted.stdout and "still waits" in counted.stdout
    again = warden.cli("approve", ident)
    assert again.code == 1 and "another person" in again.stderr
    assert "approvals 1/2" in warden.cli("queue").stdout
    assert warden.cli("deny", ident).code == 0
    assert finish(process).code == 126


# History.


def test_history(make_warden):
    warden = make_warden(allow("echo"), ask("touch"))
    for word in ("one", "two words", "\x1b[2Jthree"):
        assert warden.shim("echo", word).code == 0
    wait_for(lambda: len(warden.journal(event="ended")) == 3)
    text = warden.cli("history", "--event", "ended").stdout
    assert [line.split(": ")[-1] for line in text.splitlines()] == \
        ["echo one", "echo 'two words'", "echo '\\x1b[2Jthree'"]
    assert len(warden.cli("history", "--event", "ended", "--limit", "2").stdout.splitlines()) == 2
    assert "two words" in warden.cli("history", "--grep", "two words").stdout
    assert warden.cli("history", "--jail", "nowhere").code == 1
    assert warden.cli("history", "--command", "touch").code == 1
    assert warden.cli("history", "--until", "1h").code == 1
    assert warden.cli("history", "--since", "1h", "--event", "ended").code == 0
    rows = list(csv.DictReader(io.StringIO(warden.cli("history", "--event", "ended", "--csv").stdout)))
    assert [row["argv"] for row in rows][1] == "echo 'two words'" and rows[0]["exit_code"] == "0"
    lines = [json.loads(line) for line in warden.cli("history", "--event", "ended", "--jsonl").stdout.splitlines()]
    assert lines[2]["argv"] == ["echo", "\x1b[2Jthree"]
    document = json.loads(warden.cli("--json", "history", "--event", "ended").out)
    assert [one["seq"] for one in document["records"]] == sorted(one["seq"] for one in lines)


def test_history_pages_until_it_has_what_was_asked_for(api):
    server = api()
    server.records = [record(i + 1, "ended") for i in range(2500)]
    text = cli("--api", server.url, "history", "--limit", "2200").stdout
    assert [int(line.split()[0]) for line in text.splitlines()] == list(range(301, 2501))


def test_history_whose_pages_lead_nowhere_ends(api):
    server = api()
    server.answers[("GET", "/api/history")] = (200, {"records": [record(5)], "next": 5})
    assert cli("--api", server.url, "history", "--limit", "10").code == 0


@pytest.mark.parametrize("arguments", [
    ("--since", "yesterday"), ("--event", "nonsense"), ("--limit", "0"), ("--csv", "--jsonl"),
    ("--json", "--follow"), ("extra",)])
def test_history_usage(api, arguments):
    server = api()
    result = cli("--api", server.url, "history", *arguments)
    assert result.code == 2 and server.calls == []
    if arguments[0] == "--since":
        assert "2026-11-24T04:10:29Z, 2026-11-24, or 90s, 2h, 7d ago" in result.stderr
    if arguments[0] == "--event":
        assert "judged asked decided" in result.stderr


class Following:
    def __init__(self, *arguments, **more):
        self.process = subprocess.Popen([program("clawrden-cli"), *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", **more)
        self.seen = b""

    def expect(self, text):
        end = time.monotonic() + PATIENCE
        while text.encode() not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"waiting for {text}, got {self.seen}"
            if select.select([self.process.stdout], [], [], left)[0]:
                piece = os.read(self.process.stdout.fileno(), 65536)
                assert piece, (self.seen, self.process.stderr.read())
                self.seen += piece

    def end(self, number):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, self.seen + out, err


def test_history_follows(make_warden):
    warden = make_warden(allow("echo"))
    warden.shim("echo", "before")
    warden.recorded(event="ended")
    follow = Following("--api", f"unix:{warden.api_socket}", "history", "--follow", "--command", "echo", "--event", "ended",
                       **as_user(warden.user))
    follow.expect("echo before")
    warden.shim("echo", "while it follows")
    follow.expect("echo 'while it follows'")
    code, out, err = follow.end(signal.SIGINT)
    assert code == 0 and err == b"", err
    assert out.count(b"ended") == 2


def test_following_goes_on_where_it_was_cut(api):
    server = api()
    server.records = [record(1, argv=["one"])]
    follow = Following("--api", server.url, "history", "--follow")
    follow.expect(": one")
    server.send(record(2, argv=["two"]))
    follow.expect(": two")
    server.stop()
    server.records += [record(3, argv=["three"])]
    server.start()
    follow.expect(": three")
    server.send(record(4, argv=["four"]))
    follow.expect(": four")
    code, out, _ = follow.end(signal.SIGTERM)
    assert code == 0 and [out.count(word) for word in (b": one", b": two", b": three", b": four")] == [1] * 4


def test_following_ends_with_its_reader(api):
    server = api()
    server.records = [record(1)]
    follow = Following("--api", server.url, "history", "--follow")
    follow.expect("ended")
    follow.process.stdout.close()
    assert follow.process.wait(PATIENCE) == 0
    assert follow.process.stderr.read() == b""
    follow.process.stderr.close()


# Tokens and users.


@pytest.fixture
def tcp_warden(make_warden):
    warden = make_warden(ask("touch"), allow("echo"), warden_options={"options": ["--api", "127.0.0.1:0"]})
    warden.tcp = re.search(r"http://127\.0\.0\.1:\d+", warden.log())[0]
    return warden


def test_tokens(tcp_warden, tmp_path):
    warden = tcp_warden
    made = warden.cli("token", "create", "bot", "--role", "viewer", "--jail", "default", "--expires", "1h")
    assert made.code == 0 and "not shown again" in made.stderr and len(made.stdout.split()) == 1
    token = made.stdout.strip()
    listed = warden.cli("token", "list").stdout
    assert "bot: viewer of jail default" in listed and "never used" in listed and "expires in 59m" in listed
    assert token not in listed and token not in json.dumps(warden.cli_json("token", "list"))
    assert cli("--api", warden.tcp, "status", env={"CLAWRDEN_TOKEN": token}).code == 0
    path = tmp_path / "token"
    path.write_text(token + "\n")
    assert cli("--api", warden.tcp, "--token-file", str(path), "queue").code == 0
    assert cli("--api", warden.tcp, "queue", "--token", token).code == 0
    assert "last used" in warden.cli("token", "list").stdout
    process = warden.spawn("touch", "x", stdin=subprocess.DEVNULL)
    ident = warden.pending_id()
    refused = cli("--api", warden.tcp, "approve", ident, env={"CLAWRDEN_TOKEN": token})
    assert refused.code == 1 and refused.err
    assert cli("--api", warden.tcp, "token", "create", "x", env={"CLAWRDEN_TOKEN": token}).code == 1
    assert cli("--api", warden.tcp, "status").code == 1
    assert cli("--api", warden.tcp, "status", env={"CLAWRDEN_TOKEN": "wrong"}).code == 1
    assert warden.cli("token", "revoke", listed.split()[0]).code == 0
    assert cli("--api", warden.tcp, "status", env={"CLAWRDEN_TOKEN": token}).code == 1
    assert warden.cli("token", "list").stdout == "there is no token\n"
    warden.cli("deny", ident)
    finish(process)


def test_an_approver_by_tcp(tcp_warden):
    warden = tcp_warden
    token = warden.cli("token", "create", "bridge", "--role", "approver").stdout.strip()
    process = warden.spawn("touch", "x", stdin=subprocess.DEVNULL)
    ident = warden.pending_id()
    assert cli("--api", warden.tcp, "approve", ident, env={"CLAWRDEN_TOKEN": token}).code == 0
    assert finish(process).code == 0
    decided = warden.recorded(event="decided")
    assert decided["via"] == "api" and "bridge" in decided["approver"]


def test_users(tcp_warden):
    warden = tcp_warden
    assert warden.cli("user", "add", "alice", "--role", "approver", data=b"correct horse battery\n").code == 0
    assert "alice: approver" in warden.cli("user", "list").stdout
    assert warden.cli("user", "add", "alice", data=b"correct horse battery\n").code == 1
    assert warden.cli("user", "passwd", "alice", data=b"another horse battery\n").code == 0
    short = warden.cli("user", "passwd", "alice", data=b"x\n")
    assert short.code == 1 and short.err
    for data in (b"", b"\n"):
        none = warden.cli("user", "passwd", "alice", data=data)
        assert none.code == 1 and "no password" in none.stderr
    assert warden.cli("user", "delete", "alice").code == 0
    assert warden.cli("user", "delete", "alice").code == 1
    assert warden.cli("user", "list").stdout == "nobody may log in\n"
    for record_ in warden.lines():
        assert b"horse" not in record_


def test_a_password_is_not_shown(api):
    server = api()
    server.answers[("POST", "/api/users")] = (201, {"name": "alice"})
    code, seen = at_terminal("--api", server.url, "user", "add", "alice",
                             answers=[("password: ", "geheimes Wort\n"), ("once more: ", "geheimes Wort\n")])
    assert code == 0 and "geheim" not in seen
    assert server.find("POST", "/api/users") == [{"name": "alice", "role": "viewer", "password": "geheimes Wort"}]


def test_two_different_passwords_change_nothing(api):
    server = api()
    code, seen = at_terminal("--api", server.url, "user", "passwd", "alice",
                             answers=[("new password: ", "one password\n"), ("once more: ", "another password\n")])
    assert code == 1 and "two different passwords" in seen and server.calls == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_echo_comes_back_after_a_signal(api, number):
    code, _ = at_terminal("--api", api().url, "user", "add", "alice", answers=[("password: ", number)])
    assert code == -number


@pytest.mark.parametrize("arguments", [
    ("token",), ("token", "create"), ("token", "creat"), ("token", "create", "x", "--role", "root"),
    ("token", "create", "x", "--expires", "never"), ("token", "revoke", "../x"), ("user", "add", "a/b"),
    ("user", "add", "a", "--role", "king"), ("user", "delete", ".."), ("jails", "get"), ("jails", "make"), ("revoke", "a b"),
    ("revoke",), ("user", "add"), ("user", "add", "admin", "--role", "admin"), ("user", "passwd"), ("policy", "chek")])
def test_usage(api, arguments):
    server = api()
    result = cli("--api", server.url, *arguments, data=b"some password\n")
    assert result.code == 2 and result.err and server.calls == []


def test_jails(make_warden):
    warden = make_warden(allow("echo"), jails={"agent": {"commands": ["git", "npm"], "wait": "30s"}})
    text = warden.cli("jails").stdout
    assert "default: 0 running" in text and "agent: 0 running" in text and "git, npm" in text
    one = warden.cli("jails", "get", "agent")
    assert one.code == 0 and "30s" in one.stdout and "default" not in one.stdout
    assert warden.cli("jails", "get", "nowhere").code == 1


# The token stays ours.


def test_a_token_is_wiped_from_the_command_line(api):
    server = api()
    seen = []

    def look(_):
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            seen.append(file.read())
        return 200, {"pending": [], "total": 0, "next": None}

    server.answers[("GET", "/api/queue")] = look
    process = subprocess.Popen([program("clawrden-cli"), "--token", "clw_very_secret", "--api", server.url, "queue"],
                               stdout=subprocess.PIPE, env={})
    finish(process)
    assert seen and all(b"secret" not in line for line in seen)
    assert server.headers[0]["Authorization"] == "Bearer clw_very_secret"


def test_tls(api):
    place = api()
    cert, context = certificate(place.directory)
    server = api(tcp=True, tls=context)
    good = cli("--api", server.url, "--ca-file", cert, "status", env={"CLAWRDEN_TOKEN": "t"})
    assert good.code == 0, good
    assert cli("--api", server.url, "status", env={"CLAWRDEN_TOKEN": "t", "CLAWRDEN_CA_FILE": cert}).code == 0
    count = len(server.headers)
    unknown = cli("--api", server.url, "status", env={"CLAWRDEN_TOKEN": "t"})
    assert unknown.code == 3 and "certificate" in unknown.stderr, unknown
    other = cli("--api", server.url.replace("localhost", "127.0.0.1"), "--ca-file", cert, "status")
    assert other.code == 3 and len(server.headers) == count, "spoke to another's certificate"


def test_no_proxy_and_no_redirect_gets_the_token(api):
    server, thief = api(tcp=True), api(tcp=True)
    result = cli("--api", server.url, "status", env={"CLAWRDEN_TOKEN": "t", "http_proxy": thief.url, "ALL_PROXY": thief.url})
    assert result.code == 0 and thief.headers == []


# Ends of output, and people who may not.


def test_a_reader_that_has_seen_enough(api, make_warden):
    warden = make_warden(allow("echo"))
    for _ in range(3):
        warden.shim("echo", "x" * 50000)
    warden.recorded(event="ended")
    for verb in (("audit", "show", warden.audit), ("audit", "export", warden.audit), ("--help",)):
        process = subprocess.Popen([program("clawrden-cli"), *verb], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(1)
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        assert process.wait(PATIENCE) == 0 and err == b"", (verb, err)


def test_a_full_disk_is_told(api, make_warden):
    warden = make_warden(allow("echo"))
    warden.shim("echo", "x")
    warden.recorded(event="ended")
    server = api()
    for verb in (("audit", "show", warden.audit), ("--api", server.url, "status"), ("--help",), ("policy", "init"),
                 ("--api", server.url, "--json", "queue")):
        with open("/dev/full", "wb") as full:
            process = subprocess.run([program("clawrden-cli"), *verb], stdout=full, stderr=subprocess.PIPE,
                                     timeout=PATIENCE)
        assert process.returncode == 1 and b"cannot write to stdout" in process.stderr, (verb, process)


def test_status_counts_apart_and_gives_the_head(make_warden):
    warden = make_warden(allow("echo"), ask("touch"))
    process = warden.spawn("touch", "x", stdin=subprocess.DEVNULL)
    warden.cli("deny", warden.pending_id())
    finish(process)
    warden.shim("rm", "x")
    text = wait_for(lambda: (t := warden.cli("status").stdout) and "2 denied" in t and t)
    assert "0 cancelled" in text and "0 refused" in text
    head = re.search(r"head (\d+:[0-9a-f]{64})$", text, re.M)[1]
    assert warden.audit_verify("--head", head).code == 0


@pytest.mark.root
def test_a_stranger_is_told_the_way_in(make_warden):
    warden = make_warden(allow("echo"))
    result = warden.cli("status", uid=pwd.getpwnam("nobody").pw_uid)
    group = grp.getgrgid(os.stat(os.path.dirname(warden.api_socket)).st_gid).gr_name
    assert result.code == 3 and f"sudo usermod -aG {group} nobody" in result.stderr, result
    unnamed = warden.cli("status", uid=STRANGER)
    assert unnamed.code == 3 and f"the members of the group {group}" in unnamed.stderr, unnamed


def test_unknown_verbs_suggest():
    for wrong, right in (("staus", "status"), ("aprove", "approve"), ("histroy", "history"), ("wacht", "watch")):
        result = cli(wrong)
        assert result.code == 2 and f"did you mean {right}?" in result.stderr
    assert "did you mean create?" in cli("token", "crate").stderr
    assert "did you mean check?" in cli("policy", "chek").stderr
    assert "did you mean --json?" in cli("queue", "--josn").stderr
    assert "did you mean --for?" in cli("approve", "7K3M2Q", "--fro", "15m").stderr
    assert "did you mean" not in cli("xyzzy").stderr
    for arguments in (("queue", "--xyzzy"), ("queue", "-x"), ("queue", "--"), ("queue", "---")):
        assert "did you mean" not in cli(*arguments, "--api", "unix:/nonexistent").stderr, arguments


def test_what_is_missing_is_named():
    for arguments, words in ((("revoke",), "which grant?"), (("token", "revoke"), "which token?"),
                             (("token", "create"), "called?"), (("user", "add"), "called?"),
                             (("user", "passwd"), "whose"), (("user", "delete"), "whom?"),
                             (("policy", "check"), "which file?"), (("user", "add", "admin"), "is a role")):
        result = cli(*arguments)
        assert result.code == 2 and words in result.stderr and "usage:" in result.stderr, result


def test_help_is_a_verb_too():
    assert cli("help").out == cli("--help").out
    assert cli("help", "approve").out == cli("approve", "--help").out
    assert cli("help", "deny").out == cli("deny", "--help").out
    wrong = cli("help", "aprove")
    assert wrong.code == 2 and "did you mean approve?" in wrong.stderr


def test_policy_init_into_a_new_directory(tmp_path):
    target = tmp_path / "new" / "policy.yaml"
    made = cli("policy", "init", str(target))
    assert made.code == 0 and target.stat().st_size > 100 and "made the directory" in made.stderr
    deep = cli("policy", "init", str(tmp_path / "a" / "b" / "policy.yaml"))
    assert deep.code == 1 and "directory" in deep.stderr and not (tmp_path / "a").exists()


def test_doctor_knows_tokens_and_users(tcp_warden):
    warden = tcp_warden
    warden.cli("token", "create", "boss", "--role", "admin")
    warden.cli("user", "add", "alice", data=b"correct horse battery\n")
    text = warden.cli("doctor").stdout
    assert "1 bearer token" in text and "1 of an admin never expires" in text and "1 may log in" in text
    assert "with the role admin" in text and f"the dashboard is at {warden.tcp}" in text
    token = warden.cli("token", "create", "eye").stdout.strip()
    low = cli("--api", warden.tcp, "doctor", env={"CLAWRDEN_TOKEN": token})
    assert "only an admin can see them" in low.stdout


def test_a_stop_is_quiet(make_warden):
    warden = make_warden(ask("touch"), allow("sleep"))
    waiting = warden.spawn("touch", "x", stdin=subprocess.DEVNULL)
    running = warden.spawn("sleep", "600", stdin=subprocess.DEVNULL)
    warden.pending_id()
    warden.recorded(event="started")
    assert warden.terminate() == 0
    assert "error" not in warden.log() and "warning" not in warden.log(), warden.log()
    for process in (waiting, running):
        assert finish(process).code != 0
