"""An approval is used for something else than what was approved: each way that comes to mind.

In each test a human approves (or has approved) one thing, and the prisoner tries to have another
run by that answer: one that is kept for a retry, or one for which several wait together.
"""

import os
import shutil
import signal
import subprocess
import time

import pytest

from harness import IS_ROOT, PRISONER, STRANGER, allow, ask, finish, policy, wait_for

GOOD = "#!/bin/sh\necho original\n" + "# padding\n" * 20
EVIL = "#!/bin/sh\ntouch mark\n".ljust(len(GOOD), "#")


@pytest.fixture
def warden(make_warden):
    return make_warden(ask("sh", "mine", "tool", "cat"), allow("true"))


def abandon(warden, *command, **more):
    """Asks, and goes. The question's id."""
    more.setdefault("stdin", subprocess.DEVNULL)
    before = {entry["id"] for entry in warden.queue()}
    process = warden.spawn(*command, **more)
    entry = wait_for(lambda: [e for e in warden.queue() if e["id"] not in before], what="a question")[0]
    process.kill()
    process.wait(5)
    wait_for(lambda: [e for e in warden.queue() if e["id"] == entry["id"] and e["waiters"] == 0],
             what="an abandoned question")
    return entry["id"]


def approve_ahead(warden, *command, **more):
    """An approval that is kept for an equal call."""
    request = abandon(warden, *command, **more)
    assert warden.cli("approve", request).code == 0
    return request


def must_be_asked(warden, *command, **more):
    """A call that no answer fits: it becomes a question of its own. Its process, which waits."""
    more.setdefault("stdin", subprocess.DEVNULL)
    before = len(warden.queue())
    process = warden.spawn(*command, **more)
    queue = wait_for(lambda: len(queue := warden.queue()) > before and queue, what="a new question")
    assert process.poll() is None
    assert warden.cli("deny", queue[-1]["id"]).code == 0
    result = finish(process)
    assert result.code == 126 and result.out == b"", result
    return result


def still_good(warden, *command, out=b"original\n", **more):
    """The answer is there for whom it was given."""
    result = warden.shim(*command, **more)
    assert (result.code, result.out) == (0, out), result


def own_path(warden):
    return {"PATH": f"{warden.work}:/usr/bin:/bin"}


def rewrite(path, text):
    with open(path, "r+", encoding="utf-8") as file:
        file.write(text)
        file.truncate()


def test_other_content_in_the_same_file(warden):
    path = warden.own("mine", GOOD)
    approve_ahead(warden, "mine", env=own_path(warden))
    rewrite(path, EVIL)
    must_be_asked(warden, "mine", env=own_path(warden))
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    rewrite(path, GOOD)
    still_good(warden, "mine", env=own_path(warden))


def test_other_content_of_a_script_operand(warden):
    path = warden.own("script.sh", GOOD)
    approve_ahead(warden, "sh", "script.sh")
    rewrite(path, EVIL)
    must_be_asked(warden, "sh", "script.sh")
    rewrite(path, GOOD)
    still_good(warden, "sh", "script.sh")


def test_other_file_by_a_link(warden):
    warden.own("good.sh", GOOD)
    warden.own("evil.sh", EVIL)
    link = os.path.join(warden.work, "script.sh")
    os.symlink("good.sh", link)
    approve_ahead(warden, "sh", "script.sh")
    os.unlink(link)
    os.symlink("evil.sh", link)
    must_be_asked(warden, "sh", "script.sh")
    assert not os.path.exists(os.path.join(warden.work, "mark"))


def test_other_program_earlier_on_path(warden):
    for name, source in (("first", "/usr/bin/touch"), ("second", "/usr/bin/echo")):
        os.mkdir(os.path.join(warden.work, name))
        shutil.copyfile(source, os.path.join(warden.work, name, "tool"))
        os.chmod(os.path.join(warden.work, name, "tool"), 0o755)
    path = {"PATH": f"{warden.work}/first:{warden.work}/second:/usr/bin:/bin"}
    os.rename(os.path.join(warden.work, "first", "tool"), os.path.join(warden.work, "first", "kept"))
    approve_ahead(warden, "tool", "mark", env=path)
    os.rename(os.path.join(warden.work, "first", "kept"), os.path.join(warden.work, "first", "tool"))
    must_be_asked(warden, "tool", "mark", env=path)
    assert not os.path.exists(os.path.join(warden.work, "mark"))


@pytest.mark.parametrize("other", [
    ("-c", "echo original; touch mark"), ("-c", "echo original "), ("-c", "echo original", ""),
    ("-c", "echo original", "x"), ("-ec", "echo original"), ("-c", "--", "echo original"),
])
def test_other_arguments(warden, other):
    approve_ahead(warden, "sh", "-c", "echo original")
    must_be_asked(warden, "sh", *other)
    still_good(warden, "sh", "-c", "echo original")


@pytest.mark.parametrize("other", [{"HOME": "/tmp"}, {"LANG": "en_US.UTF-8"}, {"TERM": "xterm"},
                                   {"PATH": "/tmp:/usr/bin:/bin"}])
def test_other_environment(warden, other):
    approve_ahead(warden, "sh", "-c", "echo original")
    must_be_asked(warden, "sh", "-c", "echo original", env=other)
    still_good(warden, "sh", "-c", "echo original")


def test_what_shells_leave_in_the_environment_is_no_difference(warden):
    approve_ahead(warden, "sh", "-c", "echo original", env={"SHLVL": "1", "_": "/bin/a", "OLDPWD": "/"})
    still_good(warden, "sh", "-c", "echo original", env={"SHLVL": "3", "_": "/bin/b", "OLDPWD": "/tmp"})


def make_directory(warden, name):
    path = os.path.join(warden.work, name)
    os.mkdir(path)
    if IS_ROOT:
        os.chown(path, PRISONER, PRISONER)
    return path


def test_other_directory_under_the_same_name(warden):
    here = make_directory(warden, "here")
    approve_ahead(warden, "sh", "-c", "pwd -P", cwd=here)
    os.rename(here, here + ".old")
    make_directory(warden, "here")
    must_be_asked(warden, "sh", "-c", "pwd -P", cwd=here)
    os.rename(here, here + ".new")
    os.rename(here + ".old", here)
    still_good(warden, "sh", "-c", "pwd -P", cwd=here, out=f"{here}\n".encode())


def test_the_same_directory_under_another_name(warden):
    here = make_directory(warden, "here")
    approve_ahead(warden, "sh", "-c", "echo original", cwd=here)
    os.rename(here, here + ".moved")
    must_be_asked(warden, "sh", "-c", "echo original", cwd=here + ".moved")


@pytest.mark.root
def test_other_user_and_groups(warden):
    approve_ahead(warden, "sh", "-c", "echo original")
    must_be_asked(warden, "sh", "-c", "echo original", uid=STRANGER, cwd="/tmp")
    must_be_asked(warden, "sh", "-c", "echo original", uid=STRANGER)
    must_be_asked(warden, "sh", "-c", "echo original", extra_groups=[STRANGER])
    must_be_asked(warden, "sh", "-c", "echo original", group=STRANGER)
    still_good(warden, "sh", "-c", "echo original")


def test_other_jail(make_warden):
    warden = make_warden(ask("sh"), jails={"other": {"commands": ["sh"]}})
    approve_ahead(warden, "sh", "-c", "echo original")
    must_be_asked(warden, "sh", "-c", "echo original", jail="other")
    still_good(warden, "sh", "-c", "echo original")


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_input_that_could_change(warden, kind):
    """What could be fed anything never takes another's answer, nor leaves one behind."""
    approve_ahead(warden, "cat")
    path = warden.own("input", "evil\n")
    with open(path, "rb") as file:
        must_be_asked(warden, "cat", stdin=file if kind == "file" else subprocess.PIPE)
        process = warden.spawn("cat", stdin=file)
        request = warden.pending_id()
        process.kill()
        process.wait(5)
        wait_for(lambda: warden.queue() == [], what="the end of its question")
        assert warden.cli("approve", request).code == 1
    still_good(warden, "cat", out=b"")


@pytest.mark.parametrize("end", ["slave", "master"])
def test_a_terminal_is_input_for_who_obeys_it(make_warden, end):
    """The prisoner holds the other end, and types something else into what was approved. psql is a
    script in Debian, called under another name than its file's."""
    warden = make_warden(ask("psql", "less", "sh"))
    warden.tool("pg_wrapper", "#!/bin/sh\nread line; echo \"did $line\"\n")
    for name in ("psql", "less"):
        os.symlink(os.path.join(warden.tools, "pg_wrapper"), os.path.join(warden.tools, name))
    for command in (("psql", "-d", "x"), ("less", "x"), ("sh",)):
        ends = dict(zip(("master", "slave"), os.openpty()))
        process = warden.spawn(*command, stdin=ends[end])
        question = warden.pending()[0]
        assert any("instructions from stdin" in note for note in question["notes"]), question
        assert question["grant"]["exact"] is None and question["grant"]["widened"] is None
        assert warden.cli("approve", question["id"], "--for", "10m").code == 1
        process.kill()
        wait_for(lambda: warden.queue() == [], what="the question's end: no late approval")
        for number in ends.values():
            os.close(number)
    process = warden.spawn("psql", "-d", "x", stdin=subprocess.DEVNULL)
    assert warden.pending()[0]["grant"]["exact"], "without input it is what its arguments say"
    process.kill()


def test_two_with_open_input_are_two_questions(warden):
    processes = [warden.spawn("cat") for _ in range(2)]
    queue = warden.pending(2)
    assert len(queue) == 2 and not any(entry["grant"]["exact"] for entry in queue)
    for entry in queue:
        warden.cli("deny", entry["id"])
    for process in processes:
        assert finish(process).code == 126


def test_a_used_approval_is_used(warden):
    command = ("sh", "-c", "echo x >>runs; echo original")
    request = approve_ahead(warden, *command)
    still_good(warden, *command)
    for _ in range(3):
        must_be_asked(warden, *command)
    assert warden.cli("approve", request).code == 1
    with open(os.path.join(warden.work, "runs")) as file:
        assert file.read() == "x\n"


def test_many_retries_at_once_share_one_kept_approval(warden):
    command = ("sh", "-c", "echo x >>runs")
    approve_ahead(warden, *command)
    processes = [warden.spawn(*command, stdin=subprocess.DEVNULL) for _ in range(8)]
    wait_for(lambda: (queue := warden.queue()) and queue[0]["waiters"] == 7, what="seven that wait")
    assert len(warden.queue()) == 1
    warden.cli("deny", warden.pending_id())
    assert sorted(finish(process).code for process in processes) == [0] + [126] * 7
    with open(os.path.join(warden.work, "runs")) as file:
        assert file.read() == "x\n"


def test_a_retry_that_dies_takes_the_answer_with_it(warden):
    """It was for one call. That nothing ran by it is no reason to let two more in."""
    command = ("sh", "-c", "sleep 0.2; echo x >>runs")
    approve_ahead(warden, *command)
    process = warden.spawn(*command, stdin=subprocess.DEVNULL)
    wait_for(lambda: process.poll() is not None or warden.journal(event="started"), what="its start")
    process.kill()
    process.wait(5)
    must_be_asked(warden, *command)


def test_who_waits_with_others_is_looked_at_alone(warden):
    """Two wait for one answer; one of them changes its script meanwhile, which both would run."""
    path = warden.own("mine", GOOD)
    processes = [warden.spawn("mine", env=own_path(warden), stdin=subprocess.DEVNULL) for _ in range(2)]
    wait_for(lambda: (queue := warden.queue()) and queue[0]["waiters"] == 2, what="two that wait")
    request = warden.pending_id()
    rewrite(path, EVIL)
    warden.cli("approve", request)
    for process in processes:
        assert finish(process).code in (125, 126)
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    assert len(warden.journal(event="drift")) == 2


def test_after_another_policy(make_warden):
    warden = make_warden(ask("sh"))
    request = abandon(warden, "sh", "-c", "echo original")
    kept = approve_ahead(warden, "sh", "-c", "echo kept")
    digest = warden.status()["policy"]["digest"]
    warden.write_policy(policy(*ask("sh", reason="think twice")))
    wait_for(lambda: warden.status()["policy"]["digest"] != digest, what="the new policy")
    assert warden.queue() == [], "nobody could come for the answer"
    assert warden.cli("approve", request).code == 1
    assert warden.recorded(event="cancelled", approval=kept)
    must_be_asked(warden, "sh", "-c", "echo kept")


def test_after_the_kill_switch(warden):
    request = abandon(warden, "sh", "-c", "echo open")
    approve_ahead(warden, "sh", "-c", "echo kept")
    assert warden.cli("kill", "--all").code == 0
    assert warden.cli("approve", request).code == 1
    assert warden.shim("sh", "-c", "echo kept").code == 126
    assert warden.cli("resume", "--all").code == 0
    must_be_asked(warden, "sh", "-c", "echo kept")


def test_after_a_restart(warden):
    approve_ahead(warden, "sh", "-c", "echo kept")
    warden.restart()
    assert warden.queue() == []
    must_be_asked(warden, "sh", "-c", "echo kept")


def test_by_a_process_of_the_same_number(warden):
    """The caller dies while it is asked about, and another takes its place: it has no connection,
    and a retry is judged by what it is, not by its number."""
    process = warden.spawn("sh", "-c", "echo original", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    process.send_signal(signal.SIGSTOP)
    process.kill()
    process.wait(5)
    warden.cli("approve", request)
    time.sleep(0.3)
    assert "started" not in warden.events(request)


def test_the_journal_tells_whose_answer_it_was(warden):
    request = approve_ahead(warden, "sh", "-c", "echo original")
    still_good(warden, "sh", "-c", "echo original")
    records = warden.journal(event="decided")
    assert len(records) == 2, records
    ahead, used = records
    assert ahead["approval"] == used["approval"] == request
    assert ahead["binding"] == used["binding"]
    assert ahead["approver"] == used["approver"] and used["via"] == "cli"
    assert ahead["request"] != used["request"]
    warden.verify()
