"""A grant is stretched: by arguments, by what they lead to, by who asks, after its end."""

import os
import signal
import subprocess

import pytest

from harness import IS_ROOT, PRISONER, STRANGER, ask, finish, is_alive, wait_for

WIDE = [
    {"name": "no-force", "command": "git", "action": "deny",
     "argv": {"any": ["--force", "-f"], "after": "push"}},
    {"name": "pushes", "command": "git", "argv": {"any": ["push"]}, "action": "ask",
     "grant": ["subcommand"]},
    {"name": "adds", "command": "git", "argv": {"any": ["add"]}, "action": "ask",
     "grant": ["subcommand", {"paths": "cwd"}]},
]


@pytest.fixture
def warden(make_warden):
    made = make_warden(WIDE, ask("sh", "mine"))
    made.tool("git", "#!/bin/sh\necho \"git $*\"\n")
    return made


def grant(warden, *command, remember=("--for", "10m"), **more):
    """Runs it once, approved and remembered. The grant."""
    more.setdefault("stdin", subprocess.DEVNULL)
    process = warden.spawn(*command, **more)
    answer = warden.cli_json("approve", warden.pending_id(), *remember)
    assert finish(process).code == 0
    assert answer["grant"], answer
    return answer["grant"]


def covered(warden, *command, **more):
    result = warden.shim(*command, **more)
    assert result.code == 0 and result.err == b"", result


def not_covered(warden, *command, **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    process = warden.spawn(*command, **more)
    request = warden.pending_id()
    assert process.poll() is None
    assert warden.cli("deny", request).code == 0
    assert finish(process).code == 126


STRETCHED = [
    ("push", "origin"), ("push", "--tags", "--all", "origin"), ("push", "--tag", "origin"),
    ("push", "--tags=x", "origin"), ("push", "origin", "--tags"), ("push", "--tags", "--", "origin"),
    ("push", "--tags", "--receive-pack=sh", "origin"), ("push", "--tags", "--receive-pack", "sh"),
    ("push", "--tags", "-o", "origin"), ("push", "--tags", "-oorigin"), ("push", "--tags"),
    ("push", "--tags", "origin", "main"), ("push", "--tags", "origin", "--mirror"),
    ("-C", "/", "push", "--tags", "origin"), ("--git-dir=/x", "push", "--tags", "origin"),
    ("-c", "core.sshCommand=sh", "push", "--tags", "origin"), ("--paginate", "push", "--tags", "x"),
    ("--exec-path=/tmp", "push", "--tags", "origin"),
]


def test_a_subcommand_and_ways_to_stretch_it(warden):
    given = grant(warden, "git", "push", "--tags", "origin", remember=("--for", "10m", "--widened"))
    assert "git push --tags ‹any›" in given["covers"]
    covered(warden, "git", "push", "--tags", "origin")
    covered(warden, "git", "push", "--tags", "upstream")
    for arguments in STRETCHED:
        not_covered(warden, "git", *arguments)
    assert warden.shim("git", "push", "--tags", "--force").code == 126
    assert warden.shim("git", "push", "-f", "--tags").code == 126
    assert warden.cli_json("grants")["grants"][0]["used"] == 2


def test_an_exact_grant_is_exact(warden):
    grant(warden, "git", "push", "--tags", "origin")
    covered(warden, "git", "push", "--tags", "origin")
    not_covered(warden, "git", "push", "--tags", "upstream")
    for arguments in STRETCHED:
        not_covered(warden, "git", *arguments)


def make(warden, path, text="x"):
    full = os.path.join(warden.work, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)
    if IS_ROOT:
        os.chown(os.path.dirname(full), PRISONER, PRISONER)
        os.chown(full, PRISONER, PRISONER)
    return full


def test_paths_beneath_the_directory(warden):
    for name in ("a", "b", "sub/c"):
        make(warden, name)
    os.symlink("/etc", os.path.join(warden.work, "out"))
    os.symlink("/etc/passwd", os.path.join(warden.work, "passwd"))
    os.symlink("..", os.path.join(warden.work, "up"))
    given = grant(warden, "git", "add", "a", remember=("--for", "10m", "--widened"))
    assert f"beneath {warden.work}" in given["covers"]
    covered(warden, "git", "add", "a")
    covered(warden, "git", "add", "b")
    covered(warden, "git", "add", "b", "sub/c")
    for arguments in (("../x",), ("/etc/passwd",), ("out/passwd",), ("passwd",), ("up/x",), ("sub/../../x",),
                      ("b", "/etc/passwd"), ("*",), (":/",), (":(top)x",), ("-A",), ("-A", "a"), ("--", "a"),
                      ("--", "-A"), ("--pathspec-from-file=a",), ("--chmod=+x", "a"), ("@a",), ("",), ("-",)):
        not_covered(warden, "git", "add", *arguments)
    not_covered(warden, "git", "add", "c", cwd=os.path.join(warden.work, "sub"))
    not_covered(warden, "git", "push", "a")


def test_a_path_that_leads_elsewhere_later(warden):
    """What lay beneath the directory when it was granted does not when it is used."""
    make(warden, "d/a")
    grant(warden, "git", "add", "d/a", remember=("--for", "10m", "--widened"))
    covered(warden, "git", "add", "d/a")
    os.rename(os.path.join(warden.work, "d"), os.path.join(warden.work, "e"))
    os.symlink("/etc", os.path.join(warden.work, "d"))
    not_covered(warden, "git", "add", "d/passwd")


def test_another_program_under_the_name(warden):
    grant(warden, "git", "push", "origin", remember=("--for", "10m", "--widened"))
    warden.tool("git", "#!/bin/sh\necho other\n")
    not_covered(warden, "git", "push", "origin")
    not_covered(warden, "git", "push", "upstream")


def test_a_program_of_the_prisoners_own_is_not_widened(warden):
    """The tables of git say nothing about a file that the prisoner calls git."""
    warden.own("git", "#!/bin/sh\necho mine\n")
    env = {"PATH": f"{warden.work}:/usr/bin:/bin"}
    process = warden.spawn("git", "push", "origin", env=env, stdin=subprocess.DEVNULL)
    entry = warden.pending()[0]
    assert entry["grant"]["widened"] is None and "could change" in entry["grant"]["why_not"]
    assert warden.cli("approve", entry["id"], "--for", "10m", "--widened").code == 1
    assert warden.cli("deny", entry["id"]).code == 0
    assert finish(process).code == 126


def test_other_callers(warden):
    grant(warden, "git", "push", "origin", remember=("--for", "10m", "--widened"))
    not_covered(warden, "git", "push", "origin", env={"HOME": "/tmp"})
    not_covered(warden, "git", "push", "origin", cwd="/tmp")
    not_covered(warden, "git", "push", "origin", stdin=subprocess.PIPE)
    if IS_ROOT:
        not_covered(warden, "git", "push", "origin", uid=STRANGER)
        not_covered(warden, "git", "push", "origin", extra_groups=[STRANGER])
    covered(warden, "git", "push", "origin")


def test_other_jail(make_warden):
    warden = make_warden(ask("sh"), jails={"other": {"commands": ["sh"]}})
    grant(warden, "sh", "-c", "true")
    covered(warden, "sh", "-c", "true")
    not_covered(warden, "sh", "-c", "true", jail="other")


# Sessions.

def agent(warden, script, uid=PRISONER):
    """An agent that runs one command through a shim for each line it reads."""
    warden.stand_in("sh")
    return subprocess.Popen(["/bin/bash", "-c", script], cwd=warden.work, env=warden.shim_env(),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            start_new_session=True,
                            **({"user": uid, "group": uid, "extra_groups": []} if IS_ROOT else {}))


SCRIPT = f"while read -r line; do sh -c 'echo ran' </dev/null; echo \"=$?\"; done"


def turn(process):
    process.stdin.write(b"go\n")
    process.stdin.flush()


def read_turn(process):
    lines = []
    while not lines or not lines[-1].startswith(b"="):
        line = process.stdout.readline()
        assert line, "the agent has gone"
        lines.append(line)
    return b"".join(lines)


@pytest.mark.root
def test_a_session_ends_with_its_root_process(warden):
    first, second = agent(warden, SCRIPT), agent(warden, SCRIPT)
    warden.started += [first, second]
    turn(first)
    entry = warden.pending()[0]
    assert entry["grant"]["session"], entry["grant"]
    given = warden.cli_json("approve", entry["id"], "--session")["grant"]
    assert given["session"] and given["expires_at"] is None
    assert read_turn(first) == b"ran\n=0\n"
    turn(first)
    assert read_turn(first) == b"ran\n=0\n"
    turn(second)
    assert warden.cli("deny", warden.pending_id()).code == 0
    assert read_turn(second) == b"=126\n"
    first.stdin.close()
    assert first.wait(10) == 0
    third = agent(warden, SCRIPT)
    warden.started.append(third)
    turn(third)
    assert warden.cli("deny", warden.pending_id()).code == 0
    assert read_turn(third) == b"=126\n"
    for process in (second, third):
        process.send_signal(signal.SIGKILL)
        process.wait(5)


@pytest.mark.root
def test_a_child_of_another_session_is_not_of_this_one(warden):
    """Reparenting moves a process to init, not into another agent's session."""
    first = agent(warden, SCRIPT)
    warden.started.append(first)
    turn(first)
    warden.cli("approve", warden.pending_id(), "--session")
    assert read_turn(first) == b"ran\n=0\n"
    orphan = agent(warden, "setsid bash -c \"sleep 0.2; sh -c 'echo ran' </dev/null; echo =$?\" & exit")
    warden.started.append(orphan)
    assert warden.cli("deny", warden.pending_id()).code == 0
    assert b"ran" not in read_turn(orphan)
    first.send_signal(signal.SIGKILL)
    first.wait(5)


# Ends.

def test_after_its_time(make_warden):
    warden = make_warden(ask("sh"))
    grant(warden, "sh", "-c", "true", remember=("--for", "1s"))
    wait_for(lambda: warden.journal(event="grant", verdict="expired"), what="its end")
    not_covered(warden, "sh", "-c", "true")
    assert warden.cli_json("grants") == {"grants": []}


def test_after_it_was_revoked(warden):
    given = grant(warden, "sh", "-c", "true")
    assert warden.cli("revoke", given["id"]).code == 0
    not_covered(warden, "sh", "-c", "true")
    assert warden.cli("revoke", given["id"]).code == 1


def test_after_another_policy_and_a_restart(make_warden):
    from harness import policy
    text = policy(*ask("sh"))
    warden = make_warden(text=text)
    grant(warden, "sh", "-c", "true")
    warden.write_policy(policy(*ask("sh", reason="new")))
    wait_for(lambda: warden.journal(event="grant", verdict="expired"), what="its end")
    warden.write_policy(text)
    wait_for(lambda: len(warden.journal(event="config")) >= 3, what="the old policy again")
    not_covered(warden, "sh", "-c", "true")
    grant(warden, "sh", "-c", "true")
    warden.restart()
    assert warden.cli_json("grants") == {"grants": []}
    not_covered(warden, "sh", "-c", "true")


def test_after_the_kill_switch(warden):
    grant(warden, "sh", "-c", "true")
    warden.cli("kill", "--all")
    warden.cli("resume", "--all")
    not_covered(warden, "sh", "-c", "true")


def test_a_changed_script_is_not_covered(warden):
    path = warden.own("mine", "#!/bin/sh\necho original\n")
    env = {"PATH": f"{warden.work}:/usr/bin:/bin"}
    grant(warden, "mine", env=env)
    covered(warden, "mine", env=env)
    with open(path, "r+", encoding="utf-8") as file:
        file.write("#!/bin/sh\ntouch mark    \n")
    not_covered(warden, "mine", env=env)
    assert not os.path.exists(os.path.join(warden.work, "mark"))


def test_what_runs_by_a_grant_ends_as_all_else(warden):
    """A grant is no licence: timeouts, kills and records hold."""
    grant(warden, "sh", "-c", "exec sleep 0.01")
    covered(warden, "sh", "-c", "exec sleep 0.01")
    granted = warden.recorded(event="decided", verdict="granted")
    wait_for(lambda: warden.journal(event="ended", request=granted["request"]), what="its end")
    assert not is_alive(granted["pid"])
    warden.verify()
