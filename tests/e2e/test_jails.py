"""Jails: made by policy, api and CLI; their directories, their commands, their ends, and attacks on them."""

import json
import os
import signal
import socket
import stat
import subprocess
import time

import pytest

from api import Service
from harness import (IS_ROOT, PRISONER, Warden, allow, as_user, ask, finish, in_child, policy, wait_for)

quick = pytest.mark.quick
NAMES = ("git", "npm")


@pytest.fixture(name="service")
def make_service(make_warden):
    made = []

    def make(*rules, **top):
        made.append(Service(make_warden(*rules, warden_options={"options": ["--api", "127.0.0.1:0"]}, **top)))
        return made[-1]

    yield make
    for service in made:
        service.close()


def jail_dir(warden, name):
    return os.path.join(warden.run_dir, "jails", name)


def links(warden, name):
    return sorted(os.listdir(os.path.join(jail_dir(warden, name), "bin")))


def inode(path):
    return os.lstat(path).st_ino


def run_by_link(warden, jail, command, *arguments, uid=PRISONER):
    """As a prisoner that has the jail's bin directory in its PATH."""
    env = warden.shim_env(jail)
    env["PATH"] = os.path.join(jail_dir(warden, jail), "bin") + ":/usr/bin:/bin"
    process = subprocess.Popen(["/usr/bin/env", command, *arguments], cwd=warden.work, env=env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               **as_user(uid))
    warden.started.append(process)
    return finish(process)


@quick
def test_a_jail_of_the_policy_has_its_house(make_warden):
    warden = make_warden(allow("echo"), jails={"blue": {"commands": ["echo", "git"], "hardened": True}})
    home = jail_dir(warden, "blue")
    assert links(warden, "blue") == ["echo", "git"]
    assert os.readlink(os.path.join(home, "bin", "git")) == "../clawrden-shim"
    assert stat.S_IMODE(os.stat(home).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(os.path.join(home, "clawrden-shim")).st_mode) == 0o555
    assert stat.S_IMODE(os.stat(os.path.join(warden.run_dir, "armory", "clawrden-shim")).st_mode) == 0o555
    assert stat.S_IMODE(os.stat(warden.socket_path("blue")).st_mode) == 0o666
    assert run_by_link(warden, "blue", "echo", "by its shim").out == b"by its shim\n"
    assert warden.recorded(event="judged", jail="blue")["argv"] == ["echo", "by its shim"]
    jail = warden.cli_json("jails", "get", "blue")
    assert jail["source"] == "policy" and jail["hardened"] is True


@quick
def test_commands_come_and_go_with_the_policy(make_warden):
    warden = make_warden(allow("echo", "true"), jails={"blue": {"commands": ["echo"]}})
    home = jail_dir(warden, "blue")
    before = inode(home), inode(os.path.join(home, "bin")), inode(os.path.join(home, "bin", "echo"))
    warden.write_policy(policy(*allow("echo", "true"), jails={"blue": {"commands": ["echo", "true"]}}))
    wait_for(lambda: links(warden, "blue") == ["echo", "true"], what="the new command")
    assert run_by_link(warden, "blue", "true").code == 0
    assert (inode(home), inode(os.path.join(home, "bin")), inode(os.path.join(home, "bin", "echo"))) == before
    warden.write_policy(policy(*allow("echo", "true"), jails={"blue": {"commands": ["true"]}}))
    wait_for(lambda: links(warden, "blue") == ["true"], what="the old command's end")
    assert inode(home) == before[0]


@quick
def test_a_jail_is_made_changed_and_deleted_by_cli(make_warden):
    warden = make_warden(allow("echo", "true"))
    made = warden.cli("jails", "create", "bot", "echo", "git", "--wait", "30s", "--pending", "5")
    assert made.code == 0 and "echo, git" in made.stdout and "5 pending" in made.stdout, made
    assert links(warden, "bot") == ["echo", "git"]
    assert run_by_link(warden, "bot", "echo", "x").out == b"x\n"
    home = inode(jail_dir(warden, "bot"))
    changed = warden.cli_json("jails", "set", "bot", "--add", "true,npm", "--remove", "git", "--hardened", "true",
                              "--wait", "true")
    assert changed["commands"] == ["echo", "npm", "true"] and changed["hardened"] is True
    assert changed["wait_ms"] is None and changed["limits"]["pending"] == 5
    assert links(warden, "bot") == ["echo", "npm", "true"] and inode(jail_dir(warden, "bot")) == home
    assert run_by_link(warden, "bot", "true").code == 0
    assert warden.cli_json("jails", "set", "bot", "--commands", "")["commands"] == []
    assert links(warden, "bot") == []
    assert "of an operator" in warden.cli("jails").stdout
    assert warden.cli("jails", "delete", "bot").stdout == "deleted bot\n"
    assert not os.path.lexists(jail_dir(warden, "bot"))
    assert warden.cli("jails", "get", "bot").code == 1 and warden.cli("jails", "delete", "bot").code == 1
    told = [record for record in warden.journal(event="config", jail="bot")]
    assert [record["message"].partition(":")[0] for record in told] == ["jail made", "jail changed", "jail changed",
                                                                         "jail removed"]
    assert "with true npm, without git, hardened, wait true" in told[1]["message"]
    assert all(record["via"] == "cli" and "(uid " in record["approver"] for record in told)
    warden.verify()


@quick
def test_the_api_makes_jails_for_admins_alone(service):
    api = service(allow("echo"), jails={"mine": {}, "other": {}})
    admin = api.token("admin", "admin")
    body = {"name": "bot", "commands": ["echo"]}
    for client in (api.token("v", "viewer"), api.token("a", "approver"), api.token("j", "approver", jails=["mine"])):
        assert client.post("/api/jails", body).status == 403
        assert client.patch("/api/jails/mine", {"add": ["ls"]}).status == 403
        assert client.delete("/api/jails/mine").status == 403
    assert not os.path.lexists(jail_dir(api.warden, "bot"))
    made = admin.post("/api/jails", body)
    assert made.status == 201 and made.json["source"] == "api" and made.json["serving"], made
    assert admin.post("/api/jails", body).code == "name_taken"
    assert admin.ok("PATCH", "/api/jails/bot", {"wait_ms": 0, "limits": {"commands": 3}})["limits"]["commands"] == 3
    jailed = api.token("jailed", "approver", jails=["bot"])
    assert [jail["name"] for jail in jailed.ok("GET", "/api/jails")["jails"]] == ["bot"]
    assert api.token("elsewhere", "viewer", jails=["mine"]).get("/api/jails/bot").status == 404
    assert admin.ok("DELETE", "/api/jails/bot") == {"name": "bot", "deleted": True}
    assert admin.patch("/api/jails/bot", {"add": ["ls"]}).status == 404
    assert api.warden.recorded(event="config", jail="bot")["approver"] == "admin"


@quick
def test_jails_of_the_policy_are_the_policys(service):
    api = service(allow("echo"), jails={"mine": {"commands": ["echo"]}})
    for answer in (api.operator.patch("/api/jails/mine", {"add": ["ls"]}), api.operator.delete("/api/jails/default"),
                   api.operator.post("/api/jails", {"name": "mine"})):
        assert answer.status == 409 and answer.code == "policy_jail", answer
        assert api.warden.policy_path in answer.json["error"]
    assert links(api.warden, "mine") == ["echo"]


def test_what_no_jail_may_be(service):
    api = service(allow("echo"))
    api.operator.ok("POST", "/api/jails", {"name": "bot"})
    for name in ("../x", "a/b", "..", ".", ".new-x", "UP", "a b", "a\nb", "x" * 64, "", None, 7):
        assert api.operator.post("/api/jails", {"name": name}).code == "bad_jail", name
    for command in ("../x", "a/b", "/bin/sh", "..", ".", "a\nb", "a\x1b", "", "x" * 256, None, 7):
        for body in ({"commands": [command]}, {"add": [command]}):
            assert api.operator.patch("/api/jails/bot", body).code == "bad_jail", command
    many = [f"c{i}" for i in range(4097)]
    for body in ({"commands": many}, {"commands": "git"}, {}, {"hardened": 1}, {"wait_ms": -1}, {"wait_ms": "1s"},
                 {"limits": {"pending": 0}}, {"limits": {"bytes": 1}}, {"limits": {"x": 1}}, {"limits": 1}):
        assert api.operator.patch("/api/jails/bot", body).code == "bad_jail", body
    assert api.operator.patch("/api/jails/bot", {"allow_root": True}).code == "unknown_member"
    assert api.operator.ok("PATCH", "/api/jails/bot", {"commands": many[:4096]})["name"] == "bot"
    assert len(links(api.warden, "bot")) == 4096
    assert api.operator.patch("/api/jails/bot", {"add": ["more"]}).code == "bad_jail"
    assert sorted(os.listdir(os.path.join(api.warden.run_dir, "jails"))) == ["bot", "default"]


def test_a_policy_with_impossible_commands_is_refused(make_warden):
    warden = make_warden(allow("echo"), jails={"blue": {"commands": ["echo"]}})
    for command in ("a/b", "..", "a\nb", "a\x07"):
        warden.write_policy(json.dumps({"version": 1, "jails": {"blue": {"commands": [command]}}}))
        result = warden.cli("policy", "check", warden.policy_path)
        assert result.code == 1 and ("without '/'" in result.stderr or "control" in result.stderr), (command, result)
    assert links(warden, "blue") == ["echo"]


@quick
def test_a_restart_keeps_the_directory_and_whoever_has_it(make_warden):
    warden = make_warden(allow("echo"))
    warden.cli("jails", "create", "bot", "echo")
    held = os.open(jail_dir(warden, "bot"), os.O_PATH | os.O_DIRECTORY)  # as a bind mount holds it
    before = os.fstat(held).st_ino
    try:
        warden.restart()
        assert inode(jail_dir(warden, "bot")) == before
        env = warden.shim_env("bot")
        env["CLAWRDEN_SOCKET"] = f"/proc/self/fd/{held}/warden.sock"
        process = subprocess.Popen(["echo", "again"], executable=f"/proc/self/fd/{held}/bin/echo", env=env,
                                   cwd=warden.work, pass_fds=[held], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, **as_user(PRISONER))
        warden.started.append(process)
        assert finish(process).out == b"again\n"
        assert warden.cli_json("jails", "get", "bot")["commands"] == ["echo"]
        warden.kill_all()  # no chance to tidy up
        warden.start()
        assert inode(jail_dir(warden, "bot")) == before
        assert warden.shim("echo", "x", jail="bot").out == b"x\n"
    finally:
        os.close(held)


def test_what_is_no_longer_wanted_goes_at_the_start(make_warden):
    warden = make_warden(allow("echo"), jails={"blue": {"commands": ["echo"]}})
    warden.kill_all()
    half = os.path.join(warden.run_dir, "jails", ".new-half")
    os.makedirs(os.path.join(half, "bin"))
    if IS_ROOT and not warden.privileged:
        os.chown(half, PRISONER, PRISONER)
    warden.write_policy(policy(*allow("echo")))
    warden.start()
    assert os.listdir(os.path.join(warden.run_dir, "jails")) == ["default"]


def test_killed_in_the_middle_of_anything_nothing_is_half_made(make_warden):
    """SIGKILL at moments that drift through making and changing a jail of many commands."""
    warden = make_warden(allow("echo"))
    many = ",".join(f"c{i}" for i in range(2000))
    for turn in range(8):
        client = subprocess.Popen([*cli_line(warden), "jails", "create", "bot"] + many.split(","),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_user(warden.user))
        warden.started.append(client)
        time.sleep(0.004 * turn)
        warden.kill_all()
        client.wait(30)
        warden.start()
        names = sorted(os.listdir(os.path.join(warden.run_dir, "jails")))
        kept = os.path.join(warden.state_dir, "jails.json")
        jails = json.load(open(kept, encoding="utf-8"))["jails"] if os.path.exists(kept) else []
        assert names == sorted(["default"] + [jail["name"] for jail in jails]), names
        if jails:  # all of it or nothing
            assert len(links(warden, "bot")) == 2000
            assert warden.cli("jails", "delete", "bot").code == 0


def cli_line(warden):
    return [os.path.join(os.path.dirname(warden.command_line()[0]), "clawrden-cli"), "--api",
            f"unix:{warden.api_socket}"]


def test_a_broken_file_of_jails_is_not_lost(make_warden):
    warden = make_warden(allow("echo"))
    warden.cli("jails", "create", "bot", "echo")
    home = inode(jail_dir(warden, "bot"))
    warden.terminate()
    kept = os.path.join(warden.state_dir, "jails.json")
    good = open(kept, encoding="utf-8").read()
    with open(kept, "w", encoding="utf-8") as file:
        file.write(good[:-20])
    warden.start()
    assert "jails.json: line" in warden.log()
    refused = warden.cli("jails", "create", "more")
    assert refused.code == 1 and "jails.json cannot be read" in refused.stderr, refused
    assert warden.cli("jails", "get", "bot").code == 1 and warden.shim("echo", "x").out == b"x\n"
    assert open(kept, encoding="utf-8").read() == good[:-20]
    assert inode(jail_dir(warden, "bot")) == home  # it may be mounted
    warden.terminate()
    with open(kept, "w", encoding="utf-8") as file:
        file.write(good)
    warden.start()
    assert warden.shim("echo", "x", jail="bot").out == b"x\n" and inode(jail_dir(warden, "bot")) == home


def test_what_cannot_be_kept_is_not_made(make_warden):
    warden = make_warden(allow("echo"))
    os.mkdir(os.path.join(warden.state_dir, ".jails.json.new"))
    refused = warden.cli("jails", "create", "bot", "echo")
    assert refused.code == 1 and "could not be kept" in refused.stderr, refused
    assert not os.path.lexists(jail_dir(warden, "bot"))
    assert warden.recorded(event="config", jail="bot")["message"].startswith("jail could not be made")
    os.rmdir(os.path.join(warden.state_dir, ".jails.json.new"))
    assert warden.cli("jails", "create", "bot", "echo").code == 0


@quick
def test_a_deleted_jail_ends_what_runs_and_what_waits(make_warden):
    warden = make_warden(allow("sleep"), ask("touch"))
    warden.cli("jails", "create", "bot")
    warden.cli("jails", "create", "calm")
    running, waiting = warden.spawn("sleep", "600", jail="bot"), warden.spawn("touch", "x", jail="bot")
    calm = warden.spawn("sleep", "600", jail="calm")
    wait_for(lambda: warden.cli_json("jails", "get", "bot")["running"] == 1 and
             warden.cli_json("jails", "get", "calm")["running"] == 1, what="the commands")
    warden.pending()
    pid = warden.recorded(event="judged", jail="bot")["request"]
    assert warden.cli("jails", "delete", "bot").code == 0
    assert finish(running).code == 125 and finish(waiting).code == 125
    assert warden.queue() == []
    assert wait_for(lambda: [event for event in warden.events(pid) if event in ("ended", "cancelled")], what="its end")
    assert calm.poll() is None
    assert warden.cli("jails", "create", "bot", "echo").code == 0  # a name can be used again
    assert warden.cli_json("jails", "get", "bot")["running"] == 0
    warden.verify()


def test_a_name_that_the_policy_takes_is_the_policys(make_warden):
    warden = make_warden(allow("echo"))
    warden.cli("jails", "create", "bot", "echo", "npm")
    home = inode(jail_dir(warden, "bot"))
    warden.write_policy(policy(*allow("echo"), jails={"bot": {"commands": ["git"]}}))
    wait_for(lambda: links(warden, "bot") == ["git"], what="the policy's commands")
    assert warden.cli_json("jails", "get", "bot")["source"] == "policy" and inode(jail_dir(warden, "bot")) == home
    assert warden.cli("jails", "delete", "bot").code == 1
    warden.write_policy(policy(*allow("echo")))
    wait_for(lambda: links(warden, "bot") == ["echo", "npm"], what="the operator's commands")
    assert inode(jail_dir(warden, "bot")) == home


# Attacks.


def test_planted_links_lead_nowhere(make_warden):
    """Whoever could write beside or into a jail's directory gets nothing outside of it changed."""
    warden = make_warden(allow("echo"))
    elsewhere = os.path.join(warden.base, "elsewhere")
    os.mkdir(elsewhere)
    precious = os.path.join(elsewhere, "precious")
    with open(precious, "w", encoding="utf-8") as file:
        file.write("keep")
    os.chmod(precious, 0o600)
    os.symlink(elsewhere, jail_dir(warden, "planted"))
    refused = warden.cli("jails", "create", "planted", "git")
    assert refused.code == 1 and "is no directory" in refused.stderr, refused
    warden.cli("jails", "create", "bot", "git")
    home = jail_dir(warden, "bot")
    os.rename(os.path.join(home, "bin"), os.path.join(home, "old"))
    os.symlink(elsewhere, os.path.join(home, "bin"))
    os.unlink(os.path.join(home, "clawrden-shim"))
    os.symlink(precious, os.path.join(home, "clawrden-shim"))
    assert warden.cli("jails", "set", "bot", "--add", "npm").code == 0
    assert links(warden, "bot") == ["git", "npm"] and os.listdir(elsewhere) == ["precious"]
    warden.terminate()
    os.symlink(precious, os.path.join(home, "warden.sock"))
    warden.start()
    assert warden.shim("echo", "x", jail="bot").out == b"x\n"
    assert warden.cli("jails", "delete", "bot").code == 0
    assert os.listdir(elsewhere) == ["precious"] and open(precious, encoding="utf-8").read() == "keep"
    assert stat.S_IMODE(os.stat(precious).st_mode) == 0o600


def test_a_run_directory_that_others_write_to_is_refused():
    def open_it(warden):
        for directory in (warden.run_dir, os.path.join(warden.run_dir, "jails")):
            os.makedirs(directory, exist_ok=True)
            if IS_ROOT and not warden.privileged:
                os.chown(directory, PRISONER, PRISONER)
        os.symlink("/etc", os.path.join(warden.run_dir, "jails", "blue"))
        os.chmod(os.path.join(warden.run_dir, "jails"), 0o775)

    warden = Warden(policy(*allow("echo"), jails={"blue": {"commands": ["echo"]}}), start=False, after_setup=open_it)
    try:
        warden.launch()
        assert warden.process.wait(30) != 0
        assert "can write to it" in warden.log() and not os.path.lexists("/etc/warden.sock")
    finally:
        warden.stop()


@pytest.mark.root
def test_a_prisoner_cannot_change_its_jail(make_warden):
    warden = make_warden(allow("echo"), jails={"blue": {"commands": ["echo"]}})
    home = jail_dir(warden, "blue")

    def attack():
        refused = 0
        for attempt in (lambda: os.unlink(os.path.join(home, "bin", "echo")),
                        lambda: os.symlink("/bin/sh", os.path.join(home, "bin", "sh")),
                        lambda: open(os.path.join(home, "clawrden-shim"), "wb"),
                        lambda: os.rename(home, home + "x"),
                        lambda: os.unlink(os.path.join(home, "warden.sock")),
                        lambda: os.chmod(home, 0o777)):
            try:
                attempt()
            except PermissionError:
                refused += 1
        return refused

    assert in_child(attack) == 6
    assert links(warden, "blue") == ["echo"]


def test_without_root_it_is_the_same(make_warden):
    warden = Warden(policy(*allow("echo")), privileged=False)
    try:
        assert warden.cli("jails", "create", "bot", "echo").code == 0
        assert run_by_link(warden, "bot", "echo", "x", uid=PRISONER).out == b"x\n"
        warden.restart()
        assert links(warden, "bot") == ["echo"]
        assert warden.cli("jails", "delete", "bot").code == 0
    finally:
        warden.stop()


# The shim.


def test_the_shim_is_taken_from_where_it_is_said_to_be():
    for path, words in (("/nowhere/shim", "No such file"), ("/etc/passwd", "is no program")):
        warden = Warden(policy(*allow("echo")), options=["--shim", path], start=False)
        try:
            warden.launch()
            assert warden.process.wait(30) != 0
            assert f"--shim {path}: " in warden.log() and words in warden.log(), warden.log()
            assert not os.path.exists(os.path.join(warden.run_dir, "armory"))  # nothing is left behind
        finally:
            warden.stop()


def test_a_new_shim_reaches_the_jails_at_the_next_start(make_warden):
    warden = make_warden(allow("echo"), jails={"blue": {"commands": ["echo"]}})
    home = inode(jail_dir(warden, "blue"))
    warden.terminate()
    other = os.path.join(warden.base, "shim")
    with open(os.path.join(warden.run_dir, "armory", "clawrden-shim"), "rb") as file:
        newer = file.read() + b"\0newer"
    with open(other, "wb") as file:
        file.write(newer)
    if IS_ROOT and not warden.privileged:
        os.chown(other, PRISONER, PRISONER)
    warden.options += ["--shim", other]
    warden.start()
    with open(os.path.join(jail_dir(warden, "blue"), "clawrden-shim"), "rb") as file:
        assert file.read() == newer
    assert inode(jail_dir(warden, "blue")) == home
    assert run_by_link(warden, "blue", "echo", "x").out == b"x\n"


def test_a_jail_that_is_over_is_neither_shown_nor_stopped(make_warden):
    warden = make_warden(allow("id"))
    for name in ("first", "last"):
        assert warden.cli("jails", "create", name, "id").code == 0
        assert warden.cli("jails", "delete", name).code == 0

    def shown():
        return {jail["name"] for jail in warden.cli_json("status")["jails"]}
    wait_for(lambda: shown() == {"default"}, what="their end")
    result = warden.cli("kill", "last")
    assert result.code != 0 and "no jail of this name" in result.stderr, result


def test_a_stop_is_shown_after_the_end_of_its_jail(make_warden):
    warden = make_warden(allow("id"))
    assert warden.cli("jails", "create", "agent", "id").code == 0
    assert warden.cli("kill", "agent").code == 0
    assert warden.cli("jails", "delete", "agent").code == 0
    assert "agent" in {jail["name"] for jail in warden.cli_json("status")["jails"]}
    assert warden.cli("resume", "agent").code == 0
    wait_for(lambda: "agent" not in {jail["name"] for jail in warden.cli_json("status")["jails"]},
                     what="its end")
