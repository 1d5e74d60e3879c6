"""Ways around the kill switch: resuming oneself, waking up, forking away, hiding as a daemon."""

import contextlib
import os
import signal
import time

import pytest

import harness
from harness import IS_ROOT, PRISONER, allow, finish, in_child, processes_with, wait_for

needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root: cgroups")

# Each process leaves a successor and ends, so that no look at the table shows what will be there next.
COMET = r"""
import os, sys, time
path = sys.argv[2]
if os.fork():
    time.sleep(60)
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
    with open(path, "a", encoding="ascii") as file:
        file.write("x")
    time.sleep(0.01)
"""

# Many at once, each in a session of its own, deaf to what can be ignored.
SWARM = r"""
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTSTP):
    signal.signal(number, signal.SIG_IGN)
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        if os.fork() == 0:
            os.setsid()
            os.execv("/usr/bin/python3", ["python3", "-c", "import time; time.sleep(60)", sys.argv[1]])
    except OSError:
        pass
    time.sleep(0.005)
"""


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def moves(path, seconds=0.6):
    before = size(path)
    time.sleep(seconds)
    return size(path) != before


@needs_root
def test_a_prisoner_cannot_resume_itself(make_warden):
    warden = make_warden(allow("true", "sh"))
    assert warden.cli("kill", "--all").code == 0
    for verb in ("resume", "pause", "kill"):
        assert warden.cli(verb, "--all", uid=PRISONER).code == 3, "the api's directory is closed to it"
    state = os.path.join(warden.state_dir, "switches")
    for change in (lambda: os.unlink(state), lambda: open(state, "w", encoding="ascii").close(),
                   lambda: os.rename(state, state + ".old")):
        with pytest.raises(AssertionError, match="PermissionError"):
            in_child(change)
    assert warden.shim("true").code == 126
    # Not as a command, either: none runs.
    assert warden.shim("sh", "-c", f"{harness.program('clawrden-cli')} resume --all").code == 126


@needs_root
def test_a_command_cannot_throw_the_switch(make_warden):
    """A command that runs, with the api's socket in reach of its user id: even root's, in a jail."""
    warden = make_warden(allow("sh"), jails={"default": {"commands": ["sh"], "allow_root": True}})
    program = harness.program("clawrden-cli")
    result = warden.shim("sh", "-c", f"{program} --api unix:{warden.api_socket} kill --all", uid=0)
    assert result.code == 1 and "may not use the api" in result.stderr
    assert warden.status()["switches"] == []


@needs_root
def test_sigcont_does_not_thaw(make_warden):
    warden = make_warden(allow("sh"))
    path = os.path.join(warden.work, "n")
    mark = f"clawrden-cont-{os.getpid()}"
    process = warden.spawn("sh", "-c", f"while :; do echo x >> {path}; sleep 0.02; done", mark)
    wait_for(lambda: size(path) > 2, what="a command that runs")
    assert warden.cli("pause", "--all").code == 0
    time.sleep(0.3)
    pids = processes_with(mark)
    assert pids

    def wake():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    for _ in range(3):
        in_child(wake)
        assert not moves(path)
    process.send_signal(signal.SIGCONT)
    assert not moves(path)
    assert warden.cli_json("kill", "--all")["alive"] == 0
    assert not processes_with(mark)
    finish(process)


@pytest.mark.parametrize("privileged", [pytest.param(True, marks=needs_root), False])
def test_what_forks_without_end(make_warden, privileged):
    """Frozen (with cgroups), and gone with the kill's answer (with and without)."""
    warden = make_warden(allow("python3"), warden_options={"privileged": privileged})
    path, mark = os.path.join(warden.work, "n"), f"clawrden-comet-{os.getpid()}"
    process = warden.spawn("python3", "-c", COMET, mark, path)
    wait_for(lambda: size(path) > 5, what="a command that forks")
    if privileged:
        assert warden.cli("pause", "--all").code == 0
        time.sleep(0.3)
        assert not moves(path)
    assert warden.cli_json("kill", "--all")["alive"] == 0
    assert not processes_with(mark) and not moves(path)
    finish(process)
    warden.verify()


@pytest.mark.parametrize("privileged", [pytest.param(True, marks=needs_root), False])
def test_a_swarm(make_warden, privileged):
    warden = make_warden(allow("python3"), warden_options={"privileged": privileged})
    mark = f"clawrden-swarm-{os.getpid()}"
    process = warden.spawn("python3", "-c", SWARM, mark)
    wait_for(lambda: len(processes_with(mark)) > 40, what="a swarm")
    assert warden.cli_json("kill", "--all")["alive"] == 0
    assert not processes_with(mark)
    finish(process)
    warden.verify()
