"""SIGKILL of each process at each stage: nothing is lost, nothing runs twice, nobody hangs."""

import os
import random
import subprocess
import time

import pytest

from harness import PATIENCE, SANITIZED, allow, ask, finish, processes_with, wait_for

ROLES = ["door", "warden", "executor", "api", "parent"]


def run_count(warden, name="runs"):
    try:
        with open(os.path.join(warden.work, name)) as file:
            return len(file.read().split())
    except OSError:
        return 0


def kill(warden, role):
    warden.notice()
    pid = warden.process_of(role)
    os.kill(pid, 9)
    if role == "parent":
        warden.process.wait(20)
        wait_for(lambda: not warden.leftovers(), 20, "the end of the children of a killed parent")
        warden.start()
        return

    def replaced():
        roles = warden.processes()
        return any((name == role or name.startswith(role + "/")) and other != pid
                   for name, other in roles.items())

    wait_for(replaced, what=f"a new {role}")


def works_again(warden):
    wait_for(lambda: warden.shim("true").code == 0, 2 * PATIENCE, "commands run again")
    wait_for(lambda: warden.cli("status").code == 0, what="the operator is served again")
    warden.verify()


@pytest.mark.parametrize("role", ROLES)
def test_killed_while_idle(make_warden, role):
    warden = make_warden(allow("true"))
    assert warden.shim("true").code == 0
    kill(warden, role)
    works_again(warden)


@pytest.mark.parametrize("role", ROLES)
def test_killed_while_a_question_waits(make_warden, role):
    warden = make_warden(ask("sh"), allow("true"))
    process = warden.spawn("sh", "-c", "echo x >>runs", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    kill(warden, role)
    if role in ("api", "executor"):
        # They hold no question: it may well be answered.
        wait_for(lambda: warden.cli("status").code == 0)
        warden.cli("approve", request)
        result = finish(process, timeout=2 * PATIENCE)
        assert result.code in (0, 125), result
        assert run_count(warden) == (1 if result.code == 0 else run_count(warden))
    else:
        result = finish(process, timeout=2 * PATIENCE)
        assert result.code == 125, result
        assert run_count(warden) == 0
        warden.cli("approve", request)
        time.sleep(0.5)
        assert run_count(warden) == 0
    assert run_count(warden) <= 1
    works_again(warden)


@pytest.mark.parametrize("role", ROLES)
def test_killed_while_a_command_runs(make_warden, role):
    warden = make_warden(allow("sh", "true"))
    mark = f"clawrden-crash-{role}-{os.getpid()}"
    process = warden.spawn("sh", "-c", "echo x >>runs; sleep 3; echo y >>ends", mark,
                           stdin=subprocess.DEVNULL)
    wait_for(lambda: run_count(warden) == 1)
    kill(warden, role)
    result = finish(process, timeout=2 * PATIENCE)
    assert result.code in (0, 125), result
    if role == "api":
        assert result.code == 0
    if result.code == 0:
        assert run_count(warden, "ends") == 1
    # What the warden no longer watches must not run on unseen.
    wait_for(lambda: not processes_with(mark), 20, "the end of the command")
    works_again(warden)
    assert run_count(warden) == 1
    request = warden.journal(event="started")[0]["request"]
    assert warden.events(request).count("started") == 1


@pytest.mark.parametrize("role", ["door", "warden", "executor"])
def test_killed_at_random_moments(make_warden, role):
    warden = make_warden(allow("sh", "true"))
    source = random.Random(role)
    codes = {}
    warden.stand_in("sh")
    for turn in range(4 if SANITIZED else 8):
        name = f"turn-{turn}"
        process = warden.spawn("sh", "-c", f"echo x >>{name}", stdin=subprocess.DEVNULL)
        time.sleep(source.uniform(0, 0.03))
        pid = warden.process_of(role)
        os.kill(pid, 9)
        result = finish(process, timeout=2 * PATIENCE)
        codes[name] = result.code
        assert result.code in (0, 125), result
        wait_for(lambda: warden.shim("true").code == 0, 2 * PATIENCE, "commands run again")
    for name, code in codes.items():
        count = run_count(warden, name)
        assert count <= 1, f"{name} ran {count} times"
        assert code != 0 or count == 1
    works_again(warden)


def test_everything_is_killed_and_the_journal_goes_on(make_warden):
    warden = make_warden(allow("sh", "true"))
    for _ in range(3):
        process = warden.spawn("sh", "-c", "sleep 2; echo x >>runs", stdin=subprocess.DEVNULL)
        wait_for(lambda: len(warden.journal(event="started")) > len(warden.journal(event="start")) - 1)
        warden.kill_all()
        assert finish(process, timeout=2 * PATIENCE).code == 125
        warden.start()
        works_again(warden)


def test_the_shim_is_killed_before_the_answer(make_warden):
    warden = make_warden(allow("sh", "true"))
    source = random.Random(7)
    for turn in range(10):
        process = warden.spawn("sh", "-c", f"echo x >>turn-{turn}; sleep 5", stdin=subprocess.DEVNULL)
        time.sleep(source.uniform(0, 0.03))
        process.kill()
        process.wait(20)
    wait_for(lambda: len(warden.journal(event="started")) <=
             len(warden.journal(event="ended")) + len(warden.journal(event="cancelled")),
             what="the end of everything that started")
    assert all(run_count(warden, f"turn-{turn}") <= 1 for turn in range(10))
    works_again(warden)


def test_nothing_runs_while_the_warden_process_is_away(make_warden):
    """Stopped is worse than killed: nobody is told. The shim gives up by itself."""
    warden = make_warden(allow("sh", "true"))
    import signal
    pid = warden.process_of("warden")
    os.kill(pid, signal.SIGSTOP)
    try:
        process = warden.spawn("sh", "-c", "echo x >>runs", stdin=subprocess.DEVNULL)
        result = finish(process, timeout=90)
        assert result.code == 125 and result.stderr.startswith("clawrden: "), result
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
    works_again(warden)
    assert run_count(warden) <= 1
