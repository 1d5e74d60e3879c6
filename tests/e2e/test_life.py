"""Starting, stopping, being an ordinary user, and telling what is wrong."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest

from harness import PRISONER, allow, as_user, ask, finish, program

quick = pytest.mark.quick

CAP_SYS_RESOURCE = 24


def run_warden(*arguments, timeout=20, env=None, uid=None):
    return subprocess.run([program("clawrden-warden"), *arguments], capture_output=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin", **(env or {})},
                          **(as_user(uid) if uid else {}))


@quick
def test_processes_and_their_users(make_warden):
    warden = make_warden(allow("true"))
    roles = {role.split("/")[0]: pid for role, pid in warden.processes().items()}
    assert set(roles) == {"parent", "door", "warden", "executor", "api"}, warden.processes()

    def status(pid):
        with open(f"/proc/{pid}/status") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

    if not warden.privileged:
        return
    uids = {role: int(status(pid)["Uid"].split()[0]) for role, pid in roles.items()}
    assert uids["parent"] == 0 and uids["executor"] == 0
    assert len({uids["door"], uids["warden"], uids["api"]}) == 3 and 0 not in (
        uids["door"], uids["warden"], uids["api"])
    for role in ("door", "warden", "api"):
        facts = status(roles[role])
        # Who sends descriptors keeps it, where the warden has it.
        kept = 0 if role == "warden" else 1 << CAP_SYS_RESOURCE & int(status("self")["CapPrm"], 16)
        assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == kept, role
        assert facts["NoNewPrivs"].strip() == "1", role
        assert facts["Groups"].strip() == "" or role != "door"
        # Not dumpable: its files in /proc belong to root.
        assert os.stat(f"/proc/{roles[role]}/mem").st_uid == 0, role


@pytest.mark.release_only
def test_processes_are_confined_by_the_kernel(make_warden):
    warden = make_warden(allow("true"))
    for role, pid in warden.processes().items():
        if role.split("/")[0] in ("door", "warden", "api"):
            with open(f"/proc/{pid}/status") as file:
                assert "Seccomp:\t2" in file.read(), role


def test_a_door_per_jail(make_warden):
    warden = make_warden(allow("true"), jails={"blue": {"commands": ["true"]}, "green": {"commands": ["true"]}})
    doors = [role for role in warden.processes() if role.startswith("door")]
    assert len(doors) == 3, warden.processes()


def test_an_orderly_stop(make_warden):
    warden = make_warden(allow("true"))
    assert warden.terminate() == 0
    assert warden.journal(event="stop")
    warden.start()
    assert warden.shim("true").code == 0


def test_interrupt_stops_too(make_warden):
    warden = make_warden(allow("true"))
    warden.notice()
    os.kill(warden.pid, signal.SIGINT)
    assert warden.process.wait(20) == 0


def test_restart_after_everything_was_killed(make_warden):
    warden = make_warden(allow("true"))
    assert warden.shim("true").code == 0
    warden.kill_all()
    warden.start()
    assert warden.shim("true").code == 0
    warden.recorded(event="ended")
    warden.verify()


def test_two_wardens_do_not_share_a_directory(make_warden):
    warden = make_warden(allow("true"))
    second = subprocess.run(warden.command_line(), capture_output=True, timeout=20,
                            env={"HOME": warden.home}, **({} if warden.privileged else as_user(PRISONER)))
    assert second.returncode not in (0,) and second.stderr
    assert warden.shim("true").code == 0


@pytest.mark.root
@quick
def test_as_an_ordinary_user(make_warden):
    warden = make_warden(allow("echo"), ask("touch"), warden_options={"privileged": False})
    assert "no security boundary" in warden.log() or "not a security boundary" in warden.log()
    assert warden.shim("echo", "x").out == b"x\n"
    assert warden.shim("id").code == 126
    process = warden.spawn("touch", "mark")
    assert warden.cli("approve", warden.pending_id()).code == 0
    assert finish(process).code == 0
    for pid in warden.processes().values():
        assert os.stat(f"/proc/{pid}").st_uid in (PRISONER, 0)
        with open(f"/proc/{pid}/status") as file:
            assert f"Uid:\t{PRISONER}\t{PRISONER}" in file.read()
    warden.verify()


@pytest.mark.root
def test_an_ordinary_users_default_places(make_warden):
    warden = make_warden(allow("true"), warden_options={"privileged": False, "start": False})
    environment = {"HOME": warden.home, "XDG_RUNTIME_DIR": os.path.join(warden.base, "xdg-run"),
                   "XDG_STATE_HOME": os.path.join(warden.base, "xdg-state"), "PATH": "/usr/bin:/bin"}
    for name in ("xdg-run", "xdg-state"):
        path = os.path.join(warden.base, name)
        os.mkdir(path, 0o700)
        os.chown(path, PRISONER, PRISONER)
    warden.command_line = lambda: [program("clawrden-warden"), "--policy", warden.policy_path,
                                   "--api", "none"]
    warden.environment = environment
    warden.start()
    sockets = []
    for directory, _, files in os.walk(os.path.join(warden.base, "xdg-run")):
        sockets += [os.path.join(directory, name) for name in files]
    path = next(path for path in sockets if path.endswith("default/warden.sock"))
    assert warden.shim("true", env={"CLAWRDEN_SOCKET": path}).code == 0


@quick
def test_check(make_warden):
    warden = make_warden(allow("true"), warden_options={"start": False})
    good = run_warden("--policy", warden.policy_path, "--check")
    assert good.returncode == 0, good
    warden.write_policy("version: 1\nrules:\n  - command: ls\n    action: alow\n")
    bad = run_warden("--policy", warden.policy_path, "--check")
    assert bad.returncode != 0 and f"{warden.policy_path}:4:".encode() in bad.stderr, bad
    assert not os.path.exists(warden.run_dir)


def test_a_broken_policy_does_not_start(make_warden):
    warden = make_warden(allow("true"), warden_options={"start": False})
    warden.write_policy("version: 1\nrules: [\n")
    warden.launch()
    assert warden.process.wait(20) not in (0, None)
    assert f"{warden.policy_path}:" in warden.log()
    assert not os.path.exists(warden.socket_path())


@quick
@pytest.mark.parametrize("arguments", [
    ["--nonsense"], [], ["--policy"], ["--policy", "/", "--log", "xml"], ["operand"],
])
def test_bad_arguments(arguments, tmp_path):
    directories = ["--run-dir", str(tmp_path / "run"), "--state-dir", str(tmp_path / "state"),
                   "--audit", str(tmp_path / "audit" / "audit.log"),
                   "--api-socket", str(tmp_path / "run" / "api" / "api.sock")]
    result = run_warden(*directories, *arguments)
    assert result.returncode == 2, result
    assert b"clawrden-warden: " in result.stderr, result


def test_a_policy_that_is_not_there(make_warden):
    warden = make_warden(allow("true"), warden_options={"start": False})
    os.unlink(warden.policy_path)
    warden.launch()
    assert warden.process.wait(20) in (1, 2)
    assert f"{warden.policy_path}: No such file" in warden.log()


@pytest.mark.root
def test_missing_users_are_named_with_the_command_that_makes_them(make_warden):
    warden = make_warden(allow("true"), warden_options={"start": False})
    warden.options = ["--user", "nobody-knows-him"]
    warden.launch()
    assert warden.process.wait(20) == 2
    assert "useradd" in warden.log() and "nobody-knows-him" in warden.log()


def test_sd_notify(make_warden):
    warden = make_warden(allow("true"), warden_options={"start": False})
    path = os.path.join(warden.base, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        os.chmod(path, 0o777)
        notify.settimeout(20)
        warden.environment = {"NOTIFY_SOCKET": path}
        warden.start()
        said = b""
        while b"READY=1" not in said:
            said += notify.recv(4096) + b"\n"


def test_json_log(make_warden):
    warden = make_warden(allow("true"), warden_options={"options": ["--log", "json"]})
    for line in warden.log().splitlines():
        if line.startswith("{"):
            record = json.loads(line)
            assert "message" in record and "level" in record
    assert any(line.startswith("{") for line in warden.log().splitlines())


def test_sockets_lie_in_directories_of_their_own(make_warden):
    warden = make_warden(allow("true"), jails={"blue": {"commands": ["true"]}})
    for jail in ("default", "blue"):
        directory = os.path.dirname(warden.socket_path(jail))
        found = set(os.listdir(directory)) - {"clawrden-launcher"}  # of root's wardens, if it is built
        assert found == {"bin", "clawrden-shim", "warden.sock"}
        assert os.stat(directory).st_mode & 0o022 == 0
    assert os.path.dirname(warden.api_socket) != os.path.dirname(warden.socket_path())


def test_socket_option(make_warden):
    warden = make_warden(allow("echo"), warden_options={"start": False})
    path = os.path.join(warden.base, "extra.sock")
    warden.options = ["--socket", path]
    warden.start()
    assert warden.shim("echo", "x", env={"CLAWRDEN_SOCKET": path}).out == b"x\n"


def test_a_stale_socket_is_replaced(make_warden):
    warden = make_warden(allow("echo"))
    warden.kill_all()
    assert os.path.exists(warden.socket_path())
    warden.start()
    assert warden.shim("echo", "x").out == b"x\n"


def test_stopping_refuses_what_waits(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark")
    warden.pending_id()
    warden.terminate()
    result = finish(process)
    assert result.code in (125, 126) and result.stderr
    assert not os.path.exists(os.path.join(warden.work, "mark"))


def test_an_idle_warden_sleeps(make_warden):
    warden = make_warden(allow("true"))
    warden.shim("true")

    def ticks():
        total = 0
        for pid in warden.processes().values():
            with open(f"/proc/{pid}/stat") as file:
                total += sum(int(field) for field in file.read().rpartition(")")[2].split()[11:13])
        return total

    before = ticks()
    time.sleep(2)
    assert ticks() - before <= 4


def test_a_plain_yaml_policy(make_warden):
    text = "version: 1\ndefault_action: deny\nrules:\n  - {command: echo, action: allow}\n"
    warden = make_warden(text=text)
    assert warden.shim("echo", "x").out == b"x\n"
