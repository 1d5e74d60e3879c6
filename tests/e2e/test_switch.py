"""The kill switch: kill, pause, resume; for a jail and for all; for a time; across restarts; in the middle of things."""

import json
import os
import subprocess
import threading
import time

import pytest

from api import Service
from harness import IS_ROOT, allow, ask, finish, is_alive, kill_quietly, wait_for

quick = pytest.mark.quick

TWO = {"jails": {"default": {"commands": ["sh"]}, "one": {"commands": ["sh", "true"]}, "two": {"commands": ["sh", "true"]}}}
COUNTER = "while :; do echo x >> {}; sleep 0.05; done"


@pytest.fixture(params=["root", "user"])
def make(request, make_warden):
    """A warden as root (cgroups) and one without (supervisors)."""
    if request.param == "root" and not IS_ROOT:
        pytest.skip("needs root")
    return lambda *rules, **top: make_warden(*rules, warden_options={"privileged": request.param == "root"}, **top)


def count(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def counting(warden, name, jail="default"):
    """A command that counts up in a file; returns (process, path) once it does."""
    path = os.path.join(warden.work, name)
    process = warden.spawn("sh", "-c", COUNTER.format(path), jail=jail)
    wait_for(lambda: count(path) > 2, what="a command that counts")
    return process, path


def alive(warden):
    """Commands that were started and are there; their shims, which look alike, are not counted."""
    return [record["pid"] for record in warden.journal(event="started") if is_alive(record["pid"])]


def stands(path):
    """Nothing counts: looked at long enough for a command that runs to have gone on many times."""
    time.sleep(0.3)  # what was on its way when it was frozen
    before = count(path)
    time.sleep(0.6)
    return count(path) == before


def goes_on(path):
    before = count(path)
    wait_for(lambda: count(path) > before + 4, what="a command that goes on")


@quick
def test_kill_ends_at_once_and_answers_when_all_are_gone(make):
    warden = make(allow("sleep"), ask("touch"))
    running = [warden.spawn("sleep", "300") for _ in range(5)]
    waiting = warden.spawn("touch", "mark")
    wait_for(lambda: len(warden.journal(event="started")) == 5)
    warden.pending()
    answer = warden.cli_json("kill", "--all", "--reason", "enough of it")
    assert not alive(warden), "the answer came before the end"
    assert answer["killed"] == 5 and answer["cancelled"] == 1 and answer["alive"] == 0 and answer["saved"]
    for process in running:
        assert finish(process).code != 0
    assert finish(waiting).code == 126
    refused = warden.shim("sleep", "0")
    assert refused.code == 126
    assert "an operator has stopped everything (enough of it); nothing runs until it is resumed" in refused.stderr
    assert warden.cli("resume", "--all").code == 0
    assert warden.shim("sleep", "0").code == 0
    record = warden.recorded(event="killed", message="everything is ended: new commands are refused until it is resumed")
    assert record["reason"] == "enough of it" and record["via"] == "cli" and record["approver"]
    assert warden.recorded(event="resumed", jail="default")
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    warden.verify()


@quick
def test_pause_freezes_and_resume_thaws(make):
    warden = make(allow("sh", "true"))
    process, path = counting(warden, "n")
    assert warden.cli_json("pause", "default", "--reason", "lunch")["frozen"] == 1
    assert stands(path) and process.poll() is None
    refused = warden.shim("true")
    assert refused.code == 126 and "an operator has paused this jail (lunch)" in refused.stderr
    assert "PAUSED by" in warden.cli("status").stdout and "(lunch)" in warden.cli("jails").stdout
    assert warden.cli_json("resume", "default")["resumed"] == 1
    goes_on(path)
    assert warden.shim("true").code == 0
    assert warden.cli("kill", "--all").code == 0
    finish(process)
    warden.verify()


def test_the_agent_is_told(make):
    warden = make(allow("sh"))
    process, _ = counting(warden, "n")
    warden.cli("pause", "--all", "--reason", "lunch")
    warden.cli("resume", "--all")
    warden.cli("kill", "--all")
    words = finish(process).stderr
    assert "an operator has paused everything (lunch); this command is frozen until it is resumed" in words
    assert "resumed by an operator" in words and "ended by an operator" in words


def test_a_frozen_command_is_killed(make):
    warden = make(allow("sh"))
    process, path = counting(warden, "n")
    warden.cli("pause", "--all")
    assert stands(path)
    answer = warden.cli_json("kill", "--all")
    assert answer["killed"] == 1 and answer["alive"] == 0
    assert finish(process).code != 0
    assert warden.cli("pause", "--all").code == 1, "a kill is more than a pause"
    warden.verify()


def test_a_frozen_commands_time_runs_on(make):
    warden = make(allow("sh", timeout="2s"))
    process, _ = counting(warden, "n")
    warden.cli("pause", "--all")
    result = finish(process, timeout=30)
    assert result.code == 124
    assert warden.recorded(event="ended")["timeout_violation"] is True


def test_one_jail_leaves_the_others_alone(make):
    warden = make(allow("sh"), **TWO)
    one, first = counting(warden, "a", jail="one")
    two, second = counting(warden, "b", jail="two")
    assert warden.cli_json("pause", "one")["jails"] == ["one"]
    assert stands(first)
    goes_on(second)
    assert warden.cli("kill", "one").code == 0
    assert finish(one).code != 0
    goes_on(second)
    assert warden.shim("sh", "-c", ":", jail="one").code == 126
    assert warden.shim("sh", "-c", ":", jail="two").code == 0
    # Everything, with an exception.
    assert warden.cli("kill", "--all").code == 0
    assert finish(two).code != 0
    assert warden.cli("resume", "two").code == 0
    assert warden.shim("sh", "-c", ":", jail="two").code == 0
    assert warden.shim("sh", "-c", ":", jail="one").code == 126
    assert warden.cli("kill", "no-such-jail").code == 1


def test_what_waits_can_be_decided_while_paused(make):
    warden = make(ask("touch"), allow("true"))
    path = os.path.join(warden.work, "mark")
    process = warden.spawn("touch", path)
    request = warden.pending_id()
    warden.cli("pause", "--all")
    assert warden.cli("approve", request).code == 0
    time.sleep(0.5)
    assert not os.path.exists(path) and process.poll() is None
    warden.cli("resume", "--all")
    result = finish(process)
    assert result.code == 0 and os.path.exists(path)
    assert "approved, but an operator has paused everything; it runs when it is resumed" in result.stderr
    warden.verify()


def test_for_a_time(make):
    warden = make(allow("sh", "true"))
    process, path = counting(warden, "n")
    answer = warden.cli_json("pause", "--all", "--for", "2s")
    assert answer["until"]
    assert stands(path)
    record = wait_for(lambda: warden.journal(event="resumed"), what="an automatic resume")[0]
    assert record["via"] == "timer" and "its time is over: paused since" in record["reason"]
    own = wait_for(lambda: warden.journal(event="resumed", jail="default"), what="the jail's own record")[0]
    assert own["via"] == "timer" and own["reason"] == record["reason"]
    goes_on(path)
    assert warden.shim("true").code == 0
    warden.cli("kill", "--all")
    finish(process)


@pytest.mark.parametrize("verb", ["kill", "pause"])
def test_a_restart_resumes_nothing(make, verb):
    warden = make(allow("true"), **TWO)
    warden.cli(verb, "one", "--reason", "a\tb\n100% \u00e9")
    warden.restart()
    refused = warden.shim("true", jail="one")
    assert refused.code == 126 and "an operator has" in refused.stderr
    stopped = [jail["stopped"] for jail in warden.status()["jails"] if jail["name"] == "one"][0]
    assert stopped["reason"] == "a\tb\n100% \u00e9" and stopped["state"] == {"kill": "killed", "pause": "paused"}[verb]
    assert warden.shim("true", jail="two").code == 0
    assert "still, after a start of the warden" in warden.journal(event=stopped["state"])[-1]["message"]
    assert warden.cli("resume", "one").code == 0
    warden.restart()
    assert warden.shim("true", jail="one").code == 0
    warden.verify()


@pytest.mark.parametrize("role", ["warden", "executor", "api", "door"])
def test_a_crash_resumes_nothing(make, role):
    warden = make(allow("true", "sh"))
    process, path = counting(warden, "n")
    warden.cli("pause", "--all")
    assert stands(path)
    before = warden.process_of(role)
    kill_quietly(before)
    wait_for(lambda: warden.process_of(role) != before, what=f"another {role}")
    wait_for(lambda: warden.cli("status").code == 0, what="an api that answers")
    refused = wait_for(lambda: [result for result in [warden.shim("true")] if result.code != 125], what="a verdict")[0]
    assert refused.code == 126 and "has paused everything" in refused.stderr
    if role in ("api", "door"):
        assert stands(path)
    else:
        assert finish(process).code == 125
    assert warden.cli("resume", "--all").code == 0
    if role == "api":
        goes_on(path)
    assert warden.shim("true").code == 0


@pytest.mark.parametrize("text", ["", "clawrden switches 1\n", "nonsense\n", "clawrden switches 1\nend 1\n", None])
def test_a_broken_file_stops_everything(make, text):
    warden = make(allow("true"))
    warden.cli("kill", "default")
    warden.terminate()
    path = os.path.join(warden.state_dir, "switches")
    assert os.path.exists(path)
    if text is None:
        os.unlink(path)
        os.mkdir(path)
    else:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    warden.start()
    refused = warden.shim("true")
    assert refused.code == 126 and "what operators had stopped cannot be read" in refused.stderr
    assert "cannot be read" in warden.cli("status").stdout
    if text is None:
        os.rmdir(path)
    assert warden.cli("resume", "--all").code == 0
    assert warden.shim("true").code == 0
    warden.restart()
    assert warden.shim("true").code == 0


def test_what_cannot_be_written_is_said(make):
    warden = make(allow("true"))
    os.mkdir(os.path.join(warden.state_dir, "switches"))  # no file can take its place
    os.mkdir(os.path.join(warden.state_dir, "switches", "x"))
    result = warden.cli("kill", "--all")
    assert result.code == 1 and "could not write it down" in result.stderr
    assert warden.shim("true").code == 126
    kill_quietly(warden.process_of("warden"))  # the parent knows it all the same
    refused = wait_for(lambda: [result for result in [warden.shim("true")] if result.code != 125], what="a verdict")[0]
    assert refused.code == 126


def test_what_the_cli_takes(make_warden):
    warden = make_warden(allow("true"))
    for arguments in ((), ("--all", "default"), ("--container", "0123456789ab", "--all"), ("default", "--for", "0"),
                      ("default", "--for", "nonsense"), ("--container", "0123")):
        assert warden.cli("kill", *arguments).code == 2, arguments
    assert warden.cli("resume", "--all", "--for", "1m").code == 2
    assert warden.cli("kill", "--container", "ab" * 32).code == 1
    unknown = warden.cli("pause", "--container", "0123456789ab")
    assert unknown.code == 1 and "nobody here knows a container" in unknown.stderr
    assert warden.cli("kill", "default", "--reason", "x" * 301).code == 1
    assert warden.shim("true").code == 0, "none of these did anything"


def test_roles_and_scopes(make_warden):
    warden = make_warden(allow("true"), warden_options={"options": ["--api", "127.0.0.1:0"]}, **TWO)
    service = Service(warden)
    viewer, approver = service.token("viewer", "viewer"), service.token("approver", "approver")
    confined = service.token("confined", "approver", jails=["one"])
    for verb in ("kill", "pause", "resume"):
        assert viewer.post(f"/api/{verb}", {"all": True}).status == 403
        assert confined.post(f"/api/{verb}", {"jail": "two"}).status == 404
        assert confined.post(f"/api/{verb}", {"container": "ab" * 32}).status == 404
    assert confined.ok("POST", "/api/pause", {"all": True})["jails"] == ["one"]
    assert warden.shim("true", jail="one").code == 126 and warden.shim("true", jail="two").code == 0
    assert [entry["jail"] for entry in viewer.ok("GET", "/api/status")["switches"]] == ["one"]
    assert approver.ok("POST", "/api/kill", {"jail": "two", "reason": "x", "for_ms": 3600000})["until"]
    assert {entry["jail"] for entry in viewer.ok("GET", "/api/status")["switches"]} == {"one", "two"}
    assert [entry["jail"] for entry in confined.ok("GET", "/api/status")["switches"]] == ["one"]
    metrics = viewer.get("/metrics").body.decode()
    assert 'clawrden_switches{state="killed",scope="jail"} 1' in metrics
    assert 'clawrden_jail_paused{jail="two"} 1' in metrics
    assert approver.ok("POST", "/api/resume", {"all": True})["state"] == "running"
    assert viewer.ok("GET", "/api/status")["switches"] == []
    service.close()


def test_nothing_starts_after_the_answer(make):
    """Callers without a pause on all sides; the answer is a line that no start comes behind."""
    warden = make(allow("sleep"))
    stop = threading.Event()

    def call():
        while not stop.is_set():
            warden.shim("sleep", "300")

    callers = [threading.Thread(target=call) for _ in range(6)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(3):
            wait_for(lambda: alive(warden), what="a command")
            assert warden.cli_json("kill", "--all")["alive"] == 0
            started = len(warden.journal(event="started"))
            for _ in range(10):
                assert not alive(warden), "something started after the kill's answer"
                time.sleep(0.05)
            assert len(warden.journal(event="started")) == started
            assert warden.cli("resume", "--all").code == 0
    finally:
        stop.set()
        warden.cli("kill", "--all")
        for caller in callers:
            caller.join()
    warden.verify()


def test_kill_and_approval_at_once(make):
    """Whoever comes first: what was approved before the kill's answer does not outlive it."""
    warden = make(ask("sleep"))
    for _ in range(5):
        process = warden.spawn("sleep", "300")
        request = warden.pending_id()
        approving = threading.Thread(target=warden.cli, args=("approve", request))
        approving.start()
        assert warden.cli_json("kill", "--all")["alive"] == 0
        approving.join()
        assert not alive(warden)
        assert finish(process).code != 0
        assert warden.cli("resume", "--all").code == 0
    warden.verify()


def test_a_hundred_commands(make):
    """All gone with the answer, whoever they were: no survivor."""
    warden = make(allow("sh"), jails={"default": {"commands": ["sh"], "limits": {"commands": 120, "connections": 150}}})
    processes = [warden.spawn("sh", "-c", "sleep 300 & sleep 300", stdin=subprocess.DEVNULL) for _ in range(100)]
    wait_for(lambda: len(warden.journal(event="started")) == 100, 120, "a hundred commands")
    result = warden.cli("--json", "kill", "--all")  # 1 when a slow machine has not ended all within its time
    answer = json.loads(result.stdout)
    assert answer["killed"] == 100 and (answer["alive"] == 0) == (result.code == 0)
    assert result.code != 0 or not alive(warden)
    wait_for(lambda: not alive(warden), 60, "the end of all")
    for process in processes:
        assert finish(process).code != 0
    assert len([record for record in warden.journal(event="killed") if "request" in record]) == 100
    warden.verify()
