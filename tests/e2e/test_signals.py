"""Signals sent to the shim reach the command."""

import os
import signal
import subprocess
import time

import pytest

from harness import PRISONER, allow, as_user, finish, is_alive, wait_for

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


def test_stop_and_continue(make_warden):
    warden = make_warden(allow("python3"))
    process = warden.spawn("python3", "-c",
                           "import os, time\nprint(os.getpid(), flush=True)\n"
                           "for i in range(60):\n    time.sleep(0.1)\n")
    pid = int(read_line(process))
    wait_for(lambda: warden.journal(event="started"))
    time.sleep(0.5)  # the shim has been told that its command runs

    def state():
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]

    process.send_signal(signal.SIGTSTP)
    wait_for(lambda: state() == "T", what="the command's stop")
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: state() != "T", what="the command's going on")
    assert finish(process).code == 0


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
