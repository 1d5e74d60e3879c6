"""A human is asked: approvals, refusals, expiry, and what the agent sees meanwhile."""

import os
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


def test_no_wait_by_environment(make_warden):
    warden = make_warden(ask("touch"))
    result = warden.shim("touch", "mark", env={"CLAWRDEN_WAIT": "0"})
    assert result.code == 75 and result.seconds < 10
    assert "clawrden: " in result.stderr
    assert not os.path.exists(os.path.join(warden.work, "mark"))


def test_no_wait_by_policy(make_warden):
    warden = make_warden(ask("touch"), jails={"default": {"commands": ["touch"], "wait": "0s"}})
    assert warden.shim("touch", "mark").code == 75


def test_a_short_wait(make_warden):
    warden = make_warden(ask("touch"))
    result = warden.shim("touch", "mark", env={"CLAWRDEN_WAIT": "1"})
    assert result.code == 75 and 0.9 < result.seconds < 10


def test_an_agent_that_gave_up(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    process.kill()
    process.wait(5)
    wait_for(lambda: warden.queue() == [], what="the question's end")
    assert warden.recorded(event="cancelled", request=request)
    assert warden.cli("approve", request).code == 1
    time.sleep(0.3)
    assert not os.path.exists(os.path.join(warden.work, "mark"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_question(make_warden, number):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark")
    request = warden.pending_id()
    process.send_signal(number)
    assert finish(process).code == -number
    wait_for(lambda: warden.queue() == [])
    assert warden.cli("approve", request).code == 1
    assert warden.recorded(event="cancelled", request=request)
    assert not os.path.exists(os.path.join(warden.work, "mark"))


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
    ids = {("one" if "one" in str(entry) else "two"): entry["id"] for entry in queue}
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
