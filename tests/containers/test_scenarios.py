"""Whole stories, on hardened prisoners: a git workflow whose push is asked for, and five agents at
work on one directory. (A package through a ghost is in test_ghost.py, real agents in test_agents.py.)"""

import concurrent.futures
import os
import shutil
import subprocess
import tempfile

import pytest

import harness
from checklist import Prisoner
from test_harden import harden

IMAGE = "hardened/scenarios"
COMMANDS = ["bash", "git", "sort"]
RULES = [
    {"name": "pushes", "command": "git", "argv": {"after": "push"}, "action": "ask"},
    {"name": "no-reset", "command": "git", "argv": {"after": "reset", "any": ["--hard"]}, "action": "deny",
     "reason": "commit it, or ask"},
    *harness.allow(*COMMANDS),
]


@pytest.fixture(scope="module")
def image(session_engine):
    session_engine.image("agent:shaped")
    result = harden(session_engine, "agent:shaped", IMAGE, ",".join(COMMANDS), "--user", "1000:1000")
    assert result.code == 0, result.stdout + result.stderr
    return IMAGE


@pytest.fixture
def workspace():
    place = tempfile.mkdtemp(prefix="clwd-app-", dir="/var/tmp")
    os.chown(place, 1000, 1000)
    yield place
    shutil.rmtree(place)


def git(place, *arguments):
    """As its owner, outside."""
    result = subprocess.run(["git", "-C", place, *arguments], capture_output=True, text=True, check=True, timeout=60,
                            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}, cwd="/", **harness.as_user(1000))
    return result.stdout.strip()


def test_a_git_workflow_whose_push_is_asked_for(engine, make_warden, image, workspace):
    """init, identity, two commits, a branch, a merge, a push that is denied and one that is approved."""
    warden = make_warden(*RULES, jails={"agent": {"commands": COMMANDS}})
    agent = Prisoner(engine, warden, workspace, "agent", image=image)
    home = ["-e", "HOME=/app"]

    def run(*arguments):
        result = agent.run("git", *arguments, options=home)
        assert result.code == 0, (arguments, result)
        return result.stdout

    run("init", "-q", "--bare", "/app/origin.git")
    run("init", "-q", "-b", "main", "/app/work")
    home += ["-w", "/app/work"]
    run("config", "user.name", "An Agent")
    run("config", "user.email", "agent@example.org")
    agent.run("/bin/sh", "-c", "echo one > file", options=home)  # what the agent does by itself
    assert "?? file" in run("status", "--short")
    run("add", "file")
    run("commit", "-q", "-m", "first")
    run("switch", "-q", "-c", "topic")
    agent.run("/bin/sh", "-c", "echo two >> file", options=home)
    assert "+two" in run("diff")
    run("commit", "-q", "-a", "-m", "second")
    run("switch", "-q", "main")
    run("merge", "-q", "--no-ff", "-m", "merged", "topic")
    run("remote", "add", "origin", "/app/origin.git")
    refused = agent.run("git", "reset", "--hard", "HEAD~1", options=home)
    assert refused.code == 126 and "commit it, or ask" in refused.stderr

    push = agent.start("git", "push", "origin", "main", options=home)
    asked = warden.pending()[0]
    assert asked["argv"] == ["git", "push", "origin", "main"] and asked["cwd"] == "/app/work"
    assert warden.cli("deny", asked["id"], "--reason", "tests first").code == 0
    denied = harness.finish(push)
    assert denied.code == 126 and "tests first" in denied.stderr
    bare = os.path.join(workspace, "origin.git")
    assert git(bare, "for-each-ref") == ""

    push = agent.start("git", "push", "-q", "origin", "main", options=home)
    asked = warden.pending()[0]
    assert warden.cli("approve", asked["id"]).code == 0
    done = harness.finish(push, timeout=60)
    assert done.code == 0, done
    assert git(bare, "log", "--format=%s", "main").split("\n")[0] == "merged"
    assert sorted(git(bare, "log", "--format=%s", "main").split()) == ["first", "merged", "second"]
    assert git(bare, "show", "main:file") == "one\ntwo"
    assert {os.stat(os.path.join(directory)).st_uid for directory, _, _ in os.walk(bare)} == {1000}

    harness.wait_for(lambda: "ended" in warden.events(asked["id"]), what="the record of the push")
    assert warden.events(asked["id"]) == ["asked", "decided", "started", "ended"]
    admitted = [record["argv"][1] for record in warden.journal(event="judged", jail="agent")]
    assert admitted == ["init", "init", "config", "config", "status", "add", "commit", "switch", "diff", "commit",
                        "switch", "merge", "remote"]
    assert len(warden.journal(event="started", jail="agent")) == len(admitted) + 1
    warden.verify()


WORK = """
i=0
while [ $i -lt 20 ]; do
    bash -c "echo $1-$i >> /app/all; echo $1-$i > /app/$1-$i; sort /app/$1-$i" &
    i=$((i + 1))
done
wait
"""


def test_five_prisoners_with_20_commands_each_at_once(engine, make_warden, image, workspace):
    """One workspace, five jails: nothing is lost, and nobody's command is taken for another's."""
    names = [f"agent-{n}" for n in range(5)]
    warden = make_warden(*RULES, jails={name: {"commands": COMMANDS} for name in names})
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        agents = list(pool.map(lambda name: Prisoner(engine, warden, workspace, name, image=image), names))
        results = list(pool.map(lambda agent: agent.run("/bin/sh", "-c", WORK, "sh", agent.jail, timeout=120), agents))
    wanted = {name: sorted(f"{name}-{n}" for n in range(20)) for name in names}
    for agent, result in zip(agents, results):
        assert result.code == 0 and result.err == b"", result
        assert sorted(result.stdout.split()) == wanted[agent.jail]
    with open(os.path.join(workspace, "all"), encoding="utf-8") as file:
        assert sorted(file.read().split()) == sorted(sum(wanted.values(), []))
    assert len(os.listdir(workspace)) == 101
    for agent in agents:
        ended = harness.wait_for(lambda a=agent: len(found := warden.journal(
            event="ended", jail=a.jail, command="bash")) == 20 and found, what="all records")
        assert {record["exit_code"] for record in ended} == {0}
        started = warden.journal(event="started", jail=agent.jail)
        assert {record["container"] for record in started} == {agent.id}
        judged = warden.journal(event="judged", jail=agent.jail, command="bash")
        assert len(judged) == 20 and all(f"echo {agent.jail}-" in record["argv"][2] for record in judged)
    warden.verify()
