"""Commands in ghost: each in an ephemeral container of an image that the policy names."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

import harness

IMAGE = "debian:bookworm"
GHOST = "clawrden.ghost"


@pytest.fixture
def make(engine, make_warden):
    """make(rule…, **top) → a warden with the test's engine; callers on the host have its work directory."""

    def start(*rules, options=(), **top):
        engine.image(IMAGE)
        warden = make_warden(*rules, ghost_images={"sh": IMAGE, "tool": IMAGE},
                             warden_options={"options": ["--engine", engine.url, *options], "start": False}, **top)
        text = warden_policy(warden)
        text["allowed_paths"] = [warden.work + "/*"]
        warden.write_policy(json.dumps(text))
        warden.start()
        return warden
    return start


def warden_policy(warden):
    with open(warden.policy_path, encoding="utf-8") as file:
        return json.load(file)


def ghost(*names, action="allow", **more):
    return [{"command": name, "action": action, "executor": "ghost", **more} for name in names]


def sh(warden, script, **more):
    return warden.shim("sh", "-c", script, cwd=warden.work, **more)


def containers(engine):
    return engine.docker("ps", "-aq", "--no-trunc", "--filter", f"label={GHOST}").stdout.split()


def none_left(engine):
    harness.wait_for(lambda: not containers(engine), what="the removal of every container")


def running(engine):
    """The one container, once it runs."""
    def look():
        found = engine.docker("ps", "-q", "--no-trunc", "--filter", f"label={GHOST}").stdout.split()
        return found[0] if len(found) == 1 else None
    return harness.wait_for(look, what="a running container")


# What a command sees and leaves.

def test_it_runs_in_the_image_with_its_directory(make, engine):
    warden = make(ghost("sh"))
    result = sh(warden, "pwd; id -u; id -g; cat /etc/os-release | head -1; echo oops >&2; echo x > made; exit 7",
                env={"LANG": "C.UTF-8"})
    assert result.code == 7, result
    lines = result.stdout.splitlines()
    assert lines[:3] == [warden.work, str(harness.PRISONER), str(harness.PRISONER)]
    assert "bookworm" in lines[3]
    assert "oops" in result.stderr
    made = os.stat(os.path.join(warden.work, "made"))
    assert (made.st_uid, made.st_gid) == (harness.PRISONER, harness.PRISONER)
    none_left(engine)
    started = warden.journal(event="started")[-1]
    assert started["executor"] == "ghost" and "sha256:" in started["message"]
    ended = warden.journal(event="ended")[-1]
    assert ended["executor"] == "ghost" and ended["exit_code"] == 7
    warden.verify()


def test_a_command_that_the_caller_lacks(make, engine):
    """`tool` is nowhere on the host; the image has it."""
    engine.build("ghost-tool", f"FROM {engine.image(IMAGE)}\nCOPY tool /usr/local/bin/tool\n",
                 {"tool": b"#!/bin/sh\necho tool of the image: \"$@\"\n"})
    warden = make(ghost("tool", ghost={"image": "ghost-tool"}))
    result = warden.shim("tool", "a b", "", "c", cwd=warden.work)
    assert result.code == 0 and result.stdout == "tool of the image: a b  c\n", result


def test_a_command_that_nobody_has(make):
    warden = make(ghost("tool"))
    result = warden.shim("tool", cwd=warden.work)
    assert result.code == 127, result
    assert "tool" in result.stderr


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_no_name_is_no_command(make, name):
    warden = make(ghost("*", ghost={"image": "nowhere/there:is-none"}))
    result = warden.shim(name, cwd=warden.work, direct=True)
    # No image was looked for.
    assert result.code == 127 and "command not found" in result.stderr, (result, warden.log())


def test_a_command_that_no_rule_sends_to_ghost_is_not_found(make):
    warden = make(ghost("sh"), harness.allow("missing"))
    result = warden.shim("missing", cwd=warden.work)
    assert result.code == 127 and "command not found" in result.stderr, result


def test_stdin_is_binary_and_ends(make):
    data = bytes(range(256)) * 4096
    warden = make(ghost("sh"))
    result = sh(warden, "md5sum; echo done", data=data)
    assert result.stdout.split()[0] == hashlib.md5(data).hexdigest() and "done" in result.stdout, result


def test_a_hundred_megabytes_of_output(make):
    warden = make(ghost("sh"))
    process = warden.spawn("sh", "-c", "head -c 104857600 /dev/zero | tr '\\0' x", cwd=warden.work)
    digest = hashlib.sha256()
    while piece := process.stdout.read(1 << 16):
        digest.update(piece)
    assert process.wait(harness.PATIENCE) == 0
    assert digest.hexdigest() == hashlib.sha256(b"x" * 104857600).hexdigest()


def test_it_has_no_network_no_rights_and_limits(make):
    warden = make(ghost("sh", ghost={"memory": "64m", "pids": 9}))
    result = sh(warden, "ls /sys/class/net; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status;"
                "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null;"
                "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null")
    words = result.stdout.split()
    assert words[0] == "lo" and "eth0" not in words, result
    assert words[words.index("CapEff:") + 1] == words[words.index("CapBnd:") + 1] == "0" * 16
    assert words[words.index("NoNewPrivs:") + 1] == "1"
    assert words[-2:] == ["9", str(64 << 20)]


def test_the_environment_is_the_images_where_it_must_be(make):
    warden = make(ghost("sh"))
    result = sh(warden, "echo PATH=$PATH; echo HOME=$HOME; echo LANG=$LANG; echo PAGER=$PAGER",
                env={"PATH": warden.work + ":" + os.environ["PATH"], "LANG": "C.UTF-8", "LD_PRELOAD": "/x.so"})
    found = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert warden.work not in found["PATH"]
    assert found["HOME"] == "/tmp" and found["LANG"] == "C.UTF-8", result


def test_labels_of_its_image_give_it_no_jail(make, engine):
    engine.build("ghost-labelled", f"FROM {engine.image(IMAGE)}\n"
                 'LABEL clawrden.enabled=true clawrden.cmds="sh,id" clawrden.mode=hardened\n')
    warden = make(ghost("sh", ghost={"image": "ghost-labelled"}))
    result = sh(warden, "sleep 1; grep -c clawrden /proc/self/mountinfo")
    assert result.stdout == "0\n", result
    assert not warden.cli_json("jails", "containers")["containers"]
    assert not warden.journal(event="container")


# How it ends.

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_that_does_not_handle_it(make, engine, number):
    warden = make(ghost("sh"))
    process = warden.spawn("sh", "-c", "echo up; exec sleep 600", cwd=warden.work)
    assert process.stdout.readline() == b"up\n"
    running(engine)
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(harness.PATIENCE) == -number
    assert time.monotonic() - began < 30
    none_left(engine)
    ended = warden.recorded(event="ended")
    assert ended["signal"] == number


def test_a_command_may_handle_a_signal(make, engine):
    warden = make(ghost("sh"))
    process = warden.spawn("sh", "-c", "trap 'echo caught; exit 3' INT; echo up; while :; do sleep 0.1; done",
                           cwd=warden.work)
    assert process.stdout.readline() == b"up\n"
    running(engine)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"caught\n"
    assert process.wait(harness.PATIENCE) == 3
    none_left(engine)


def test_death_by_signal_and_a_code_like_it(make):
    warden = make(ghost("sh"))
    assert sh(warden, "exit 137").code == 137
    result = sh(warden, "sleep 1; ulimit -c 0; exec sh -c 'sleep 1; kill -SEGV $$; sleep 1; exit 9'")
    assert result.code == 9, result  # 1 of a pid namespace survives its own signals


def test_a_timeout_removes_it(make, engine):
    warden = make(ghost("sh", timeout="2s"))
    result = sh(warden, "echo up; sleep 600")
    assert result.code == 124 and result.stdout == "up\n", result
    none_left(engine)
    assert warden.recorded(event="ended")["timeout_violation"] is True


def test_a_caller_that_goes_away_takes_it_along(make, engine):
    warden = make(ghost("sh"))
    process = warden.spawn("sh", "-c", "sleep 600", cwd=warden.work)
    running(engine)
    process.kill()
    none_left(engine)


def test_the_kill_switch_removes_it(make, engine):
    warden = make(ghost("sh"))
    process = warden.spawn("sh", "-c", "trap '' TERM INT; sleep 600", cwd=warden.work)
    running(engine)
    assert warden.cli("kill", "default").code == 0
    assert process.wait(harness.PATIENCE) != 0
    none_left(engine)


def test_nobody_reads_its_output(make, engine):
    warden = make(ghost("sh"))
    process = warden.spawn("sh", "-c", "while :; do echo y; done", cwd=warden.work)
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    assert process.wait(harness.PATIENCE) == -signal.SIGPIPE
    none_left(engine)


def test_what_a_killed_warden_leaves_is_swept(make, engine):
    warden = make(ghost("sh"))
    warden.spawn("sh", "-c", "trap '' HUP; while :; do sleep 1; done", cwd=warden.work)
    running(engine)
    warden.kill_all()
    warden.start()
    none_left(engine)


def test_an_orderly_stop_leaves_nothing(make, engine):
    warden = make(ghost("sh"))
    warden.spawn("sh", "-c", "trap '' TERM; while :; do sleep 1; done", cwd=warden.work)
    running(engine)
    assert warden.terminate() == 0
    none_left(engine)


def test_another_wardens_containers_are_not_swept(make, engine):
    first, second = make(ghost("sh")), make(ghost("sh"))
    process = first.spawn("sh", "-c", "echo up; read x; echo $x", cwd=first.work, stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    second.restart()
    out, _ = process.communicate(b"alive\n", timeout=harness.PATIENCE)
    assert out == b"alive\n" and process.returncode == 0


# What is refused.

def test_a_missing_image(make, engine):
    warden = make(ghost("sh", ghost={"image": "nowhere/there:is-none"}))
    result = sh(warden, "true")
    assert result.code == 126 and "nowhere/there:is-none is not there" in result.stderr, result
    assert not containers(engine)


def test_a_directory_that_allowed_paths_does_not_name(make_warden, engine):
    engine.image(IMAGE)
    warden = make_warden(ghost("sh"), ghost_images={"sh": IMAGE},
                         warden_options={"options": ["--engine", engine.url]})
    result = sh(warden, "true")
    assert result.code == 126 and "allowed_paths" in result.stderr, result


def test_without_an_engine(make_warden):
    warden = make_warden(ghost("sh"), ghost_images={"sh": IMAGE})
    result = sh(warden, "true")
    assert result.code == 125 and "--engine" in result.stderr, result


# Asking.

def tag(engine, image, line):
    engine.build(image, f"FROM {engine.image(IMAGE)}\nRUN echo {line} > /line\n")


def test_an_approval_is_for_the_image(make, engine):
    tag(engine, "ghost-asked", "one")
    warden = make(ghost("sh", action="ask", ghost={"image": "ghost-asked"}))
    process = warden.spawn("sh", "-c", "cat /line", cwd=warden.work)
    assert warden.cli("approve", warden.pending_id()).code == 0
    out, _ = process.communicate(timeout=harness.PATIENCE)
    assert out == b"one\n" and process.returncode == 0
    process = warden.spawn("sh", "-c", "cat /line", cwd=warden.work)
    identifier = warden.pending_id()
    tag(engine, "ghost-asked", "two")
    assert warden.cli("approve", identifier).code == 0
    out, err = process.communicate(timeout=harness.PATIENCE)
    assert process.returncode == 126 and out == b"" and b"another image" in err
    assert warden.journal(event="drift")
    warden.verify()


def test_a_grant_covers_the_same_image_only(make, engine):
    tag(engine, "ghost-granted", "one")
    warden = make(ghost("sh", action="ask", ghost={"image": "ghost-granted"}))
    process = warden.spawn("sh", "-c", "cat /line", cwd=warden.work, stdin=subprocess.DEVNULL)
    assert warden.cli("approve", warden.pending_id(), "--for", "10m").code == 0
    assert process.communicate(timeout=harness.PATIENCE)[0] == b"one\n"
    process = warden.spawn("sh", "-c", "cat /line", cwd=warden.work, stdin=subprocess.DEVNULL)
    assert process.communicate(timeout=harness.PATIENCE)[0] == b"one\n"
    tag(engine, "ghost-granted", "two")
    process = warden.spawn("sh", "-c", "cat /line", cwd=warden.work, stdin=subprocess.DEVNULL)
    assert warden.pending_id()
    process.kill()


def test_twenty_at_once(make, engine):
    warden = make(ghost("sh"))
    results = [None] * 20

    def one(number):
        results[number] = sh(warden, f"echo {number}; exit {number}", timeout=240)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, result in enumerate(results):
        assert (result.code, result.stdout) == (number, f"{number}\n"), result
    none_left(engine)


def test_a_pause_while_the_container_is_made(make, engine):
    """The order to freeze finds no process yet; nothing ends of it, and nothing runs until the resumption."""
    warden = make(ghost("sh"))
    roles = warden.processes()
    for number in range(5):
        process = warden.spawn("sh", "-c", "sleep 1; echo it runs", cwd=warden.work)
        harness.wait_for(lambda number=number: len(warden.journal(event="judged")) > number, what="the verdict")
        time.sleep(number * 0.03)
        os.kill(roles["engine"], signal.SIGSTOP)
        try:
            assert warden.cli("pause", "--all").code == 0
        finally:
            os.kill(roles["engine"], signal.SIGCONT)
        time.sleep(3)
        assert process.poll() is None
        assert warden.processes() == roles
        assert warden.cli("resume", "--all").code == 0
        result = harness.finish(process, timeout=120)
        assert (result.code, result.stdout) == (0, "it runs\n"), result
    none_left(engine)


# From inside a container.

NODE = "clawrden-test-npm"


@pytest.fixture
def npm_image(engine):
    """This machine's node and npm on top of a base image."""
    node, npm = (shutil.which(name) for name in ("node", "npm"))
    if not node or not npm:
        pytest.skip("needs node and npm")
    home = os.path.dirname(os.path.dirname(os.path.realpath(npm)))
    pack = subprocess.run(["tar", "-C", home, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
    engine.build(NODE, f"FROM {engine.image(IMAGE)}\nCOPY node /usr/local/bin/node\n"
                 "ADD npm.tar /usr/local/lib/node_modules/npm/\n"
                 "RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm\n",
                 {"node": os.path.realpath(node), "npm.tar": pack})
    if engine.run(NODE, "npm", "--version").code != 0:
        pytest.skip("this machine's npm does not run in the base image")
    return NODE


@pytest.fixture
def workspace(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("ghost"))
    for at in (os.path.dirname(os.path.dirname(path)), os.path.dirname(path), path):
        os.chmod(at, 0o755)
    os.chown(path, 1000, 1000)
    return path


def prison(engine, warden, workspace, command="tool", image=IMAGE, options=()):
    """A container with the workspace at /app, in which `command` is a shim."""
    return engine.prisoner(warden, image, options=[
        "-v", f"{workspace}:/app", "-v", f"{harness.program('clawrden-shim')}:/usr/local/bin/{command}:ro",
        *options])


def inside(container, *command, directory="/app"):
    return container.exec(*command, options=["--user", "1000:1000", "-w", directory])


def test_npm_installs_a_package_for_a_python_container(make_warden, engine, npm_image, workspace):
    warden = make_warden(ghost("npm"), ghost_images={"npm": npm_image}, allowed_paths=["/app/*"],
                         warden_options={"options": ["--engine", engine.url]})
    os.mkdir(os.path.join(workspace, "pkg"))
    for path, text in (("package.json", {"name": "app", "version": "1.0.0"}),
                       ("pkg/package.json", {"name": "pkg", "version": "2.3.4", "main": "index.js"})):
        with open(os.path.join(workspace, path), "w", encoding="utf-8") as file:
            json.dump(text, file)
    subprocess.run(["chown", "-R", "1000:1000", workspace], check=True)
    container = prison(engine, warden, workspace, "npm", "python:3.11-slim")
    assert inside(container, "sh", "-c", "command -v node").code != 0
    result = inside(container, "npm", "install", "--install-links", "./pkg")
    assert result.code == 0, (result, warden.log())
    installed = os.path.join(workspace, "node_modules", "pkg", "package.json")
    with open(installed, encoding="utf-8") as file:
        assert json.load(file)["version"] == "2.3.4"
    assert os.stat(installed).st_uid == os.stat(os.path.join(workspace, "package-lock.json")).st_uid == 1000
    record = warden.journal(event="started")[-1]
    assert record["executor"] == "ghost" and record["container"] == container.id
    none_left(engine)


@pytest.fixture
def governed(make_warden, engine):
    engine.build("ghost-tool", f"FROM {engine.image(IMAGE)}\nCOPY tool /usr/local/bin/tool\n",
                 {"tool": b"#!/bin/sh\nexec sh -c \"$1\"\n"})
    return make_warden(ghost("tool"), ghost_images={"tool": "ghost-tool"},
                       warden_options={"options": ["--engine", engine.url]})


def test_a_directory_outside_of_any_mount_is_refused(governed, engine, workspace):
    container = prison(engine, governed, workspace)
    result = inside(container, "tool", "true", directory="/tmp")
    assert result.code == 126 and "no bind mount" in result.stderr, (result, governed.log())
    assert not containers(engine)


def test_it_sees_the_callers_mount_and_nothing_more(governed, engine, workspace):
    os.makedirs(os.path.join(workspace, "secret"))
    for path in ("open", "secret/key"):
        with open(os.path.join(workspace, path), "w", encoding="utf-8") as file:
            file.write(path + "\n")
    container = prison(engine, governed, workspace, options=["--tmpfs", "/app/secret", "-v", "/etc:/host-etc:ro"])
    result = inside(container, "tool", "cat open; ls -A secret | wc -l; ls -d /host-etc /run/clawrden; pwd")
    assert result.stdout.splitlines() == ["open", "0", "/app"], (result, governed.log())


SECRET = "a secret of the machine's root\n"


@pytest.fixture
def trapped(workspace, tmp_path_factory):
    """A workspace with a project in it, and a directory that only root may see: (project, secret)."""
    project, secret = os.path.join(workspace, "config", "proj"), str(tmp_path_factory.mktemp("secret"))
    os.makedirs(project)
    subprocess.run(["chown", "-R", "1000:1000", workspace], check=True)
    os.chmod(secret, 0o700)
    with open(os.path.join(secret, "s"), "w", encoding="utf-8") as file:
        file.write(SECRET)
    return project, secret


def lead_elsewhere(container, place, secret):
    """From where the prisoner may write: its project gives way to a link."""
    result = container.exec("/bin/sh", "-c", f"cd {place} && mv proj old && ln -s {secret} proj && readlink proj")
    assert result.stdout.strip() == secret, result


@pytest.mark.parametrize("user", ["1000:1000", "0:0"])
@pytest.mark.parametrize("shape", ["whole and part", "part within", "another's"])
def test_a_workspace_that_could_be_led_elsewhere_is_refused(governed, engine, workspace, trapped, shape, user):
    """The engine finds directories by their paths, as root: whoever can rename above one could choose another."""
    project, secret = trapped
    shim = ["-v", f"{harness.program('clawrden-shim')}:/usr/local/bin/tool:ro", "--user", user]
    if shape == "part within":
        container = engine.prisoner(governed, IMAGE, options=[
            *shim, "-v", f"{workspace}:/app", "-v", f"{project}:/app/config/proj:ro"])
        place = "/outside"
        other = engine.prisoner(governed, IMAGE, options=["-v", f"{workspace}/config:/outside"])
    else:
        whole = ["-v", f"{workspace}:/ws"]
        container = engine.prisoner(governed, IMAGE, options=[
            *shim, "-v", f"{project}:/app", *(whole if shape == "whole and part" else [])])
        other, place = container, "/ws/config"
        if shape == "another's":
            other = engine.prisoner(governed, IMAGE, options=whole)
    script = "cat /app/s /app/config/proj/s; touch /app/made /app/config/proj/made"
    before = container.exec("tool", script, options=["-w", "/app"])
    assert before.code == 126 and "may write to" in before.stderr, (before, governed.log()[-2000:])
    lead_elsewhere(other, place, secret)
    after = container.exec("tool", script, options=["-w", "/app"])
    assert after.code == 126 and SECRET not in after.stdout, (after, governed.log()[-2000:])
    if other is not container:  # who has done it is gone: the link is still there
        other.remove()
        after = container.exec("tool", script, options=["-w", "/app"])
        assert after.code == 126 and SECRET not in after.stdout, (after, governed.log()[-2000:])
        assert "is not at" in after.stderr or "may write to" in after.stderr, after
    assert os.listdir(secret) == ["s"]
    assert not containers(engine)


def test_a_read_only_mount_stays_read_only(governed, engine, workspace):
    container = engine.prisoner(governed, IMAGE, options=[
        "-v", f"{workspace}:/app:ro", "-v", f"{harness.program('clawrden-shim')}:/usr/local/bin/tool:ro"])
    result = inside(container, "tool", "echo x > made")
    assert result.code != 0 and "Read-only" in result.stderr, (result, governed.log())


def test_the_callers_seccomp_profile_is_its_ghosts_too(governed, engine, workspace, tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}))
    container = prison(engine, governed, workspace, options=["--security-opt", f"seccomp={profile}"])
    assert inside(container, "mkdir", "/app/own").code != 0
    result = inside(container, "tool", "mkdir made || echo refused")
    assert result.stdout == "refused\n" and not os.listdir(workspace), (result, governed.log())
    free = prison(engine, governed, workspace, options=["--security-opt", "seccomp=unconfined"])
    result = inside(free, "tool", "grep -w Seccomp: /proc/self/status")
    assert result.stdout.split() == ["Seccomp:", "2"], (result, governed.log())


def test_an_image_that_looks_into_the_workspace_is_refused(make_warden, engine, workspace):
    engine.build("ghost-bent", f"FROM {engine.image(IMAGE)}\nENV PATH=/app/bin:/usr/local/bin:/usr/bin:/bin\n")
    warden = make_warden(ghost("tool"), ghost_images={"tool": "ghost-bent"},
                         warden_options={"options": ["--engine", engine.url]})
    container = prison(engine, warden, workspace)
    result = inside(container, "tool")
    assert result.code == 126 and "/app/bin" in result.stderr, (result, warden.log())
