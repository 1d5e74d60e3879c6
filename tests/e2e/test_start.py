"""How the warden starts, or does not: its options, its configuration file, what it leaves behind."""

import json
import os
import subprocess

import pytest

import harness
from harness import IS_ROOT, PRISONER, allow, as_user, program

GOOD = "policy: {policy}\nrun-dir: {run}\nstate-dir: {state}\naudit: {audit}\napi: none\nlog: json\n"


def failed_start(warden):
    warden.launch()
    status = warden.process.wait(harness.PATIENCE)
    assert status != 0
    return status, warden.log()


def with_config(make_warden, text, mode=0o644, owner=0):
    warden = make_warden(allow("true"), warden_options={"start": False})
    path = os.path.join(warden.base, "config.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.format(policy=warden.policy_path, run=warden.run_dir, state=warden.state_dir, audit=warden.audit))
    os.chmod(path, mode)
    if IS_ROOT and owner:
        os.chown(path, owner, owner)
    warden.command_line = lambda: [program("clawrden-warden"), "--config", path]
    return warden


def test_a_configuration_file(make_warden):
    warden = with_config(make_warden, GOOD)
    warden.start()
    for line in warden.log().splitlines():
        assert {"level", "message"} <= set(json.loads(line)), line
    assert warden.shim("true").code == 0


@pytest.mark.parametrize("text, words", [
    ("policy: [", ":1:"), ("- a\n", "mapping"), ("", "mapping"), ("policy: x\npolicy: y\n", ":2:"),
    ("nonsense: x\n", "unknown key 'nonsense'"), ("policy: {{a: b}}\n", "plain value"), ("dry-run: maybe\n", "true or false"),
    ("config: x\n", "does not belong"), ("policy: \"\\x\"\n", ":1:"), ("a: *b\n", "config.yaml")])
def test_mistakes_in_it_are_one_line(make_warden, text, words):
    warden = with_config(make_warden, text)
    status, log = failed_start(warden)
    assert status == 2 and words in log, log
    for line in log.splitlines():
        assert line.startswith(("clawrden-warden: ", "Try 'clawrden-warden --help'")), log


@pytest.mark.root
def test_others_may_not_write_it(make_warden):
    for mode, owner in ((0o666, 0), (0o664, 0), (0o644, PRISONER)):
        status, log = failed_start(with_config(make_warden, GOOD, mode, owner))
        assert status == 2 and "others own it or can write to it" in log, log


def test_a_policys_mistakes_in_json(make_warden):
    warden = make_warden(text="version: 1\nrules:\n  - command: ls\n    action: alow\n",
                         warden_options={"start": False, "options": ["--log", "json"]})
    _, log = failed_start(warden)
    messages = [json.loads(line)["message"] for line in log.splitlines()]
    assert any(":4:" in message and "alow" in message for message in messages), messages


def test_without_a_home(make_warden):
    warden = make_warden(allow("true"), warden_options={"start": False})
    for environment in ({}, {"HOME": ""}, {"HOME": "relative"}, {"XDG_RUNTIME_DIR": "/nonexistent"}):
        result = subprocess.run([program("clawrden-warden"), "--policy", warden.policy_path, "--api", "none"],
                                env=environment, cwd="/", capture_output=True, timeout=harness.PATIENCE, check=False,
                                **as_user(PRISONER))
        assert result.returncode == 2, result
        assert b"give --" in result.stderr and b"HOME" in result.stderr, result


def test_a_failed_start_leaves_nothing(make_warden):
    """Nothing that was not there before; and what was there stays."""
    for text in ("version: 1\nrules: 5\n", None):
        options = [] if text else ["--api", "127.0.0.1:99999"]
        warden = make_warden(text=text or harness.policy(*allow("true")),
                             warden_options={"start": False, "options": options})
        failed_start(warden)
        assert sorted(os.listdir(warden.base)) == ["bin", "home", "log", "policy.yaml", "tools", "work"]
    os.mkdir(warden.state_dir, 0o755)
    if IS_ROOT and not warden.privileged:
        os.chown(warden.state_dir, PRISONER, PRISONER)
    warden.write_policy("version: 1\nrules: 5\n")
    warden.options = []
    failed_start(warden)
    assert os.listdir(warden.state_dir) in ([], ["lock"])
    warden.write_policy(harness.policy(*allow("true")))
    warden.start()
    assert warden.shim("true").code == 0
