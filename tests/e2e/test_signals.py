"""Signals sent to the shim reach the command."""

import contextlib
import os
import select
import signal
import struct
import subprocess
import time

import pytest

from harness import (ACK_ALLOWED, FRAME_CANCEL, PATIENCE, PRISONER, Raw, allow, as_user, ask, finish,
                     in_child, is_alive, wait_for)

CATCH = ("import os, signal, sys, time\n"
         "def caught(number, frame):\n"
         "    os.write(1, b'caught %d' % number + b'\\n')\n"
         "    os._exit(42)\n"
         "signal.signal(int(sys.argv[1]), caught)\n"
         "os.write(1, b'ready\\n')\n"
         "time.sleep(60)\n")


def read_line(process):
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(process.stdout.fileno(), 1)
        if not piece:
            break
        line += piece
    return line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT,
                                    signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_reaches_the_command(make_warden, number):
    warden = make_warden(allow("python3"))
    process = warden.spawn("python3", "-c", CATCH, str(int(number)))
    assert read_line(process) == b"ready\n"
    process.send_signal(number)
    result = finish(process)
    assert (result.code, result.out) == (42, b"caught %d\n" % number)


# The moment between the command's start and the shim's hearing of it: its first output may be what
# makes an agent signal the shim.

DEADLY = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
# Bash loses an INT now and then that comes while it waits for a program: it waits for none.
TRAP = "trap 'echo caught {0}; exit 9' {0}; echo ready; while :; do :; done"


def spawn_trap(warden, number, **more):
    return warden.spawn("bash", "-c", TRAP.format(number.name[3:]), **more)


def assert_caught(process, number):
    result = finish(process)
    assert (result.code, result.out) == (9, b"caught %s\n" % number.name[3:].encode()), result
    assert result.err == b""


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: state(pid) == "T", what=f"the stop of {pid}")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("number", DEADLY)
def test_a_signal_as_soon_as_it_speaks(make_warden, number):
    warden = make_warden(allow("bash"))
    for _ in range(25):
        process = spawn_trap(warden, number)
        assert read_line(process) == b"ready\n"
        process.send_signal(number)
        assert_caught(process, number)


@pytest.mark.parametrize("number", DEADLY)
def test_a_signal_and_the_ack_find_the_shim_together(make_warden, number):
    """A shim that is stopped from its request until the command has spoken learns of both at once,
    and deals with the signal first."""
    warden = make_warden(allow("bash"))
    door = warden.process_of("door")
    for _ in range(5):
        with stopped(door):
            process = spawn_trap(warden, number)
            wait_for(lambda: state(process.pid) == "S", what="a shim that waits")
            os.kill(process.pid, signal.SIGSTOP)
            wait_for(lambda: state(process.pid) == "T", what="the shim's stop")
        assert read_line(process) == b"ready\n"
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        assert_caught(process, number)


@pytest.mark.parametrize("number", DEADLY)
def test_a_signal_while_the_ack_is_on_its_way(make_warden, number):
    """The door is stopped from the moment it has passed the request on: when it goes on, the ack and
    the signal wait for it. Nobody can see that moment: a door that was stopped before it is not counted."""
    warden = make_warden(allow("bash"))
    door, judge = warden.process_of("door"), warden.process_of("warden")
    shown = 0
    for _ in range(10):
        with stopped(judge):
            process = spawn_trap(warden, number)
            wait_for(lambda: count_accepted(warden) == 1 and state(door) == "S",
                     what="a request that the door has passed on")
            os.kill(door, signal.SIGSTOP)
            wait_for(lambda: state(door) == "T", what="the door's stop")
        try:
            speaks = select.select([process.stdout], [], [], 3)[0]
            if speaks:
                assert read_line(process) == b"ready\n"
                process.send_signal(number)
                shown += 1
        finally:
            os.kill(door, signal.SIGCONT)
        if not speaks:
            assert read_line(process) == b"ready\n"
            process.send_signal(number)
        assert_caught(process, number)
        wait_for(lambda: count_accepted(warden) == 0, what="the end of the connection")
        if shown == 5:
            break
    assert shown > 0


def count_accepted(warden):
    """The door's ends of connections: they have the listener's path, and an inode once accepted."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        lines = [line.split() for line in file]
    return sum(line[5] == "03" and line[6] != "0" and line[7:] == [warden.socket_path()]
               for line in lines[1:])


@pytest.mark.parametrize("role", ["door", "warden"])
@pytest.mark.parametrize("number", DEADLY)
def test_a_signal_while_nobody_answers(make_warden, role, number):
    """The shim dies of it all the same, and its command never runs, or is ended."""
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    entry = warden.pending_id()
    with stopped(warden.process_of(role)):
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number
    withdrawn = number in (signal.SIGINT, signal.SIGQUIT)
    assert warden.recorded(event="cancelled", request=entry)
    wait_for(lambda: [one["waiters"] for one in warden.queue()] == ([] if withdrawn else [0]))
    assert warden.cli("approve", entry).code == (1 if withdrawn else 0)
    assert not os.path.exists(os.path.join(warden.work, "mark"))


def cancel(payload):
    return struct.pack("<BI", FRAME_CANCEL, len(payload)) + payload


def call_with_frames(path, command, frames):
    raw = Raw(path)
    raw.ask(command)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for frame in frames:
            raw.socket.sendall(frame)
    return raw.answer()


@pytest.mark.parametrize("payload", [b"\x02\x00", b"\x0f\x01", b"\x01\xff", b"\x00\x00", b"\x09\x00", b"\x0a\x00",
                                     b"\xff\xff", b"\x0f", b"\x0f\x00\x00", b"\x0f" * 65536])
def test_a_prisoners_own_cancel(make_warden, payload):
    """As often as it likes, with whatever it likes: nothing runs, and others are served."""
    warden = make_warden(ask("touch") + allow("true"))
    frames = [cancel(payload)] * (2000 if len(payload) < 10 else 5)
    ack, code, _ = in_child(call_with_frames, warden.socket_path(), ["touch", "mark"], frames)
    assert ack != ACK_ALLOWED and code in (126, None)
    assert warden.recorded(event="cancelled") and not warden.journal(event="started")
    assert warden.shim("true").code == 0


def test_a_prisoners_cancels_while_it_runs(make_warden):
    """Each is a signal then, and no more than that."""
    warden = make_warden(allow("bash", "true"))
    ready = os.path.join(warden.work, "ready")
    script = f"trap : TERM; trap 'exit 9' HUP; : >{ready}; while :; do :; done"

    def call(path):
        raw = Raw(path)
        raw.ask(["bash", "-c", script])
        wait_for(lambda: os.path.exists(ready))
        raw.socket.sendall(cancel(b"\x0f\x00") * 2000 + cancel(b"\x01\x00"))
        return raw.answer()

    assert in_child(call, warden.socket_path(), timeout=2 * PATIENCE)[:2] == (ACK_ALLOWED, 9)
    assert warden.recorded(event="ended")["exit_code"] == 9
    assert warden.shim("true").code == 0


def test_the_default_action_comes_back(make_warden):
    warden = make_warden(allow("sleep"))
    process = warden.spawn("sleep", "1234")
    wait_for(lambda: warden.journal(event="started"))
    process.terminate()
    assert finish(process).code == -signal.SIGTERM


def test_the_shim_is_killed(make_warden):
    """A lost connection cancels the running request: nothing of it stays."""
    warden = make_warden(allow("sh"))
    process = warden.spawn("sh", "-c", "echo $$; trap '' TERM; while :; do sleep 0.1; done")
    pid = int(read_line(process))
    assert os.path.exists(f"/proc/{pid}")
    process.kill()
    process.wait(5)
    wait_for(lambda: not is_alive(pid), what="the end of the command")
    record = warden.recorded(event="cancelled") if warden.journal(event="cancelled") else \
        warden.recorded(event="ended")
    assert record


def read_line_in_time(process):
    assert select.select([process.stdout], [], [], PATIENCE)[0], "nothing was written"
    return read_line(process)


TICK = ("import os, signal, time\n"
        "def caught(number, frame):\n"
        "    os._exit(42)\n"
        "signal.signal(signal.SIGUSR1, caught)\n"
        "signal.signal(signal.SIGUSR2, lambda number, frame: os.write(1, b'goes on\\n'))\n"
        "os.write(1, b'%d\\n' % os.getpid())\n"
        "while True:\n    time.sleep(0.05)\n")

# A group that is not orphaned: its parent, the test, is in another one of the same session. In an
# orphaned one, as a test's own may be, the kernel lets no such signal stop anybody.
A_JOB = {"process_group": 0}


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_stop_and_continue(make_warden):
    warden = make_warden(allow("python3"))
    process = warden.spawn("python3", "-c", TICK, **A_JOB)
    pid = int(read_line(process))
    for _ in range(3):
        process.send_signal(signal.SIGTSTP)
        wait_for(lambda: state(pid) == "T", what="the command's stop")
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: state(pid) != "T", what="the command's going on")
    process.send_signal(signal.SIGUSR1)
    assert finish(process).code == 42


def test_a_continuation_is_never_lost(make_warden):
    """It comes at every moment of the stop: at once, while the stop is on its way, after it."""
    warden = make_warden(allow("python3"))
    process = warden.spawn("python3", "-c", TICK, **A_JOB)
    read_line(process)
    for i in range(50):
        process.send_signal(signal.SIGTSTP)
        time.sleep(i % 5 * 0.015)
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGUSR2)  # neither is the shim stopped, nor the command
        assert read_line_in_time(process) == b"goes on\n"
    process.send_signal(signal.SIGUSR1)
    assert finish(process).code == 42


def test_a_stop_before_the_start(make_warden):
    """A caller that is stopped when its approval comes gets a stopped command."""
    warden = make_warden(ask("python3"))
    process = warden.spawn("python3", "-c", TICK, **A_JOB)
    entry = warden.pending_id()
    process.send_signal(signal.SIGTSTP)
    wait_for(lambda: state(process.pid) == "T", what="the shim's stop")
    assert warden.cli("approve", entry).code == 0
    pid = warden.recorded(event="started")["pid"]
    wait_for(lambda: state(pid) == "T", what="the command's stop")
    process.send_signal(signal.SIGCONT)
    assert int(read_line(process)) == pid
    process.send_signal(signal.SIGUSR1)
    assert finish(process).code == 42


def test_a_stop_that_was_taken_back_before_the_start(make_warden):
    warden = make_warden(ask("python3"))
    process = warden.spawn("python3", "-c", TICK, **A_JOB)
    entry = warden.pending_id()
    for _ in range(3):
        process.send_signal(signal.SIGTSTP)
        process.send_signal(signal.SIGCONT)
    assert warden.cli("approve", entry).code == 0
    read_line(process)
    process.send_signal(signal.SIGUSR1)
    assert finish(process).code == 42


def test_no_stop_where_nobody_could_continue(make_warden):
    """An orphaned group (a session of its own): there such a signal stops no program for good."""
    warden = make_warden(allow("python3"))
    process = warden.spawn("python3", "-c", TICK, start_new_session=True)
    read_line(process)
    process.send_signal(signal.SIGTSTP)
    process.send_signal(signal.SIGUSR1)
    assert finish(process).code == 42


def test_an_ignored_stop(make_warden):
    warden = make_warden(allow("python3"))
    process = warden.spawn("python3", "-c", TICK, **A_JOB,
                           preexec_fn=lambda: signal.signal(signal.SIGTSTP, signal.SIG_IGN))
    read_line(process)
    process.send_signal(signal.SIGTSTP)
    process.send_signal(signal.SIGUSR1)
    assert finish(process).code == 42


def test_ignored_signals_stay_ignored(make_warden):
    warden = make_warden(allow("sh"))
    result = warden.agent("trap '' HUP; sh -c 'kill -HUP $$; echo alive'", shims=["sh"])
    assert result.stdout == "alive\n"


def test_a_burst_of_signals(make_warden):
    warden = make_warden(allow("python3"))
    process = warden.spawn("python3", "-c",
                           "import signal, sys, time\nsignal.signal(10, lambda *a: None)\n"
                           "signal.signal(12, lambda *a: sys.exit(7))\nprint('ready', flush=True)\n"
                           "while True: time.sleep(1)\n")
    assert read_line(process) == b"ready\n"
    for _ in range(2000):
        process.send_signal(signal.SIGUSR1)
    process.send_signal(signal.SIGUSR2)
    assert finish(process).code == 7


def test_a_background_command_of_a_shell(make_warden):
    warden = make_warden(allow("sleep"))
    start = time.monotonic()
    result = warden.agent("sleep 30 & pid=$!; sleep 0.5; kill $pid; wait $pid; echo $?",
                          shims=["sleep"])
    assert result.stdout == "143\n" and time.monotonic() - start < 20


def test_timeout_utility_around_a_shim(make_warden):
    warden = make_warden(allow("sleep"))
    warden.stand_in("sleep")
    process = subprocess.Popen(["/usr/bin/timeout", "1", f"{warden.bin}/sleep", "60"], cwd=warden.work,
                               env=warden.shim_env(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               **as_user(PRISONER))
    warden.started.append(process)
    assert finish(process).code == 124


def test_a_starter_of_the_warden_that_blocks_and_ignores(make_warden):
    """What the warden inherits neither makes it deaf nor reaches the commands."""
    numbers = [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGTSTP]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        warden = make_warden(allow("grep"))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, disposition in before.items():
            signal.signal(number, disposition)
    line = ["grep", "-E", "^Sig(Ign|Blk):", "/proc/self/status"]
    # What the caller itself ignores is its own affair: a bare command has it as well.
    bare = subprocess.run(line, stdout=subprocess.PIPE, check=True).stdout
    ignored = int(bare.split()[-1], 16)
    assert not any(ignored & 1 << (number - 1) for number in numbers)
    assert warden.shim(*line).out == bare
    warden.process.terminate()
    assert warden.process.wait(PATIENCE) == 0
