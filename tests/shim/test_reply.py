"""What the shim makes of an answer: exit codes, deaths, messages, output, and nonsense."""

import fcntl
import os
import resource
import signal
import struct
import subprocess
import time

import pytest

from fakedoor import (ALLOWED, DENIED, F_CANCEL, F_EXIT, F_MESSAGE, F_STDERR, F_STDIN, F_STDOUT,
                      F_TICK, IN_JOURNAL, JOURNAL_KNOWS, NOTHING_RUN, PENDING, SANITIZED, finish, state_of,
                      wait_until)

WHILE_PENDING = b" while the request was waiting for approval"
MALFORMED = b"clawrden: the warden answered with something that is not the shim's protocol"


@pytest.mark.parametrize("code", [0, 1, 2, 42, 75, 124, 125, 126, 127, 128, 130, 137, 255])
def test_exit_codes(door, shims, code):
    shim = shims.start("git")
    door.request().ack(ALLOWED).exit(code)
    assert finish(shim) == (code, b"", b"")


DEADLY = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGILL, signal.SIGTRAP,
          signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL, signal.SIGUSR1,
          signal.SIGSEGV, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, signal.SIGTERM,
          signal.SIGXCPU, signal.SIGSYS, 34, 36, 50, 64]


@pytest.mark.parametrize("number", DEADLY)
def test_deaths(door, shims, tmp_path, number):
    def let_cores_be():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)

    shim = shims.start("git", preexec_fn=let_cores_be, cwd=tmp_path)
    door.request().ack(ALLOWED).died(number)
    _, status = os.waitpid(shim.pid, 0)
    shim.returncode = 0
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == number
    assert not os.WCOREDUMP(status)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGPIPE])
def test_death_by_a_signal_that_is_ignored_or_blocked(door, shims, number):
    def ignore():
        signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])

    shim = shims.start("git", preexec_fn=ignore, restore_signals=False)
    door.request().ack(ALLOWED).died(number)
    assert finish(shim)[0] == -number


@pytest.mark.parametrize("number", [signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT])
def test_death_that_no_signal_can_cause(door, shims, number):
    shim = shims.start("git")
    door.request().ack(ALLOWED).died(number)
    assert finish(shim)[0] == 128 + number


def test_refusal(door, shims):
    shim = shims.start("git")
    door.request().ack(DENIED).message(b"denied: git push (rule \"x\": try \xc3\xa4)").exit(126)
    assert finish(shim) == (126, b"", b"clawrden: denied: git push (rule \"x\": try \xc3\xa4)\n")


def test_asked_and_approved(door, shims):
    shim = shims.start("git")
    visit = door.request().ack(PENDING)
    visit.message(b"waiting for approval 7K3M2Q (expires in 10m)").tick()
    assert shim.stderr.readline() == b"clawrden: waiting for approval 7K3M2Q (expires in 10m)\n"
    visit.tick().message(b"still waiting").ack(ALLOWED).tick().exit(5)
    assert finish(shim) == (5, b"", b"clawrden: still waiting\n")


def test_asked_and_refused(door, shims):
    shim = shims.start("git")
    door.request().ack(PENDING).message(b"a").ack(DENIED).message(b"b").tick().exit(126)
    assert finish(shim) == (126, b"", b"clawrden: a\nclawrden: b\n")


def test_life_before_the_ack(door, shims):
    """A warden that is slow to judge says so."""
    shim = shims.start("git")
    door.request().tick().message(b"judging").tick().ack(PENDING).tick().ack(ALLOWED).exit(1)
    assert finish(shim) == (1, b"", b"clawrden: judging\n")


def test_everything_in_one_piece(door, shims):
    shim = shims.start("git")
    door.request().send(b"\2" + b"\x0a\0\0\0\0" + b"\x09\2\0\0\0hi" + b"\0" + b"\1\3\0\0\0out" +
                        b"\2\3\0\0\0err" + b"\3\2\0\0\0\0\7" + b"what follows is not looked at")
    assert finish(shim) == (7, b"out", b"clawrden: hi\nerr")


def test_byte_at_a_time(door, shims):
    shim = shims.start("git")
    visit = door.request()
    for byte in (b"\2" + b"\x0a\0\0\0\0" + b"\x09\2\0\0\0hi" + b"\0" + b"\1\3\0\0\0out" +
                 b"\3\2\0\0\0\0\7"):
        visit.send(bytes([byte]))
        time.sleep(0.002)
    assert finish(shim) == (7, b"out", b"clawrden: hi\n")


@pytest.mark.parametrize("text", [b"", b"x" * 65536, bytes(range(1, 256))])
def test_messages(door, shims, text):
    shim = shims.start("git")
    door.request().ack(ALLOWED).message(text).tick().message(b"after").exit(0)
    assert finish(shim) == (0, b"", b"clawrden: " + text + b"\nclawrden: after\n")


def test_a_message_is_one_write(door, shims):
    """Two shims on one pipe do not mix their lines."""
    read_end, write_end = os.pipe()
    crowd = [shims.start("git", stderr=write_end) for _ in range(2)]
    os.close(write_end)
    visits = [door.request() for _ in crowd]
    for visit in visits:
        visit.ack(ALLOWED)
    for _ in range(20):
        for i, visit in enumerate(visits):
            visit.message(bytes([97 + i]) * 1000)
    for visit in visits:
        visit.exit(0)
    with open(read_end, "rb") as file:
        lines = file.read().split(b"\n")
    assert sorted(lines) == [b""] + [b"clawrden: " + c * 1000 for c in (b"a", b"b")
                                     for _ in range(20)]


def test_message_to_a_stderr_that_nobody_reads(door, shims):
    shim = shims.start("git")
    visit = door.request().ack(ALLOWED)
    shim.stderr.close()
    visit.message(b"lost").message(b"lost").exit(4)
    assert shim.wait(20) == 4


def test_refusal_to_a_stderr_that_nobody_reads(door, shims):
    shim = shims.start("git")
    visit = door.request()
    shim.stderr.close()
    visit.ack(DENIED).message(b"denied").close()
    assert shim.wait(20) == 125


def send_in_frames(visit, kind, data, size):
    for at in range(0, len(data), size):
        visit.frame(kind, data[at:at + size])


@pytest.mark.parametrize("size", [1, 4095, 65536])
def test_output(door, shims, size):
    data = os.urandom(2_000_000 if size > 1 else 2000)
    shim = shims.start("git")
    visit = door.request().ack(ALLOWED)
    pieces = []
    reader = os.fork()
    if reader == 0:  # the door's side, while we drain the shim's output below
        try:
            send_in_frames(visit, F_STDOUT, data, size)
            visit.frame(F_STDOUT).frame(F_STDERR, b"and \0 err").exit(0)
        finally:
            os._exit(0)
    while True:
        piece = shim.stdout.read1(65536)
        if not piece:
            break
        pieces.append(piece)
    os.waitpid(reader, 0)
    assert (b"".join(pieces) == data) is True
    assert finish(shim) == (0, b"", b"and \0 err")


def test_output_in_order(door, shims):
    shim = shims.start("git", stderr=subprocess.STDOUT)
    visit = door.request().ack(ALLOWED)
    for i in range(100):
        visit.frame(F_STDOUT, b"o%d " % i).frame(F_STDERR, b"e%d " % i)
    visit.exit(0)
    assert finish(shim)[1] == b"".join(b"o%d e%d " % (i, i) for i in range(100))


@pytest.mark.parametrize("nonblocking", [False, True])
def test_a_slow_reader_holds_the_door_back(door, shims, nonblocking):
    read_end, write_end = os.pipe()
    if nonblocking:
        fcntl.fcntl(write_end, fcntl.F_SETFL, os.O_NONBLOCK)
    shim = shims.start("git", stdout=write_end, hasty=True)
    os.close(write_end)
    visit = door.request().ack(ALLOWED)
    visit.socket.setblocking(False)
    frame = struct.pack("<BI", F_STDOUT, 60_000) + bytes(60_000)
    sent, unsent = 0, b""
    end = time.monotonic() + 2.5  # longer than the hasty shim bears silence
    while time.monotonic() < end:
        try:
            unsent = unsent or frame
            got = visit.socket.send(unsent)
            sent, unsent = sent + got, unsent[got:]
        except BlockingIOError:
            time.sleep(0.01)
    assert sent < 2_000_000  # the pipe, the inbox and the socket's buffers
    assert shim.poll() is None
    visit.socket.setblocking(True)
    total = 0
    sender = os.fork()
    if sender == 0:
        try:
            visit.send(unsent).exit(6)
        finally:
            os._exit(0)
    while True:
        piece = os.read(read_end, 65536)
        if not piece:
            break
        total += len(piece)
    os.close(read_end)
    os.waitpid(sender, 0)
    assert shim.wait(20) == 6
    assert total == (sent + len(unsent)) // len(frame) * 60_000


def test_output_that_nobody_reads(door, shims):
    shim = shims.start("git")
    visit = door.request().ack(ALLOWED)
    shim.stdout.close()
    visit.frame(F_STDOUT, b"x")
    assert shim.wait(20) == -signal.SIGPIPE


def test_output_that_nobody_reads_and_sigpipe_ignored(door, shims):
    shim = shims.start("git", restore_signals=False,
                       preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN))
    visit = door.request().ack(ALLOWED)
    shim.stdout.close()
    visit.frame(F_STDOUT, b"x")
    shim.stdout = None
    assert finish(shim) == (1, None, b"clawrden: write error: Broken pipe\n")


def test_output_to_a_full_disk(door, shims):
    with open("/dev/full", "wb") as full:
        shim = shims.start("git", stdout=full)
    door.request().ack(ALLOWED).frame(F_STDOUT, b"x")
    assert finish(shim) == (1, None, b"clawrden: write error: No space left on device\n")


def frame(kind, payload=b"", size=None):
    return struct.pack("<BI", kind, len(payload) if size is None else size) + payload


@pytest.mark.parametrize("answer", [
    b"\3", b"\xff", b"HTTP/1.1 400 Bad Request\r\n", frame(F_EXIT, b"\0\0"), frame(F_TICK, b"x"),
    frame(F_MESSAGE, size=65537),
])
def test_nonsense_instead_of_an_ack(door, shims, answer):
    shim = shims.start("git")
    door.request().send(answer)
    assert finish(shim) == (125, b"", MALFORMED + JOURNAL_KNOWS)


@pytest.mark.parametrize("answer", [
    b"\2", b"\3", b"\xff", frame(F_EXIT, b"\0\0"), frame(F_TICK, b"x"), frame(F_STDERR, b"x"),
    frame(F_MESSAGE, size=65537), frame(F_MESSAGE, size=0xFFFFFFFF),
])
def test_nonsense_while_pending(door, shims, answer):
    shim = shims.start("git")
    door.request().ack(PENDING).send(answer)
    assert finish(shim) == (125, b"", MALFORMED + WHILE_PENDING + JOURNAL_KNOWS)


@pytest.mark.parametrize("answer", [frame(F_STDOUT, b"x"), frame(F_STDERR, b"x"), b"\0\0\0\0\0"])
def test_nonsense_after_a_refusal(door, shims, answer):
    shim = shims.start("git")
    door.request().ack(DENIED).send(answer)
    assert finish(shim) == (125, b"", MALFORMED + NOTHING_RUN)


@pytest.mark.parametrize("answer", [
    b"\0", b"\xff", frame(F_CANCEL), frame(F_STDIN, b"x"), frame(F_TICK, b"x"),
    frame(F_STDOUT, size=65537), frame(F_STDERR, size=0x80000000), frame(F_MESSAGE, size=65537),
    frame(F_EXIT), frame(F_EXIT, b"\0"), frame(F_EXIT, b"\0\0\0"), frame(F_EXIT, b"\2\1"),
    frame(F_EXIT, b"\1\0"), frame(F_EXIT, b"\1\x41"), frame(F_EXIT, size=0xFFFFFFFF),
])
def test_nonsense_while_running(door, shims, answer):
    shim = shims.start("git")
    door.request().ack(ALLOWED).send(answer)
    assert finish(shim) == (125, b"", MALFORMED + IN_JOURNAL)


CLOSED = b"clawrden: the warden closed the connection"
SILENT = b"clawrden: the warden has gone silent"
ENDINGS = [
    (b"", JOURNAL_KNOWS),
    (frame(F_TICK), JOURNAL_KNOWS),
    (b"\2", WHILE_PENDING + JOURNAL_KNOWS),
    (b"\2" + frame(F_TICK), WHILE_PENDING + JOURNAL_KNOWS),
    (b"\1", NOTHING_RUN),
    (b"\0", IN_JOURNAL),
    (b"\0" + frame(F_TICK), IN_JOURNAL),
    (b"\0" + frame(F_EXIT, b"\0\0")[:-1], IN_JOURNAL),
]


@pytest.mark.parametrize("answer, end", ENDINGS)
def test_connection_closed(door, shims, answer, end):
    shim = shims.start("git")
    door.request().send(answer).close()
    assert finish(shim) == (125, b"", CLOSED + end)


@pytest.mark.parametrize("answer, end", ENDINGS)
def test_silence(door, shims, answer, end):
    shim = shims.start("git", hasty=True)
    door.request().send(answer)
    begun = time.monotonic()
    assert finish(shim) == (125, b"", SILENT + end)
    assert 0.8 < time.monotonic() - begun < (10 if SANITIZED else 3)


@pytest.mark.parametrize("ack", [ALLOWED, PENDING, None])
def test_ticks_are_life(door, shims, ack):
    shim = shims.start("git", hasty=True)
    visit = door.request()
    if ack is not None:
        visit.ack(ack)
    for _ in range(8):
        time.sleep(0.4)
        visit.tick()
    if ack != ALLOWED:
        visit.ack(ALLOWED)
    visit.exit(3)
    assert finish(shim) == (3, b"", b"")


def test_a_stopped_shim_does_not_count_its_own_absence(door, shims):
    shim = shims.start("git", hasty=True)
    visit = door.request().ack(ALLOWED)
    wait_until(lambda: state_of(shim.pid) == "S")
    for _ in range(2):
        shim.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(shim.pid) == "T")
        time.sleep(1.5)
        shim.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        visit.tick()
        time.sleep(0.1)
    visit.exit(3)
    assert finish(shim) == (3, b"", b"")
