"""Timeouts, kills, and that nothing outlives its end."""

import os

import time

import pytest

from harness import PRISONER, SANITIZED, STRANGER, allow, ask, descendants, finish, is_alive, processes_with, wait_for

quick = pytest.mark.quick

# Forks twice, leaves the session, ignores TERM and HUP, closes everything, and stays.
DAEMON = r"""
import os, signal, sys, time
mark = sys.argv[1]
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.fork() == 0:
        for fd in range(3):
            os.close(fd)
        os.execv("/usr/bin/python3", ["python3", "-c",
            "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(300)", mark])
    os._exit(0)
time.sleep(0.5)
"""


@quick
def test_a_timeout_is_124(make_warden):
    warden = make_warden(allow("sleep", timeout="1s"))
    result = warden.shim("sleep", "60")
    assert result.code == 124 and 0.9 < result.seconds < 10
    assert "timed out" in result.stderr or "timeout" in result.stderr
    record = warden.recorded(event="ended")
    assert record["timeout_violation"] is True and record["duration_ms"] >= 900
    warden.verify()


def test_no_timeout_violation_without_one(make_warden):
    warden = make_warden(allow("true"))
    warden.shim("true")
    assert not warden.recorded(event="ended").get("timeout_violation", False)


def test_the_default_timeout(make_warden):
    warden = make_warden(allow("sleep"), default_timeout="1s")
    assert warden.shim("sleep", "60").code == 124


def test_a_timeout_beats_a_command_that_ignores_term(make_warden):
    warden = make_warden(allow("sh", timeout="1s"))
    result = warden.shim("sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.1; done", timeout=30)
    assert result.code == 124 and result.seconds < 15
    assert not is_alive(int(result.out))


def test_a_command_may_clean_up_after_term(make_warden):
    warden = make_warden(allow("sh", timeout="1s"))
    result = warden.shim("sh", "-c", "trap 'echo cleaned; exit 0' TERM; while :; do sleep 0.1; done")
    assert result.code == 124 and result.out == b"cleaned\n"


def test_the_wait_for_a_human_is_not_the_runs_time(make_warden):
    warden = make_warden(ask("sh", timeout="2s"))
    process = warden.spawn("sh", "-c", "echo ran")
    request = warden.pending_id()
    time.sleep(2.5)
    warden.cli("approve", request)
    assert finish(process).out == b"ran\n"


@pytest.mark.parametrize("how", ["end", "timeout", "kill", "shim"])
def test_daemons_are_ended(make_warden, how):
    warden = make_warden(allow("python3", timeout="2s" if how == "timeout" else "60s"))
    mark = f"clawrden-daemon-{how}-{os.getpid()}"
    script = DAEMON if how == "end" else DAEMON + "time.sleep(60)\n"
    process = warden.spawn("python3", "-c", script, mark)
    wait_for(lambda: len(processes_with(mark)) >= 2, what="the daemon")
    if how == "kill":
        assert warden.cli("kill", "--all").code == 0
    elif how == "shim":
        process.kill()
    result = finish(process, timeout=40)
    assert how != "end" or result.code == 0
    assert how != "timeout" or result.code == 124
    wait_for(lambda: not processes_with(mark), 15, "the daemon's end")
    assert warden.recorded(event="ended")


def test_leftovers_are_counted(make_warden):
    warden = make_warden(allow("python3"))
    mark = f"clawrden-leftover-{os.getpid()}"
    warden.shim("python3", "-c", DAEMON, mark)
    record = warden.recorded(event="ended")
    assert record.get("leftovers", 0) >= 1
    assert not processes_with(mark)


def test_kill_all(make_warden):
    warden = make_warden(allow("sleep"), ask("touch"))
    running = [warden.spawn("sleep", str(1000 + i)) for i in range(5)]
    waiting = warden.spawn("touch", "mark")
    wait_for(lambda: len(warden.journal(event="started")) == 5)
    warden.pending()
    assert warden.cli("kill", "--all").code == 0
    for process in running:
        result = finish(process)
        assert result.code in (-9, 125, 126, 137), result
    assert finish(waiting).code in (125, 126)
    assert warden.recorded(event="killed")
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    # A killed jail takes no more commands until it is resumed.
    refused = warden.shim("sleep", "0")
    assert refused.code in (125, 126) and "clawrden: " in refused.stderr
    assert warden.cli("resume", "--all").code == 0
    assert warden.shim("sleep", "0").code == 0
    warden.verify()


def test_kill_one_jail(make_warden):
    warden = make_warden(allow("sleep"), jails={"one": {"commands": ["sleep"]},
                                                 "two": {"commands": ["sleep"]}})
    one = warden.spawn("sleep", "300", jail="one")
    two = warden.spawn("sleep", "3", jail="two")
    wait_for(lambda: len(warden.journal(event="started")) == 2)
    assert warden.cli("kill", "one").code == 0
    assert finish(one).code != 0
    assert finish(two).code == 0
    assert warden.shim("sleep", "0", jail="one").code in (125, 126)
    assert warden.shim("sleep", "0", jail="two").code == 0
    assert warden.cli("resume", "one").code == 0
    assert warden.shim("sleep", "0", jail="one").code == 0
    assert warden.cli("kill", "no-such-jail").code == 1


def test_stopping_the_warden_ends_what_runs(make_warden):
    warden = make_warden(allow("sleep"))
    mark = "1234.5678"
    process = warden.spawn("sleep", mark)
    wait_for(lambda: warden.journal(event="started"))
    warden.terminate()
    result = finish(process)
    assert result.code != 0
    # The shim of `sleep` has ended; so has the command.
    wait_for(lambda: not processes_with(mark), what="the end of the command")


@pytest.mark.root
def test_only_operators_may_decide(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark")
    request = warden.pending_id()
    for uid in (PRISONER, STRANGER):
        result = warden.cli("approve", request, uid=uid)
        assert result.code in (1, 3), result
        assert warden.cli("queue", uid=uid).code in (1, 3)
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    import grp
    group = grp.getgrnam("clawrden").gr_gid
    assert warden.cli("approve", request, uid=STRANGER, groups=[group]).code == 0
    assert finish(process).code == 0


@pytest.mark.skipif(SANITIZED, reason="about descriptors of the release build")
def test_nothing_leaks_over_many_commands(make_warden):
    warden = make_warden(allow("true"))
    warden.agent("for i in $(seq 20); do /bin/true; done; true", shims=["true"])

    def descriptors():
        return {role: len(os.listdir(f"/proc/{pid}/fd")) for role, pid in warden.processes().items()}

    script = f"for i in $(seq 200); do {warden.bin}/true; done"
    warden.stand_in("true")
    warden.agent(script, timeout=60)
    wait_for(lambda: len(warden.journal(event="ended")) >= 200)
    before = descriptors()
    warden.agent(script, timeout=60)
    wait_for(lambda: len(warden.journal(event="ended")) >= 400)
    wait_for(lambda: descriptors() == before, what=f"{descriptors()} to be {before}")


def test_zombies_are_reaped(make_warden):
    warden = make_warden(allow("sh"))
    warden.shim("sh", "-c", "sleep 0.1 & exit 0")
    time.sleep(0.5)
    wait_for(lambda: not [pid for pid in descendants(warden.pid)
                          if comm_is_zombie(pid)], 5)


def comm_is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def test_exit_code_of_a_killed_shell_child(make_warden):
    warden = make_warden(allow("sh"))
    result = warden.shim("sh", "-c", "sh -c 'kill -9 $$'; echo $?")
    assert result.out == b"137\n"

