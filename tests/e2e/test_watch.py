"""The live view, in a terminal of its own: what it shows, what a key decides, and how it leaves."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from fakeapi import FakeApi, certificate, entry, record
from harness import PATIENCE, PRISONER, allow, as_user, ask, finish, program
from screen import Screen

READ = 0.45  # longer than what must be on the screen is on it


class Watch:
    """clawrden-cli watch and a person before it."""

    def __init__(self, *arguments, rows=24, columns=80, env=None, verb=("watch",), uid=PRISONER):
        self.master, self.slave = pty.openpty()
        self.size(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        os.fchmod(self.slave, 0o666)
        environment = {"TERM": "xterm", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        environment.update(env or {})
        self.screen = Screen(rows, columns)
        self.process = subprocess.Popen(
            [program("clawrden-cli"), *arguments, *verb], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, env={k: v for k, v in environment.items() if v is not None},
            start_new_session=True, cwd="/",
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **as_user(uid))

    def size(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        self.size(rows, columns)

    def read(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                self.screen.feed(os.read(self.master, 65536))

    def expect(self, *texts, absent=()):
        """Reads until all of the texts, and none of the absent ones, are on the screen."""
        end = time.monotonic() + PATIENCE
        while not all(text in self.screen.text for text in texts) or \
                any(text in self.screen.text for text in absent):
            left = end - time.monotonic()
            assert left > 0, f"no {texts} (or still {absent}) on\n{self.screen.text}"
            if select.select([self.master], [], [], min(left, 0.2))[0]:
                self.screen.feed(os.read(self.master, 65536))
        assert not self.screen.unknown, self.screen.unknown
        return self.screen.text

    def press(self, *keys):
        for key in keys:
            os.write(self.master, key.encode())

    def select_first(self, ident):
        self.expect(ident)
        self.press("j")
        self.expect(f"> {ident}")
        self.read(READ)

    def wait(self):
        """The exit status; the terminal must be as it was."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end:\n{self.screen.text}"
            self.read(0.05)
        self.read(0.05)
        assert termios.tcgetattr(self.slave) == self.before
        assert not self.screen.alternate and not self.screen.hidden, "the terminal was left behind"
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        os.close(self.master)
        os.close(self.slave)


DOWN, UP, ESCAPE, ENTER = "\x1bOB", "\x1bOA", "\x1b", "\r"


@pytest.fixture
def api():
    made = []

    def make(**more):
        made.append(FakeApi(**more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def watch():
    made = []

    def make(api, *arguments, **more):
        made.append(Watch("--api", api if isinstance(api, str) else api.url, *arguments, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_shows_the_queue_and_what_happens(api, watch):
    server = api()
    server.pending = [entry("7K3M2Q", ["git", "push", "two words", ""], waiters=75),
                      entry("8888AA", ["rm", "-rf", "x"], needed=2, approved_by=["alice"])]
    server.records = [record(1, "ended", argv=["ls", "-la"])]
    view = watch(server)
    view.expect("2 waiting", "live", "7K3M2Q", "×75", "git push 'two words' ''", "8888AA", "1/2", "9m5",
                "04:10:29 ended default : ls -la")
    server.send(record(2, "started", argv=["make", "a b"]))
    view.expect("started default : make 'a b'")
    server.add(entry("NEWONE", ["npm", "install"]))
    view.expect("3 waiting", "NEWONE")
    server.remove("7K3M2Q")
    view.expect("2 waiting", absent=["×75"])
    view.press("q")
    assert view.wait() == 0


def test_a_key_approves_what_is_selected(api, watch):
    server = api()
    server.pending = [entry("FIRST1"), entry("SECOND", ["rm", "x"])]
    view = watch(server)
    view.expect("SECOND")
    view.press("a")  # nothing is selected by itself
    view.expect("nothing is selected")
    view.press(DOWN, DOWN)
    view.expect("> SECOND", "runs  /usr/bin/git")
    view.read(READ)
    view.press("a")
    view.expect("approved SECOND", "1 waiting")
    assert server.decisions() == [("/api/queue/SECOND/approve", {})]


def test_a_denial_has_a_reason(api, watch):
    server = api()
    server.pending = [entry("FIRST1")]
    view = watch(server)
    view.select_first("FIRST1")
    view.press("d")
    view.expect("reason for the agent:")
    view.press("use stagingx\x7f, bitte: ü€", ENTER)
    view.expect("denied FIRST1")
    assert server.decisions() == [("/api/queue/FIRST1/deny", {"reason": "use staging, bitte: ü€"})]


def test_a_denial_can_be_left(api, watch):
    server = api()
    server.pending = [entry("FIRST1")]
    view = watch(server)
    view.select_first("FIRST1")
    view.press("d")
    view.expect("reason for the agent:")
    view.press("no", ESCAPE)
    view.expect("> FIRST1", absent=["reason for the agent:"])
    assert server.decisions() == []


def test_a_grant_says_what_it_covers(api, watch):
    server = api()
    server.pending = [entry("FIRST1", grant={"exact": "exactly git push", "widened": "git push with any path below /work",
                                             "session": True, "why_not": None})]
    view = watch(server)
    view.select_first("FIRST1")
    view.press("g")
    view.expect("exactly git push", "git push with any path below /work", "for how long")
    view.press("1")
    view.expect("first say what")
    view.press("w")
    view.expect("> w")
    view.read(READ)
    view.press("2")
    view.expect("remembered as G-ABCDEF")
    assert server.decisions() == [("/api/queue/FIRST1/approve", {"for_ms": 3600000, "widened": True})]


@pytest.mark.parametrize("keys,body", [
    (["e", "s"], {"session": True}),
    (["e", "t", "45m", ENTER], {"for_ms": 2700000}),
    (["w", "s"], None), (["e", "t", "soon", ENTER], None),
])
def test_grants_of_each_kind(api, watch, keys, body):
    server = api()
    server.pending = [entry("FIRST1")]
    view = watch(server)
    view.select_first("FIRST1")
    view.press("g")
    view.expect("for how long")
    view.read(READ)
    view.press(*keys)
    if body is None:
        view.read(READ)
        assert server.decisions() == []
    else:
        view.expect("remembered as")
        assert server.decisions() == [("/api/queue/FIRST1/approve", body)]


def test_a_grant_that_covers_something_else_is_told(api, watch):
    server = api()
    server.pending = [entry("FIRST1")]
    server.answers[("POST", "/api/queue/FIRST1/approve")] = (
        200, {"id": "FIRST1", "decision": "approved", "needed": 1, "approved_by": [], "ran": 1,
              "grant": {"id": "G-EVIL", "covers": "everything", "expires_at": None, "session": True}})
    view = watch(server)
    view.select_first("FIRST1")
    view.press("g")
    view.expect("for how long")
    view.read(READ)
    view.press("e", "1")
    view.expect("G-EVIL COVERS SOMETHING ELSE")


# A decision is about what was read.


def test_typed_ahead_decides_nothing(api, watch):
    server = api()
    server.pending = [entry("FIRST1"), entry("SECOND")]
    view = watch(server)
    view.expect("FIRST1")
    view.press("ja")  # at once: what is selected cannot have been read
    view.expect("that key came before FIRST1 could be read")
    view.press("jg")
    view.expect("that key came before SECOND could be read")
    view.press("kd")
    view.read(READ)
    assert "reason for the agent" not in view.screen.text
    assert server.decisions() == []


def test_typed_ahead_while_it_was_stopped_decides_nothing(api, watch):
    server = api()
    server.pending = [entry("FIRST1"), entry("SECOND")]
    view = watch(server)
    view.expect("SECOND")
    os.kill(view.process.pid, signal.SIGSTOP)
    view.press("j", "a")
    time.sleep(2 * READ)
    view.press("a")
    os.kill(view.process.pid, signal.SIGCONT)
    view.expect("> FIRST1")
    view.read(READ)
    assert server.decisions() == []


def test_the_selection_never_jumps(api, watch):
    server = api()
    server.pending = [entry("FIRST1"), entry("SECOND"), entry("THIRD1")]
    view = watch(server)
    view.expect("THIRD1")
    view.press(DOWN, DOWN)
    view.expect("> SECOND")
    server.pending.insert(0, entry("OLDER1"))  # whatever order the answer has
    server.add(entry("NEWER1"))
    text = view.expect("NEWER1", "OLDER1")
    places = [text.index(ident) for ident in ("FIRST1", "> SECOND", "THIRD1", "OLDER1")]
    assert places == sorted(places), text
    server.remove("SECOND")
    view.expect("4 waiting", absent=["> SECOND", "SECOND  "])
    assert not any(line.startswith(">") for line in view.screen.lines)
    view.read(READ)
    view.press("a")
    view.expect("nothing is selected")
    view.press(DOWN)
    view.expect("> THIRD1")
    assert server.decisions() == []


def test_a_prompt_whose_request_is_gone_swallows_what_is_typed(api, watch):
    """"jail access": j would select the next one and a approve it."""
    server = api()
    server.pending = [entry("FIRST1"), entry("SECOND")]
    view = watch(server)
    view.select_first("FIRST1")
    view.press("d")
    view.expect("reason for the agent:")
    server.remove("FIRST1")
    view.expect("FIRST1 is no longer pending")
    for key in "jail access":
        view.press(key)
        view.read(0.1)
    view.read(READ)
    view.press("aaa")
    view.read(READ)
    view.press(ENTER)
    view.expect("SECOND", absent=["no longer pending"])
    view.read(READ)
    assert server.decisions() == []


def test_what_changes_under_the_id_is_read_again(api, watch):
    server = api()
    server.pending = [entry("FIRST1", ["git", "status"])]
    view = watch(server)
    view.select_first("FIRST1")
    server.pending = [entry("FIRST1", ["rm", "-rf", "/"])]
    server.send(record(1, "asked"))
    view.expect("rm -rf /")
    view.press("a")
    view.expect("could be read")
    assert server.decisions() == []


def test_what_does_not_fit_is_not_approved_unseen(api, watch):
    server = api()
    argv = ["sh", "-c", "echo " + "harmless " * 300 + "; rm -rf /"]
    server.pending = [entry("FIRST1", argv)]
    view = watch(server)
    view.expect("FIRST1")
    view.press("j")
    view.expect("NOT ALL OF IT IS SHOWN")
    view.read(READ)
    view.press("a")
    view.expect("not all of FIRST1 was on the screen")
    view.press(ENTER)
    view.expect("    0  sh", "    1  -c", "(+1")
    view.read(READ)
    view.press("a")
    view.expect("scroll to its end")
    view.press("f")
    view.read(READ)
    for _ in range(8):
        view.press("\x1b[6~")
    view.expect("; rm -rf /'", "blake2b " + "ab" * 32)
    view.read(READ)
    assert server.decisions() == []
    view.press("a")
    view.expect("approved FIRST1")
    assert len(server.decisions()) == 1


def test_arguments_that_the_warden_keeps_are_told(api, watch):
    server = api()
    server.pending = [entry("FIRST1", argv_more=4000)]
    view = watch(server)
    view.expect("FIRST1")
    view.press("j")
    view.expect("4000 arguments more", "NOT ALL OF IT IS SHOWN")


def test_what_one_may_not_decide(api, watch):
    server = api()
    server.pending = [entry("FIRST1", may_decide=False, why_not="only by: bob")]
    view = watch(server)
    view.select_first("FIRST1")
    for key in "adg":
        view.press(key)
        view.expect("you may not decide FIRST1: only by: bob")
    assert server.decisions() == []


def test_quiet_rules_are_one_line(api, watch):
    server = api()
    server.pending = [entry(f"QUIET{i}", ["git", f"c{i}"], quiet=True, rule="git-chores") for i in range(5)]
    server.pending.append(entry("LOUD11", ["rm", "x"]))
    view = watch(server, verb=("watch", "--bell"))
    view.expect("6 waiting (5 quiet)", "LOUD11", "quiet: 5 requests by \"git-chores\"", absent=["QUIET0"])
    bells = view.screen.bells
    server.add(entry("QUIET9", quiet=True, rule="git-chores"))
    view.expect("quiet: 6 requests")
    assert view.screen.bells == bells, "a quiet one rang"
    server.add(entry("LOUD22", ["rm", "y"]))
    view.expect("LOUD22")
    assert view.screen.bells == bells + 1
    view.press("z")
    view.expect("QUIET0", absent=["quiet: 6"])


def test_help_is_no_way_around(api, watch):
    server = api()
    server.pending = [entry("FIRST1")]
    view = watch(server)
    view.select_first("FIRST1")
    view.press("?")
    view.expect("one argument per line, digests")
    view.read(READ)
    view.press("x", "a")
    view.expect("could be read")
    assert server.decisions() == []


def test_nothing_is_missing_between_history_and_events(api, watch):
    server = api()
    server.records = [record(i + 1, argv=[f"n{i + 1}"]) for i in range(3)]

    def late(_):
        """Something happens while the history is on its way."""
        found = list(reversed(server.records))
        server.send(record(len(server.records) + 1, argv=["between"]))
        return 200, {"records": found, "next": None}

    server.answers[("GET", "/api/history")] = late
    view = watch(server)
    view.expect(": n1", ": n2", ": n3", ": between")
    assert view.screen.text.count(": between") == 1


# The network.


def test_it_comes_back_after_the_warden_was_away(api, watch):
    server = api()
    server.pending = [entry("FIRST1")]
    server.records = [record(1, "ended", argv=["one"])]
    view = watch(server)
    view.expect("FIRST1", "live")
    server.send(record(2, "ended", argv=["two"]))
    view.expect(": two")
    server.stop()
    view.expect("NOT LIVE")
    server.records.append(record(3, "ended", argv=["three", "while away"]))
    server.pending = [entry("SECOND")]
    server.start()
    view.expect("SECOND", "three 'while away'", absent=["FIRST1  ", "NOT LIVE"])
    assert view.screen.text.count(": two") == 1, "shown twice"
    assert any(headers.get("Last-Event-ID") == "2" for headers in server.headers)


def test_a_decision_that_fails_is_told(api, watch):
    server = api()
    server.pending = [entry("FIRST1")]
    server.answers[("POST", "/api/queue/FIRST1/approve")] = (
        409, {"error": "FIRST1 is not pending: it was denied already", "code": "over"})
    view = watch(server)
    view.select_first("FIRST1")
    view.press("a")
    view.expect("NOT DECIDED: FIRST1 is not pending: it was denied already")


def test_a_queue_that_is_none_is_not_an_empty_one(api, watch):
    server = api()
    server.pending = [entry("FIRST1")]
    view = watch(server)
    view.expect("FIRST1")
    server.answers[("GET", "/api/queue")] = (200, {"nothing": []})
    view.press("r")
    view.expect("the queue is not known", "FIRST1")


def test_over_tls_with_a_token(api, watch):
    cert, context = certificate(api().directory)  # others may enter that one
    secure = api(tcp=True, tls=context)
    secure.pending = [entry("FIRST1")]
    view = watch(secure, "--ca-file", cert, env={"CLAWRDEN_TOKEN": "clwd_secret"})
    view.expect("FIRST1", "live")
    assert all(headers.get("Authorization") == "Bearer clwd_secret" for headers in secure.headers)
    # Another's certificate is nobody.
    stranger = watch(secure, env={"CLAWRDEN_TOKEN": "clwd_secret"})
    stranger.expect("cannot reach the warden")
    assert stranger.wait() == 3


# The terminal.


@pytest.mark.parametrize("rows,columns", [(24, 80), (10, 40), (7, 31), (50, 200)])
def test_sizes(api, watch, rows, columns):
    server = api()
    server.pending = [entry("FIRST1", ["git", "push", "x" * 60])]
    view = watch(server, rows=rows, columns=columns)
    view.expect("FIRST1")
    view.press("j")
    view.expect("> FIRST1")
    view.press("q")
    assert view.wait() == 0


def test_too_small_decides_nothing(api, watch):
    server = api()
    server.pending = [entry("FIRST1")]
    view = watch(server)
    view.select_first("FIRST1")
    view.resize(3, 20)
    view.expect("too small")
    view.read(READ)
    view.press("a")
    view.read(READ)
    assert server.decisions() == []
    view.resize(24, 80)
    view.expect("> FIRST1", "runs  /usr/bin/git")


def test_resize(api, watch):
    server = api()
    server.pending = [entry("FIRST1", ["git", "y" * 70 + "END"])]
    view = watch(server, rows=24, columns=40)
    view.expect("FIRST1", absent=["END"])
    view.resize(30, 120)
    view.expect("yyEND", "q quit")


@pytest.mark.parametrize("how", ["q", "\x03", signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV,
                                 signal.SIGABRT])
def test_the_terminal_is_as_before(api, watch, how):
    server = api()
    server.pending = [entry("FIRST1")]
    view = watch(server)
    view.expect("FIRST1", "live")
    assert view.screen.alternate
    if isinstance(how, str):
        view.press(how)
    else:
        os.kill(view.process.pid, how)
    status = view.wait()
    assert status == (-how if how in (signal.SIGSEGV, signal.SIGABRT) else 0)


def test_stopped_by_hand_and_continued(api, watch):
    server = api()
    server.pending = [entry("FIRST1")]
    view = watch(server)
    view.select_first("FIRST1")
    view.press("\x1a")
    view.read(READ)
    os.kill(view.process.pid, signal.SIGCONT)
    view.expect("> FIRST1", "live")
    view.press("q")
    assert view.wait() == 0


def test_a_terminal_that_is_gone_ends_it(api):
    server = api()
    view = Watch("--api", server.url)
    view.expect("live")
    os.close(view.slave)
    os.close(view.master)
    assert view.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("term", ["dumb", "", None, "no-such-terminal"])
def test_a_dumb_terminal_is_refused(api, watch, term):
    view = watch(api(), env={"TERM": term})
    view.expect("use `clawrden-cli queue`")
    assert view.wait() == 2


def test_no_terminal_is_an_error(api):
    result = subprocess.run([program("clawrden-cli"), "--api", api().url, "watch"], stdin=subprocess.DEVNULL,
                            capture_output=True, timeout=PATIENCE, env={"TERM": "xterm"})
    assert result.returncode == 2 and b"watch wants a terminal" in result.stderr and not result.stdout


def test_no_warden_is_told_before_the_screen_is_taken(watch):
    view = watch("unix:/nonexistent/api.sock")
    view.expect("cannot reach the warden")
    assert view.wait() == 3 and "\x1b[?1049h" not in view.screen.text


def colors(view):
    """The parameters of all SGR sequences that came."""
    found = []
    keep = view.screen.control

    def control(private, numbers, final):
        if final == "m" and not private:
            found.append(numbers)
        keep(private, numbers, final)

    view.screen.control = control
    return found


@pytest.mark.parametrize("env,expected", [({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({}, True)])
def test_no_color(api, watch, env, expected):
    server = api()
    server.pending = [entry("FIRST1", notes=["mutable input"])]
    view = watch(server, env=env)
    found = colors(view)
    view.select_first("FIRST1")
    view.press("a")
    view.expect("approved FIRST1")
    used = any(part.startswith(("3", "4")) and len(part) == 2 and part not in ("38", "48", "39", "49")
               for numbers in found for part in numbers.split(";"))
    assert used == expected, found


def test_other_locales_get_escapes(api, watch):
    server = api()
    server.pending = [entry("FIRST1", ["echo", "grüße"])]
    view = watch(server, env={"LANG": "C", "LC_ALL": "C"})
    view.expect("'gr\\u{fc}\\u{df}e'")


# The real warden.


def test_with_a_real_warden(make_warden, watch):
    warden = make_warden(ask("touch"), allow("echo"))
    process = warden.spawn("touch", "from-watch")
    ident = warden.pending_id()
    view = watch(f"unix:{warden.api_socket}", uid=warden.user)
    view.select_first(ident)
    view.expect("touch from-watch")
    view.press("a")
    view.expect(f"approved {ident}")
    assert finish(process).code == 0
    assert os.path.exists(os.path.join(warden.work, "from-watch"))
    decided = warden.recorded(event="decided")
    assert decided["via"] == "cli" and decided["verdict"] == "approved", decided
