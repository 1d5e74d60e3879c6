"""The warden as PID 1 of a pid namespace, as in a container that has no init of its own."""

import os
import signal
import subprocess

import pytest

import harness
from harness import PRISONER, Warden, allow, children, finish, kill_quietly, program, wait_for

pytestmark = pytest.mark.root


class InitWarden(Warden):
    """Its parent process is the first of a new pid namespace."""

    def command_line(self):
        return ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *super().command_line()]

    @property
    def pid(self):
        if self.process.poll() is not None:
            return self.process.pid
        return wait_for(lambda: children(self.process.pid), what="the namespace's first process")[0]

    def terminate(self, timeout=harness.PATIENCE):
        for pid in children(self.process.pid):
            self.known.update(harness.descendants(pid))
            kill_quietly(pid, signal.SIGTERM)
        return self.process.wait(timeout)

    def inside(self, *line, env=None):
        """Runs a command of the prisoner's in the warden's namespaces."""
        process = subprocess.Popen(
            ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--wdns=" + self.work, "setpriv",
             f"--reuid={PRISONER}", f"--regid={PRISONER}", "--clear-groups", *line],
            env=self.shim_env(env=env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.started.append(process)
        return finish(process)


@pytest.fixture
def make_init(request):
    wardens = []

    def make(*rules):
        text = harness.policy(*[rule for group in rules for rule in group])
        wardens.append(InitWarden(text, start=False))
        wardens[-1].start()
        return wardens[-1]

    yield make
    for warden in wardens:
        report = getattr(request.node, "report_call", None)
        if report and report.failed:
            print(f"---- the warden's log\n{warden.log()[-8000:]}")
        warden.stop()


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0]
    except OSError:
        return b""


def zombies(warden):
    return [pid for pid in children(warden.pid) if state_of(pid) == b"Z"]


def strangers(warden):
    return [pid for pid in children(warden.pid) if not harness.comm(pid).startswith("clwd-")]


def orphan(warden, count, seconds):
    """Processes whose parent ends at once: the namespace's first process inherits them."""
    script = f"for i in $(seq {count}); do (sleep {seconds} >/dev/null 2>&1 &) ; done"
    assert warden.inside("/bin/sh", "-c", script).code == 0


def works(warden):
    result = warden.inside(program("clawrden-shim"), "true")
    assert result.code == 0, result


def test_orphans_are_reaped(make_init):
    warden = make_init(allow("true"))
    works(warden)
    orphan(warden, 1, 30)
    living = wait_for(lambda: strangers(warden), what="an orphan has become the parent's child")
    orphan(warden, 20, 0.2)
    wait_for(lambda: strangers(warden) == living and not zombies(warden), what="the end of the orphans")
    os.kill(living[0], signal.SIGKILL)
    wait_for(lambda: not strangers(warden), what="the killed one is reaped, too")
    works(warden)


def test_what_a_command_leaves_is_reaped(make_init):
    warden = make_init(allow("sh", "true"))
    script = "for i in 1 2 3; do setsid sleep 60 >/dev/null 2>&1 & done; exit 0"
    assert warden.inside(program("clawrden-shim"), "sh", "-c", script).code == 0
    assert warden.recorded(event="ended")["leftovers"] >= 1
    wait_for(lambda: not strangers(warden) and not zombies(warden), what="all are gone")
    works(warden)


@pytest.mark.parametrize("role", ["door", "executor", "warden"])
def test_supervision_goes_on(make_init, role):
    """Our own processes are still seen to end, among orphans that end in the same moment."""
    warden = make_init(allow("true"))
    works(warden)
    before = set(warden.processes().values())
    orphan(warden, 20, 0.3)
    victim = warden.process_of(role)
    os.kill(victim, signal.SIGKILL)
    orphan(warden, 20, 0)

    def restarted():
        now = warden.processes()
        return len(now) == len(before) and victim not in now.values()

    wait_for(restarted, what=f"another {role}")
    wait_for(lambda: warden.inside(program("clawrden-shim"), "true").code == 0, what="it serves again")
    wait_for(lambda: not zombies(warden) and not strangers(warden), what="nothing is left")
    assert f"{role}" in warden.log() and "died of signal 9" in warden.log()
