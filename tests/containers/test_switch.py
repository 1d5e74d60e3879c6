"""The kill switch on whole containers: ended, frozen, thawed by their own cgroups, and no others."""

import os
import time

from harness import kill_quietly, wait_for
from mirrored import Prisoner, everything

COUNTER = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; /bin/sleep 0.02; done"


def counted(prisoner):
    with open(f"/proc/{prisoner.container.pid}/root/tmp/count", encoding="ascii") as file:
        return file.read()


def counts(prisoner):
    """It writes a number again and again."""
    seen = set()
    return wait_for(lambda: seen.add(counted(prisoner)) or len(seen - {""}) > 2, what="a counter that counts")


def stands_still(prisoner):
    before = counted(prisoner)
    time.sleep(0.3)
    return counted(prisoner) == before


def counting(engine, warden, options=()):
    prisoner = Prisoner(engine, warden, command=("/bin/sh", "-c", COUNTER), options=options)
    assert prisoner.run("true").code == 0  # from now on the warden knows it
    counts(prisoner)
    return prisoner


def is_running(prisoner):
    return prisoner.container.inspect()["State"]["Running"]


def test_one_of_two_is_killed(engine, make_warden):
    warden = make_warden(*everything())
    victim, other = counting(engine, warden), counting(engine, warden)
    assert warden.cli("kill", "--container", "f" * 12).code == 1
    killed = warden.cli("kill", "--container", victim.id[:12], "--reason", "enough")
    assert killed.code == 0 and "containers: 1" in killed.stdout, killed
    wait_for(lambda: not is_running(victim), what="the engine to notice")
    counts(other)
    assert other.run("true").code == 0
    record = warden.recorded(event="killed", container=victim.id, reason="enough")
    assert record["message"].startswith("the container is ended")
    warden.recorded(event="killed", container=victim.id, message="all of the container is ended")
    # Started again it is the same container: nothing of it runs commands.
    wait_for(lambda: engine.docker("start", victim.id, check=False).code == 0, what="the engine to start it again")
    refused = victim.run("true")
    assert refused.code == 126 and "stopped this container (enough)" in refused.stderr, refused
    assert warden.cli("resume", "--container", victim.id).code == 0
    assert victim.run("true").code == 0


def test_paused_and_resumed(engine, make_warden):
    warden = make_warden(*everything())
    prisoner, other = counting(engine, warden), counting(engine, warden)
    engine.docker("exec", "-d", prisoner.id, "sleep", "500")
    wait_for(lambda: warden.journal(event="started", command="sleep"), what="a command in it")
    paused = warden.cli("pause", "--container", prisoner.id, "--reason", "a look")
    assert paused.code == 0 and "(1 running frozen), containers: 1" in paused.stdout, paused
    assert stands_still(prisoner)
    counts(other)
    assert "a look" in warden.cli("status").stdout
    # A restart of the warden and its executor resumes nothing, and what they leave can end.
    kill_quietly(warden.process_of("warden"))
    wait_for(lambda: other.run("true").code == 0, what="another warden")
    assert stands_still(prisoner)
    assert warden.cli("resume", "--container", prisoner.id).code == 0
    counts(prisoner)
    assert prisoner.run("true").code == 0
    wait_for(lambda: "sleep 500" not in prisoner.processes().values(), what="the end of its command")


def test_a_paused_jail_and_its_kill(engine, make_warden):
    warden = make_warden(*everything())
    first, second = counting(engine, warden), counting(engine, warden)
    assert warden.cli("pause", "default").code == 0
    assert stands_still(first) and stands_still(second)
    late = Prisoner(engine, warden, command=("/bin/sh", "-c", COUNTER))
    pid = late.container.pid
    engine.docker("exec", "-d", late.id, "true")  # it is refused, and its container frozen with the rest
    wait_for(lambda: warden.journal(event="paused", container=late.id), what="its freezing")
    assert stands_still(late)
    assert warden.cli("resume", "default").code == 0
    counts(first), counts(late)
    assert warden.cli("pause", "--all").code == 0 and stands_still(second)
    killed = warden.cli("kill", "default")
    assert killed.code == 0 and "containers: 3" in killed.stdout, killed
    wait_for(lambda: not any(map(is_running, (first, second, late))), what="their end")
    assert not os.path.exists(f"/proc/{pid}")


def test_a_fork_bomb_ends(engine, make_warden):
    warden = make_warden(*everything())
    bomb = "b() { b & b & /bin/sleep 0.2; b; }; "
    start = bomb + "while [ ! -e /tmp/go ]; do /bin/sleep 0.1; done; b & exec /bin/sleep 600"
    prisoner = Prisoner(engine, warden, command=("/bin/sh", "-c", start), options=["--pids-limit", "60"])
    group = f"/sys/fs/cgroup/freezer/docker/{prisoner.id}/cgroup.procs"
    engine.docker("exec", "-d", prisoner.id, "sh", "-c", bomb + "/bin/touch /tmp/go; b")  # and a command does it
    wait_for(lambda: os.path.exists(f"/proc/{prisoner.container.pid}/root/tmp/go"), what="the bomb")
    time.sleep(1)
    killed = warden.cli("kill", "--container", prisoner.id)
    assert killed.code == 0, killed
    assert not os.path.exists(group) or not open(group, encoding="ascii").read()
    wait_for(lambda: not is_running(prisoner), what="its end")
    wait_for(lambda: warden.journal(event="ended", command="sh"), what="the end of its command")
