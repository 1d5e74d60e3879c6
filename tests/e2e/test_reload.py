"""The policy changes while the warden runs."""

import os

import pytest

from harness import allow, ask, finish, policy, wait_for

BROKEN = """version: 1
default_action: allow
rules:
  - command: id
    action: alow
  - comand: ls
    action: allow
"""


@pytest.mark.quick
def test_a_new_policy_is_in_force_at_once(make_warden):
    warden = make_warden(allow("echo"))
    assert warden.shim("id").code == 126
    warden.write_policy(policy(*allow("id")))
    wait_for(lambda: warden.shim("id").code == 0, what="the new policy")
    assert warden.shim("echo", "x").code == 126
    assert len(warden.journal(event="config")) >= 2


def test_written_in_place(make_warden):
    warden = make_warden(allow("echo"))
    with open(warden.policy_path, "w", encoding="utf-8") as file:
        file.write(policy(*allow("id")))
    wait_for(lambda: warden.shim("id").code == 0, what="the new policy")


def test_by_signal(make_warden):
    warden = make_warden(allow("echo"))
    before = len(warden.journal(event="config"))
    warden.reload()
    wait_for(lambda: len(warden.journal(event="config")) > before)
    assert warden.shim("echo", "x").code == 0


@pytest.mark.quick
def test_a_broken_policy_keeps_the_old_one(make_warden):
    warden = make_warden(allow("echo"))
    before = len(warden.journal(event="config"))
    warden.write_policy(BROKEN)
    wait_for(lambda: len(warden.journal(event="config")) > before, what="the record of the failure")
    assert warden.shim("echo", "x").out == b"x\n"
    assert warden.shim("id").code == 126
    wait_for(lambda: "alow" in warden.log())
    log = warden.log()
    assert f"{warden.policy_path}:5:" in log and f"{warden.policy_path}:6:" in log, log
    assert "comand" in log
    warden.write_policy(policy(*allow("id")))
    wait_for(lambda: warden.shim("id").code == 0, what="the repaired policy")


def test_a_policy_that_vanishes_keeps_the_old_one(make_warden):
    warden = make_warden(allow("echo"))
    os.unlink(warden.policy_path)
    warden.reload()
    assert warden.shim("echo", "x").code == 0
    warden.write_policy(policy(*allow("id")))
    wait_for(lambda: warden.shim("id").code == 0, what="the policy that came back")


def test_a_question_outlives_a_reload(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark")
    request = warden.pending_id()
    before = len(warden.journal(event="config"))
    warden.write_policy(policy(*ask("touch"), *allow("echo")))
    wait_for(lambda: len(warden.journal(event="config")) > before)
    assert warden.cli("approve", request).code == 0
    assert finish(process).code == 0


def test_a_new_jail_gets_a_socket(make_warden):
    warden = make_warden(allow("echo"))
    warden.write_policy(policy(*allow("echo"), jails={"late": {"commands": ["echo"]}}))
    wait_for(lambda: os.path.exists(warden.socket_path("late")), what="the new jail's socket")
    wait_for(lambda: warden.shim("echo", "x", jail="late").out == b"x\n")


def test_a_removed_jail_refuses(make_warden):
    warden = make_warden(allow("echo"), jails={"gone": {"commands": ["echo"]}})
    assert warden.shim("echo", "x", jail="gone").code == 0
    before = len(warden.journal(event="config"))
    warden.write_policy(policy(*allow("echo")))
    wait_for(lambda: len(warden.journal(event="config")) > before)
    wait_for(lambda: warden.shim("echo", "x", jail="gone").code in (125, 126),
             what="the refusal of a jail that is gone")


def test_examples_are_checked_at_load(make_warden):
    warden = make_warden(allow("echo"))
    rule = {"name": "no-push", "command": "git", "argv": {"any": ["--force"], "after": "push"},
            "action": "deny", "match": ["git push --force"], "not_match": ["git push --force now"]}
    warden.write_policy(policy(rule))
    wait_for(lambda: "this example should not match" in warden.log())
    assert warden.shim("echo", "x").code == 0
