"""A command of a prisoner in a container runs back there, as the caller, and as nothing more or less."""

import json
import os

import harness
import pytest
from mirrored import Prisoner, everything

STATUS = ("Umask", "Uid", "Gid", "Groups", "SigIgn", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
          "NoNewPrivs", "Seccomp", "Seccomp_filters")

# Nothing of the container's own runtime is needed to become a process under it but this.
DENIES_SETTING_UP = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["setgroups", "capset", "setresuid"], "action": "SCMP_ACT_ERRNO"}]}

LOOK = ("umask 027; nice -n 3 {cat} /proc/self/status; echo ==; {cat} /proc/self/limits; echo ==; "
        "{cat} /proc/self/oom_score_adj; echo ==; {cat} /proc/self/cgroup; echo ==; {cat} /proc/self/stat")


def facts(text):
    status, limits, oom, cgroups, stat = text.split("==\n")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    fields = stat.rpartition(") ")[2].split()
    return {**{name: lines[name] for name in STATUS}, "limits": limits, "oom_score_adj": oom,
            "levels": len(lines["NSpid"].split()), "nice": fields[16],
            "cgroups": sorted(line for line in cgroups.splitlines() if not line.startswith("0::"))}


CASES = {
    "user": (["--group-add", "27", "--group-add", "4"], "1000:1000"),
    "root": ([], "0:0"),
    "user without anything": (["--cap-drop", "ALL", "--security-opt", "no-new-privileges"], "1000:1000"),
    "root of few capabilities": (["--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "NET_RAW"], "0:0"),
    "limits": (["--ulimit", "nofile=300:400", "--ulimit", "core=0:0", "--ulimit", "stack=1000000:2000000",
                "--oom-score-adj", "300", "-m", "200m", "--pids-limit", "50"], "1000:100"),
    "unconfined": (["--security-opt", "seccomp=unconfined"], "1000:1000"),
    "filters that forbid what comes before them": (
        ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--security-opt", "seccomp={profile}"],
        "1000:1000"),
}


@pytest.mark.parametrize("case", CASES)
def test_exactly_as_a_plain_process(engine, make_warden, tmp_path, case):
    options, user = CASES[case]
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(DENIES_SETTING_UP))
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden, user=user,
                        options=[option.format(profile=profile) for option in options])
    plain = facts(prisoner.script(LOOK.format(cat="/bin/cat")).stdout)
    for _ in range(3):  # a runner that joins on demand, then spare ones
        assert facts(prisoner.script(LOOK.format(cat="cat")).stdout) == plain
    started = warden.recorded(event="started", command="cat")
    assert started["executor"] == "mirror" and started["container"] == prisoner.id
    assert {record["event"] for record in warden.journal(command="cat")} == {"judged", "started", "ended"}


def test_filters_of_its_own_beside_the_containers(engine, make_warden):
    """A caller that has locked itself in further stays there."""
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden, "python:3.11-slim")
    # Kill(2) of nobody with signal 0 is told apart from the container's own answer: EOWNERDEAD.
    lock = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
program = b"".join(struct.pack("<HBBI", *line) for line in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 62), (0x06, 0, 0, 0x50000 | 130), (0x06, 0, 0, 0x7fff0000)))
buffer = ctypes.create_string_buffer(program, len(program))
fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
assert libc.prctl(22, 2, ctypes.c_char_p(fprog), 0, 0) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])
"""
    check = ("import os\ntry: os.kill(os.getpid(), 0); print('free')\nexcept OSError as error: print(error.errno)\n"
             "print(open('/proc/self/status').read())")
    for _ in range(3):
        result = prisoner.python(lock, "python3", "-c", check)
        assert result.stdout.startswith("130\n"), result
        assert "Seccomp_filters:\t2" in result.stdout and "NoNewPrivs:\t1" in result.stdout
    result = prisoner.run("python3", "-c", check)
    assert result.stdout.startswith("free\n") and "Seccomp_filters:\t1" in result.stdout, result


def test_where_it_is_and_how_it_ends(engine, make_warden):
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden)
    assert prisoner.run("pwd", options=["-w", "/var/lib"]).stdout == "/var/lib\n"
    assert prisoner.run("sh", "-c", "exit 7").code == 7
    assert prisoner.run("sh", "-c", "kill -TERM $$").code == 143
    assert prisoner.run("sh", "-c", "kill -KILL $$").code == 137
    assert prisoner.run("ls", "/nonexistent").code == 2
    data = os.urandom(3 << 20)
    assert prisoner.run("cat", data=data, options=["-i"]).out == data
    assert prisoner.run("tty", options=["-t"]).stdout.strip().startswith("/dev/pts/")
    assert prisoner.run("tty").stdout.strip() == "not a tty"
    deleted = prisoner.script("mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone; pwd; ls")
    assert deleted.code == 126 and "working directory" in deleted.stderr, deleted
    assert warden.recorded(event="started", command="ls")["exe"] == "/usr/bin/ls"


def test_two_mebibytes_of_arguments(engine, make_warden):
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden, "python:3.11-slim")
    result = prisoner.python("import os, resource, sys\n"
                             "words = ['x' * 100000] * 20\n"
                             "os.execvp('python3', ['python3', '-c', "
                             "'import sys; print(sum(map(len, sys.argv[1:])))', *words])")
    assert result.stdout == "2000000\n", result


def test_the_container_sees_one_process_of_it(engine, make_warden):
    """Its own number, no foreign parent, nothing that is left of the runner."""
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden, "python:3.11-slim")
    result = prisoner.run("python3", "-c", "import os\nprint(os.getppid(), os.getpgrp() == os.getpid())\n"
                          "print(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:3])\n"
                          "print([open(f'/proc/{p}/comm').read().strip() for p in os.listdir('/proc') "
                          "if p.isdigit()])")
    lines = result.stdout.splitlines()
    assert lines[0] == "0 True" and lines[1] == "[0, 1, 2]", result
    assert "clwd-runner" not in lines[2] and "clawrden-runner" not in lines[2], result


def test_nothing_outlives_its_end(engine, make_warden):
    warden = make_warden(*harness.allow("sh", timeout="2s"))
    prisoner = Prisoner(engine, warden)
    result = prisoner.run("sh", "-c", "(setsid /bin/sleep 7654 &) ; setsid /bin/sleep 7655; true", timeout=60)
    assert result.code == 124, result
    harness.wait_for(lambda: not [line for line in prisoner.processes().values() if "765" in line],
                     what="the end of what the command left behind")
    left = prisoner.run("sh", "-c", "(setsid /bin/sleep 7656 &) ; exit 3", timeout=60)
    assert left.code == 3, left
    harness.wait_for(lambda: not [line for line in prisoner.processes().values() if "7656" in line],
                     what="the end of a daemon of a command that has ended")


def test_what_a_command_calls_is_mirrored_too(engine, make_warden):
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden)
    result = prisoner.run("sh", "-c", "id -u; sh -c 'sort -V /etc/debian_version'; exit 4")
    assert result.code == 4 and result.stdout.startswith("1000\n12"), result
    for name in ("id", "sort"):
        assert warden.recorded(event="ended", command=name)["container"] == prisoner.id


def test_two_containers_of_one_jail(engine, make_warden):
    warden = make_warden(*everything())
    first = Prisoner(engine, warden, options=["--hostname", "first"])
    second = Prisoner(engine, warden, options=["--hostname", "second"], user="0:0")
    for _ in range(3):
        for prisoner, name, uid in ((first, "first", "1000"), (second, "second", "0")):
            assert prisoner.run("cat", "/etc/hostname").stdout == f"{name}\n"
            assert prisoner.run("id", "-u").stdout == f"{uid}\n"


def test_musl_and_ash(engine, make_warden):
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden, "alpine:shaped")
    assert prisoner.run("sh", "-c", "id -u; ls /etc/nothing; exit 5").code == 5
    assert prisoner.run("cat", data=b"abc", options=["-i"]).out == b"abc"


def test_paths_of_the_container(engine, make_warden):
    """allowed_paths are the container's, by the directory's own descriptor."""
    warden = make_warden(*everything(), allowed_paths=["/srv/*"])
    prisoner = Prisoner(engine, warden, user="0:0")
    prisoner.script("mkdir -p /srv/a; ln -s /etc /srv/out")
    assert prisoner.run("pwd", options=["-w", "/srv/a"]).code == 0
    assert prisoner.run("pwd", options=["-w", "/etc"]).code == 126
    assert prisoner.script("cd /srv/out && pwd && ls").code == 126


def test_an_approval_and_a_grant_are_one_containers(engine, make_warden):
    warden = make_warden(*harness.ask("sort"), *everything())
    prisoner = Prisoner(engine, warden, user="0:0")

    def asked(*options):
        script = "sort /etc/debian_version > /tmp/out 2>&1 < /dev/null; echo $? > /tmp/code"
        prisoner.engine.docker("exec", "-d", prisoner.id, "/bin/sh", "-c", f"rm -f /tmp/code; {script}")
        if options:
            warden.cli("approve", warden.pending_id(), *options)
        return harness.wait_for(lambda: prisoner.script("cat /tmp/code").stdout.strip(), what="its end")

    assert asked("--for", "10m") == "0"
    assert asked() == "0"  # by the grant
    assert len(warden.journal(event="asked")) == 1
    # The same container by name and id, but started again.
    prisoner.engine.docker("restart", "-t", "0", prisoner.id)
    assert asked("--reason", "again") == "0"
    assert len(warden.journal(event="asked")) == 2
    for record in warden.journal(event="asked"):
        assert record["container"] == prisoner.id


def test_what_was_approved_is_what_runs(engine, make_warden):
    warden = make_warden(*harness.ask("python3"), *everything())
    prisoner = Prisoner(engine, warden, "python:3.11-slim")
    prisoner.script("echo 'print(1)' > /tmp/a.py")
    prisoner.engine.docker("exec", "-d", prisoner.id, "/bin/sh", "-c",
                           "cd /tmp; python3 a.py > /tmp/out 2>&1 < /dev/null; echo $? > /tmp/code")
    question = warden.pending_id()
    prisoner.script("echo 'print(2)' > /tmp/a.py")
    warden.cli("approve", question)
    code = harness.wait_for(lambda: prisoner.script("/bin/cat /tmp/code").stdout.strip(), what="its end")
    assert code == "126" and "changed" in prisoner.script("/bin/cat /tmp/out").stdout
    assert warden.recorded(event="drift")["container"] == prisoner.id


@pytest.mark.parametrize("executor", ["local", "mirror"])
def test_an_executor_that_does_not_fit_is_refused(engine, make_warden, executor):
    warden = make_warden(*harness.allow("id", executor=executor))
    if executor == "mirror":
        result = warden.shim("id")
        assert Prisoner(engine, warden).run("id", "-u").stdout == "1000\n"
    else:
        result = Prisoner(engine, warden).run("id")
        assert warden.shim("id").code == 0
    assert result.code == 125 and f"executor: {executor}" in result.stderr, result


def test_a_warden_that_starts_again(engine, make_warden):
    """The jail's directory is the same one, and a container that was there before is taken up."""
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden)
    assert prisoner.run("id", "-u").stdout == "1000\n"
    harness.kill_quietly(warden.process_of("executor"))
    harness.wait_for(lambda: prisoner.run("id", "-u").stdout == "1000\n", what="a mirrored command")


def test_a_container_that_ends_takes_its_runners_with_it(engine, make_warden):
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden)
    prisoner.run("id")
    executor = warden.process_of("executor")

    def spares():
        """The container's, by its freezer cgroup."""
        found = []
        for pid in harness.children(executor):
            with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
                if prisoner.id in file.read():
                    found.append(pid)
        return found

    harness.wait_for(spares, what="a spare runner in the container's cgroups")
    prisoner.engine.docker("exec", "-d", prisoner.id, "/bin/sh", "-c", "sleep 600")
    prisoner.engine.docker("rm", "-f", prisoner.id)
    harness.wait_for(lambda: not spares(), what="the end of its runners")
    harness.wait_for(lambda: warden.journal(event="ended", command="sleep"), what="the end of its command")
