"""A human is asked: approvals, refusals, expiry, and what the agent sees meanwhile."""

import os
import re
import signal
import subprocess
import time

import pytest

from harness import allow, ask, finish, wait_for

quick = pytest.mark.quick


@quick
def test_approve_runs_the_command(make_warden):
    warden = make_warden(ask("sh"))
    process = warden.spawn("sh", "-c", "echo ran; exit 3")
    request = warden.pending_id()
    assert warden.cli("approve", request).code == 0
    result = finish(process)
    assert result.code == 3 and result.out == b"ran\n"
    assert f"waiting for approval {request}" in result.stderr and "expires in" in result.stderr
    assert warden.queue() == []
    wait_for(lambda: "ended" in warden.events(request))
    events = warden.events(request)
    assert events == ["asked", "decided", "started", "ended"]
    decided = warden.recorded(event="decided", request=request)
    assert decided["verdict"] == "approved", decided
    assert decided["approver"] and decided["via"]
    warden.verify()


@quick
def test_deny_tells_the_agent_why(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark")
    assert warden.cli("deny", warden.pending_id(), "--reason", "not on a Friday").code == 0
    result = finish(process)
    assert result.code == 126 and "not on a Friday" in result.stderr
    assert "clawrden: denied: touch mark" in result.stderr
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    assert "not on a Friday" in warden.recorded(event="decided")["reason"]


@quick
def test_expiry_denies(make_warden):
    warden = make_warden(ask("touch"), approval_timeout="1s")
    result = warden.shim("touch", "mark")
    assert result.code == 126 and "nobody answered within 1s" in result.stderr
    assert 0.9 < result.seconds < 10
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    assert warden.recorded(event="expired")
    assert warden.queue() == []


def test_nothing_runs_while_it_is_pending(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark")
    request = warden.pending_id()
    time.sleep(0.5)
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    assert "started" not in warden.events(request)
    warden.cli("approve", request)
    assert finish(process).code == 0
    assert os.path.exists(os.path.join(warden.work, "mark"))


def test_the_queue_shows_what_would_run(make_warden):
    warden = make_warden(ask("rm"))
    process = warden.spawn("rm", "-rf", "two words", "\x1b[2Jhidden")
    entry = warden.pending()[0]
    text = warden.cli("queue").stdout
    assert entry["id"] in text and "'two words'" in text and warden.work in text
    assert "\x1b" not in text, "control characters of the prisoner reach the terminal"
    warden.cli("deny", entry["id"])
    assert finish(process).code == 126


# Agents give up long before a human answers.

PENDING = re.compile(r"clawrden: pending approval (\w{6}): .*run the same command again later")


def test_no_wait_by_environment(make_warden):
    warden = make_warden(ask("touch"))
    result = warden.shim("touch", "mark", env={"CLAWRDEN_WAIT": "0"})
    assert result.code == 75 and "nothing was run" in result.stderr
    request = PENDING.search(result.stderr).group(1)
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    assert [(entry["id"], entry["waiters"]) for entry in warden.queue()] == [(request, 0)]
    # The same again: nobody is asked twice.
    again = warden.shim("touch", "mark", env={"CLAWRDEN_WAIT": "0"})
    assert again.code == 75 and PENDING.search(again.stderr).group(1) == request
    assert len(warden.queue()) == 1
    assert warden.cli("approve", request).code == 0
    assert not os.path.exists(os.path.join(warden.work, "mark")), "nobody was there to run it for"
    result = warden.shim("touch", "mark", env={"CLAWRDEN_WAIT": "0"})
    assert result.code == 0 and os.path.exists(os.path.join(warden.work, "mark"))
    decided = [record for record in warden.journal(event="decided") if record.get("binding")]
    assert {record["approval"] for record in decided} == {request}
    assert warden.recorded(event="started")
    warden.verify()


def test_no_wait_by_policy(make_warden):
    warden = make_warden(ask("touch"), jails={"default": {"commands": ["touch"], "wait": "0s"}})
    assert warden.shim("touch", "mark").code == 75


def test_a_rule_waits_longer_than_its_jail(make_warden):
    warden = make_warden(ask("touch", wait="60s"), jails={"default": {"commands": ["touch"], "wait": "0s"}})
    process = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    warden.cli("approve", warden.pending_id())
    assert finish(process).code == 0


def test_a_short_wait(make_warden):
    warden = make_warden(ask("touch"))
    result = warden.shim("touch", "mark", env={"CLAWRDEN_WAIT": "1"})
    assert result.code == 75 and "has not answered within 1s" in result.stderr
    assert PENDING.search(result.stderr)


def test_what_could_never_be_answered_is_not_asked(make_warden):
    """A pipe could feed it anything: no answer could be kept for the next call."""
    warden = make_warden(ask("cat"))
    result = warden.shim("cat", data=b"x", env={"CLAWRDEN_WAIT": "0"})
    assert result.code == 126 and "</dev/null" in result.stderr and result.out == b""
    assert warden.queue() == []


def gone(warden, process, request, number=signal.SIGKILL):
    """The agent's patience ends."""
    process.send_signal(number)
    process.wait(5)
    wait_for(lambda: [entry for entry in warden.queue() if entry["id"] == request and
                      entry["waiters"] == 0], what="an abandoned question")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_an_agent_that_gave_up_gets_its_answer_later(make_warden, number):
    warden = make_warden(ask("sh"))
    command = ("sh", "-c", "echo x >>runs; echo ran")
    process = warden.spawn(*command, stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    gone(warden, process, request, number)
    assert warden.recorded(event="cancelled", request=request)
    assert warden.cli("approve", request).code == 0
    time.sleep(0.3)
    assert not os.path.exists(os.path.join(warden.work, "runs")), "it ran for nobody"
    assert warden.queue() == []
    result = warden.shim(*command)
    assert (result.code, result.out) == (0, b"ran\n"), result
    assert result.err == b"", "it did not have to wait"
    second = warden.spawn(*command, stdin=subprocess.DEVNULL)
    assert warden.pending_id() != request, "an answer is for one call"
    warden.cli("deny", warden.pending_id())
    assert finish(second).code == 126
    with open(os.path.join(warden.work, "runs")) as file:
        assert file.read() == "x\n"


def test_a_retry_finds_its_question(make_warden):
    warden = make_warden(ask("sh"))
    process = warden.spawn("sh", "-c", "echo ran", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    gone(warden, process, request)
    process = warden.spawn("sh", "-c", "echo ran", stdin=subprocess.DEVNULL)
    wait_for(lambda: warden.queue()[0]["waiters"] == 1, what="the retry attaches")
    assert warden.pending_id() == request
    warden.cli("approve", request)
    result = finish(process)
    assert result.out == b"ran\n" and f"waiting for approval {request}" in result.stderr


def test_a_late_denial_says_why(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    gone(warden, process, request)
    assert warden.cli("deny", request, "--reason", "use the makefile").code == 0
    result = warden.shim("touch", "mark")
    assert result.code == 126 and "use the makefile" in result.stderr


def test_an_abandoned_question_ends(make_warden):
    warden = make_warden(ask("touch"), approval_grace="1s")
    process = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    process.kill()
    process.wait(5)
    wait_for(lambda: warden.queue() == [], what="the question's end")
    assert warden.recorded(event="expired", approval=request)
    assert warden.cli("approve", request).code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_human_at_the_keyboard_withdraws_the_question(make_warden, number):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    process.send_signal(number)
    assert finish(process).code == -number
    wait_for(lambda: warden.queue() == [])
    assert warden.cli("approve", request).code == 1
    assert warden.recorded(event="cancelled", request=request)
    assert not os.path.exists(os.path.join(warden.work, "mark"))


def test_a_burst_of_equal_calls_is_one_question(make_warden):
    """As agents do it: dozens of identical git calls for one task."""
    warden = make_warden(ask("git"))
    warden.tool("git", "#!/bin/sh\necho \"$*\"\n")
    processes = [warden.spawn("git", "rev-parse", "--show-toplevel", stdin=subprocess.DEVNULL)
                 for _ in range(75)]
    wait_for(lambda: (queue := warden.queue()) and queue[0]["waiters"] == 75, what="75 waiters")
    assert len(warden.queue()) == 1
    answer = warden.cli_json("approve", warden.pending_id())
    assert answer["ran"] == 75
    for process in processes:
        result = finish(process)
        assert (result.code, result.out) == (0, b"rev-parse --show-toplevel\n"), result
    assert len({record["approval"] for record in warden.journal(event="decided")}) == 1
    assert len(warden.journal(event="decided")) == 75
    warden.verify()


def test_an_approval_that_is_remembered(make_warden):
    warden = make_warden(ask("sh"))
    command = ("sh", "-c", "echo ran")
    process = warden.spawn(*command, stdin=subprocess.DEVNULL)
    entry = warden.pending()[0]
    answer = warden.cli_json("approve", entry["id"], "--for", "10m")
    assert answer["grant"]["covers"] == entry["grant"]["exact"]
    assert finish(process).code == 0
    for _ in range(2):
        assert warden.shim(*command).out == b"ran\n"
    granted = warden.journal(event="decided", verdict="granted")
    assert len(granted) == 2
    assert {(record["grant"], record["approval"]) for record in granted} == {
        (answer["grant"]["id"], entry["id"])}
    assert all(record["approver"] and record["via"] == "cli" for record in granted)
    assert warden.cli("revoke", answer["grant"]["id"]).code == 0
    process = warden.spawn(*command, stdin=subprocess.DEVNULL)
    warden.cli("deny", warden.pending_id())
    assert finish(process).code == 126
    assert [record["verdict"] for record in warden.journal(event="grant")] == ["given", "revoked"]


def test_unknown_ids_and_bad_calls(make_warden):
    warden = make_warden(ask("touch"))
    assert warden.cli("approve", "AAAAAA").code == 1
    assert warden.cli("deny", "../../etc/passwd").code in (1, 2)
    assert warden.cli("approve").code == 2
    assert warden.cli("no-such-verb").code == 2
    assert warden.cli().code == 2


def test_stdin_waits_with_the_question(make_warden):
    warden = make_warden(ask("cat"))
    process = warden.spawn("cat")
    process.stdin.write(b"first ")
    request = warden.pending_id()
    warden.cli("approve", request)
    assert finish(process, b"second").out == b"first second"


def test_two_different_questions(make_warden):
    warden = make_warden(ask("sh"), allow("echo"))
    one = warden.spawn("sh", "-c", "echo one")
    two = warden.spawn("sh", "-c", "echo two")
    queue = warden.pending(2)
    ids = {entry["argv"][-1].split()[-1]: entry["id"] for entry in queue}
    assert warden.shim("echo", "meanwhile").out == b"meanwhile\n"
    warden.cli("deny", ids["one"])
    warden.cli("approve", ids["two"])
    assert finish(one).code == 126
    assert finish(two).out == b"two\n"


def test_the_wait_is_repeated_now_and_then(make_warden):
    warden = make_warden(ask("touch"), approval_timeout="40s")
    process = warden.spawn("touch", "mark")
    request = warden.pending_id()
    time.sleep(1)
    warden.cli("approve", request)
    assert finish(process).stderr.count(f"waiting for approval {request}") >= 1
