"""Jails by labels: the reconciler on a real engine, and containers that lie about their paths."""

import os
import shutil
import signal
import stat

import pytest

import harness

BOOKWORM = "debian:bookworm"
IMAGES = ["debian:bookworm", "alpine:shaped", "python:3.11-slim"]
PLACE = "/run/clawrden"


@pytest.fixture
def make(engine, make_warden):
    """make(rule…, **top) → a warden that follows the test's engine."""

    def start(*rules, options=(), **top):
        return make_warden(*(rules or harness.allow("id", "uname")),
                           warden_options={"options": ["--engine", engine.url, *options]}, **top)
    return start


def labels(cmds="id", jail=None, mode=None, enabled="true", **more):
    wanted = {"clawrden.enabled": enabled, "clawrden.cmds": cmds, "clawrden.jail": jail, "clawrden.mode": mode, **more}
    return [word for name, value in wanted.items() if value is not None for word in ("--label", f"{name}={value}")]


def start(engine, image=BOOKWORM, options=(), command=("sleep", "600"), **more):
    return engine.start_container(image, *command, options=["--user", "1000:1000", *labels(**more), *options])


def known(warden):
    return {entry["id"]: entry for entry in warden.cli_json("jails", "containers")["containers"]}


def settled(warden, container):
    """The container as the warden knows it, once it is governed or will not be."""
    def look():
        entry = known(warden).get(container.id)
        return entry if entry and entry["state"] != "waiting" else None
    return harness.wait_for(look, what="a jail or a refusal")


def governed(warden, container, jail=None):
    entry = settled(warden, container)
    assert entry["state"] == "governed", (entry, warden.log()[-3000:])
    assert jail is None or entry["jail"] == jail
    return entry


def ungoverned(warden, container):
    entry = settled(warden, container)
    assert entry["state"] == "ungoverned" and entry["jail"] is None, entry
    return entry["why"]


def is_intercepted(warden, container, command="id", options=("--user", "1000:1000"), shell=None, patience=20):
    """Whether running it makes a record that names it: the shim has asked, whatever came of it."""
    before = len(warden.journal())
    words = [shell, "-c", command] if shell else [command]
    result = container.exec(*words, options=options)
    name = os.path.basename(command)

    def is_recorded():
        return [record for record in warden.journal()[before:]
                if record.get("container") == container.id and record["event"] != "container"
                and (os.path.basename(record.get("command", name)) == name)]
    try:
        harness.wait_for(is_recorded, patience, "a record")
    except AssertionError:
        print(f"no record of {command}: {result}\n{warden.journal()[before:]}")
        return False
    return True


# What it is for.

@pytest.mark.parametrize("image", IMAGES)
def test_a_labelled_container_is_governed(engine, make, image):
    warden = make(harness.allow("id"))
    engine.image(image)
    container = start(engine, image, cmds="id,terraform", options=["--name", "agent"])
    entry = governed(warden, container, "agent")
    assert entry["name"] == "agent" and entry["ungoverned_ms"] >= 0
    assert is_intercepted(warden, container)
    # A command that the image lacks is there, too, for login shells as for others.
    for shell in (["sh", "-c"], ["sh", "-lc"]):
        found = container.exec(*shell, "command -v terraform", options=["--user", "1000:1000"])
        assert found.stdout.startswith("/usr/local/"), found
    assert is_intercepted(warden, container, "terraform", shell="sh")
    record = warden.recorded(event="container", container=container.id)
    assert record["message"] == "governed: agent" and record["jail"] == "agent"
    assert record["duration_ms"] == entry["ungoverned_ms"]


def test_what_is_not_labelled_is_left_alone(engine, make):
    warden = make()
    others = [start(engine, enabled="false"), engine.start_container(BOOKWORM, "sleep", "600")]
    governed(warden, start(engine))
    assert not set(known(warden)) & {container.id for container in others}
    for container in others:
        assert container.exec("test", "-e", PLACE).code == 1
        assert not is_intercepted(warden, container, patience=2)


def test_containers_that_already_ran_and_a_warden_that_is_restarted(engine, make):
    container = start(engine, jail="early")
    warden = make()
    entry = governed(warden, container, "early")
    assert entry["ungoverned_ms"] > 0
    inode = container.exec("stat", "-c", "%i", PLACE).stdout
    warden.terminate()
    refused = container.exec("id", options=["--user", "1000:1000"])
    assert refused.code == 125 and "clawrden:" in refused.stderr  # nobody is there: closed, not open
    warden.start()
    entry = governed(warden, container, "early")
    assert entry["ungoverned_ms"] is None  # it was governed all the time
    assert container.exec("stat", "-c", "%i", PLACE).stdout == inode
    assert is_intercepted(warden, container)


def test_everything_but_the_parent_dies(engine, make):
    warden = make()
    container = start(engine)
    governed(warden, container)
    for role in ("engine", "warden", "executor"):
        pid = warden.process_of(role)
        os.kill(pid, signal.SIGKILL)
        harness.wait_for(lambda pid=pid, role=role: warden.processes().get(role) not in (None, pid),
                         what=f"a new {role}")
        harness.wait_for(lambda: warden.cli("status").code == 0, what="an answer")
        governed(warden, container)
        harness.wait_for(lambda: is_intercepted(warden, container), what="interception")
    other = start(engine, jail="later")
    governed(warden, other, "later")


def test_an_engine_that_is_restarted(engine, make):
    warden = make()
    first = start(engine, jail="first")
    governed(warden, first)
    engine.process.terminate()
    engine.process.wait(30)
    harness.wait_for(lambda: warden.cli_json("status")["engine"]["answers"] is False, what="the loss of the engine")
    engine.launch()
    second = start(engine, jail="second")
    governed(warden, second, "second")
    harness.wait_for(lambda: first.id not in known(warden), what="the first one's end")  # dockerd ended it
    engine.docker("start", first.id)
    governed(warden, first, "first")
    assert is_intercepted(warden, first)


def test_the_engine_comes_later(engine, make_warden):
    place = os.path.join(engine.place, "later.sock")
    warden = make_warden(*harness.allow("id"), warden_options={"options": ["--engine", f"unix://{place}"]})
    status = harness.wait_for(lambda: "not" in warden.log() and warden.cli_json("status")["engine"],
                              what="a status of the engine")
    assert status["answers"] is False and status["words"]
    container = start(engine)
    os.symlink(engine.socket, place)
    try:
        governed(warden, container)
    finally:
        os.unlink(place)


def test_a_container_ends_and_is_removed(engine, make):
    warden = make()
    container = start(engine, jail="short")
    governed(warden, container)
    directory = os.path.dirname(warden.socket_path("short"))
    assert os.path.isdir(directory)
    container.remove()
    harness.wait_for(lambda: container.id not in known(warden), what="its end")
    harness.wait_for(lambda: not os.path.exists(directory), what="the end of its directory")
    assert "short" not in [jail["name"] for jail in warden.cli_json("jails")["jails"]]
    assert warden.recorded(event="container", container=container.id, message=f"gone: {known_name(warden, container)}")


def known_name(warden, container):
    return warden.recorded(event="container", container=container.id)["message"].split(": ", 1)[1]


def test_containers_that_end_at_once(engine, make):
    warden = make()
    for _ in range(8):
        start(engine, command=("true",))
    governed(warden, start(engine))
    harness.wait_for(lambda: len(known(warden)) == 1, what="their end")
    reasons = [record["reason"] for record in warden.journal(event="container") if record.get("reason")]
    assert not [reason for reason in reasons if "pid: host" in reason], reasons


def test_restarted_containers_are_governed_again(engine, make):
    warden = make()
    container = start(engine, jail="again")
    governed(warden, container)
    engine.docker("restart", "-t", "0", container.id)
    harness.wait_for(lambda: container.exec("test", "-S", f"{PLACE}/warden.sock").code == 0, what="its jail")
    governed(warden, container, "again")
    assert is_intercepted(warden, container)


def test_two_jails_are_two(engine, make):
    warden = make(harness.allow("id"))
    one, two = start(engine, jail="one"), start(engine, jail="two")
    governed(warden, one, "one")
    governed(warden, two, "two")
    inodes = [container.exec("stat", "-c", "%d:%i", PLACE).stdout for container in (one, two)]
    assert inodes[0] != inodes[1]
    assert is_intercepted(warden, one)
    before = len(warden.journal(jail="one"))
    assert is_intercepted(warden, two) and len(warden.journal(jail="one")) == before


# Hardened.

@pytest.mark.parametrize("image", IMAGES)
def test_hardened_covers_absolute_paths_and_aliases(engine, make, image):
    warden = make(harness.allow("id"))
    engine.image(image)
    python = image.startswith("python")
    container = start(engine, image, mode="hardened", cmds="python,id" if python else "id", options=["--read-only"])
    governed(warden, container)
    paths = ["/usr/local/bin/python", "/usr/local/bin/python3", "/usr/local/bin/python3.11"] if python else []
    where = container.exec("sh", "-c", "for d in /usr/sbin /usr/bin /sbin /bin; do [ -e $d/id ] && echo $d/id; done")
    for path in paths + where.stdout.split():
        mode = container.exec("sh", "-c", f"head -c 4 {path} | tail -c 3; grep -c Clawrden {path}").stdout
        assert mode.split() == ["ELF", "1"] or mode.startswith("ELF1"), (path, mode)
        assert is_intercepted(warden, container, path), path
    # The program that many names share is still itself.
    assert container.exec("sh", "-c", "ls / > /dev/null && echo lives").stdout == "lives\n"
    # Root of the container cannot take it away.
    for path in where.stdout.split():
        assert container.exec("rm", "-f", path, options=["--user", "0"]).code != 0
        assert container.exec("umount", path, options=["--user", "0"]).code != 0


def test_a_read_only_root_without_the_directories(engine, make):
    warden = make()
    engine.image(BOOKWORM)
    engine.build("bare", f"FROM {BOOKWORM}\nRUN rm -rf /run/* /usr/local/sbin /usr/local/bin\n")
    container = start(engine, "bare", options=["--read-only"], cmds="terraform")
    governed(warden, container)
    assert is_intercepted(warden, container, "terraform", shell="sh")
    assert container.exec("touch", "/x", options=["--user", "0"]).code != 0  # still read-only


def test_what_is_mounted_is_read_only_and_no_more(engine, make):
    warden = make()
    container = start(engine)
    governed(warden, container)
    root = ["--user", "0"]
    for script in (f"touch {PLACE}/x", f"rm {PLACE}/warden.sock", f"echo x > {PLACE}/clawrden-shim",
                   f"umount {PLACE}", f"mount -o remount,rw {PLACE}"):
        assert container.exec("sh", "-c", script, options=root).code != 0, script
    listed = container.exec("ls", "-a", PLACE).stdout.split()
    assert sorted(listed) == [".", "..", "bin", "clawrden-launcher", "clawrden-shim", "warden.sock"]
    above = container.exec("ls", "-a", f"{PLACE}/..").stdout
    assert "armory" not in above and "jails" not in above and "api" not in above
    found = [line for line in container.exec("cat", "/proc/self/mountinfo").stdout.splitlines() if PLACE in line]
    assert all({"ro", "nosuid", "nodev"} <= set(line.split()[5].split(",")) for line in found) and found


# Labels and containers that mean harm.

@pytest.mark.parametrize("bad, words", [
    ({"jail": "../x"}, "not the name of a jail"), ({"jail": "a\nb"}, "not the name of a jail"),
    ({"jail": "A"}, "not the name of a jail"), ({"cmds": "../../bin/sh"}, "clawrden.cmds"),
    ({"cmds": ""}, "clawrden.cmds"), ({"mode": "soft"}, "clawrden.mode"), ({"jail": "default"}, "taken by the policy"),
    ({"jail": "named"}, "taken by the policy"), ({"cmds": ",".join(f"c{i}" for i in range(300))}, "too many commands")])
def test_labels_that_are_refused(engine, make, bad, words):
    warden = make(harness.allow("id"), jails={"named": {"commands": ["id"]}})
    container = start(engine, **bad)
    why = ungoverned(warden, container)
    assert words in why and "\n" not in why
    assert warden.recorded(event="container", container=container.id)["reason"] == why
    assert container.exec("test", "-e", PLACE).code == 1
    assert warden.cli_json("status")["engine"]["ungoverned"] == 1


@pytest.mark.parametrize("bad, words", [
    ({"enabled": "True"}, "clawrden.enabled=True"), ({"enabled": "1"}, "clawrden.enabled=1"),
    ({"enabled": " true"}, "clawrden.enabled"), ({"clawrden.hardened": "true"}, "clawrden.hardened")])
def test_slips_in_labels_are_shown(engine, make, bad, words):
    container = start(engine, **bad)
    warden = make(harness.allow("id"))
    assert words in ungoverned(warden, container)
    assert container.exec("test", "-e", PLACE).code == 1


def test_labels_without_end(engine, make, tmp_path):
    warden = make()
    (tmp_path / "labels").write_text("clawrden.cmds=" + "a" * 60000 + "\nclawrden.jail=" + "b" * 60000 + "\n")
    context = engine.image(BOOKWORM)
    container = engine.start_container(context, "sleep", "600", options=[
        "--label-file", str(tmp_path / "labels"), "--label", "clawrden.enabled=true"])
    assert len(ungoverned(warden, container)) < 400
    governed(warden, start(engine))


def test_the_jail_of_another_container_is_refused_until_that_one_is_gone(engine, make):
    warden = make()
    first = start(engine, jail="mine", options=["--name", "first"])
    governed(warden, first, "mine")
    second = start(engine, jail="mine")
    assert "is that of container" in ungoverned(warden, second) and "first" in ungoverned(warden, second)
    assert second.exec("test", "-e", PLACE).code == 1
    first.remove()
    harness.wait_for(lambda: known(warden).get(second.id, {}).get("state") == "governed", what="its turn")
    assert is_intercepted(warden, second)


@pytest.mark.parametrize("mode", ["plain", "hardened"])
def test_the_policy_takes_the_name_of_a_jail_and_gives_it_back(engine, make, mode):
    warden = make()
    container = start(engine, jail="wanted", mode=mode)
    governed(warden, container, "wanted")
    rules = harness.allow("id", "uname")
    warden.write_policy(harness.policy(*rules, jails={"wanted": {}}))
    entry = harness.wait_for(lambda: (found := known(warden)[container.id])["state"] == "ungoverned" and found,
                             what="that it is not governed")
    assert "taken by the policy" in entry["why"] and entry["jail"] is None, entry
    recorded = warden.journal(event="container", container=container.id)[-1]
    assert recorded["reason"] == entry["why"], recorded
    assert warden.cli_json("status")["engine"]["ungoverned"] == 1
    warden.write_policy(harness.policy(*rules))
    harness.wait_for(lambda: known(warden)[container.id]["state"] == "governed", what="its jail")
    governed(warden, container, "wanted")
    assert is_intercepted(warden, container)


def lying(engine, script):
    engine.image(BOOKWORM)
    engine.build("liar", f"FROM {BOOKWORM}\nRUN {script}\n")
    return "liar"


def etc_of(engine, container):
    return container.exec("sh", "-c", "ls -la /etc /tmp; cat /etc/hostname /etc/passwd").stdout


@pytest.mark.parametrize("script, words", [
    ("rm -rf /run/clawrden && ln -s /etc /run/clawrden", "symbolic link"),
    ("rm -rf /run && ln -s /tmp /run", "symbolic link"),
    ("mkfifo /run/clawrden", "not a directory"),
    ("rm -rf /usr/local/sbin /usr/local/bin && ln -s /etc /usr/local/bin && ln -s /etc /usr/local/sbin",
     "not a plain directory"),
    ("rm -rf /usr/local/bin /usr/local/sbin && mkdir -p /usr/local/bin/id", "/usr/local/bin/id")])
def test_paths_that_lie_are_not_followed(engine, make, script, words):
    warden = make()
    container = start(engine, lying(engine, script))
    assert words in ungoverned(warden, container)
    listed = etc_of(engine, container)
    assert "clawrden" not in listed and " id" not in listed
    governed(warden, start(engine))  # and nobody else suffers


@pytest.mark.parametrize("script", [
    "rm -rf /usr/local/sbin && ln -s /etc /usr/local/sbin",  # the other one is there
    "mkfifo /usr/local/bin/id",
    "ln -s /proc/1/root/etc/shadow /usr/local/bin/id",
    "ln -s /usr/local/bin/id /usr/local/bin/id"])
def test_names_that_lie_are_covered_or_left(engine, make, script):
    warden = make()
    container = start(engine, lying(engine, script), mode="hardened")
    governed(warden, container)
    assert is_intercepted(warden, container, shell="sh")
    assert " id" not in container.exec("ls", "-la", "/etc").stdout


def test_nothing_of_the_host_is_touched(engine, make):
    """A container whose links lead, in its own view, to paths that the host has as well."""
    before = {path: (os.lstat(path).st_ino, os.lstat(path).st_mtime_ns) for path in
              ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/etc", "/run") if os.path.exists(path)}
    warden = make()
    container = start(engine, lying(engine, "ln -sf /../../../../usr/bin/env /usr/local/bin/id"), mode="hardened",
                      cmds="id,env")
    governed(warden, container)
    for path, (inode, changed) in before.items():
        status = os.lstat(path)
        assert status.st_ino == inode and stat.S_ISDIR(status.st_mode)
        assert status.st_mtime_ns == changed or path in ("/etc", "/run")
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        assert not [line for line in mounts if line.split()[4].startswith(("/usr", "/run/clawrden"))]
    assert shutil.which("env") and os.stat(shutil.which("env")).st_size > 30000


def test_the_engine_process_may_do_next_to_nothing(engine, make):
    warden = make()
    governed(warden, start(engine))
    pid = warden.process_of("engine")
    with open(f"/proc/{pid}/status", encoding="utf-8") as text:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in text if ":\t" in line)
    assert "0" not in status["Uid"].split() and status["CapPrm"] == status["CapEff"] == "0" * 16
    assert status["NoNewPrivs"] == "1"
    if os.environ.get("CLAWRDEN_BUILD", "build").startswith("build-asan"):
        return  # the sanitizers' runtime needs calls that the filter forbids
    assert status["Seccomp"] == "2"
    names = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not [name for name in names if name.startswith("/") and name not in ("/dev/null", warden.log_path)]
