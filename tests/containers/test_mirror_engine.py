"""`mirror_engine: docker`: a prisoner's command runs in its container by the engine's own exec."""

import hashlib
import os
import signal
import subprocess
import threading
import time

import harness
import pytest
from mirrored import PATH, Prisoner, everything
from test_mirror import CASES as MIRROR_CASES
from test_mirror import LOOK, facts

LAUNCHER = "/run/clawrden/clawrden-launcher"
PYTHON_IMAGE = "python:3.11-slim"


@pytest.fixture
def make(engine, make_warden):
    """make(rule…, **top) → a warden that mirrors by the test's engine."""

    def start(*rules, options=(), engine_url=engine.url, **top):
        given = ["--engine", engine_url] if engine_url else []
        return make_warden(*(rules or everything()), mirror_engine="docker",
                           warden_options={"options": [*given, *options]}, **top)
    return start


def spawn(prisoner, *command, options=(), **more):
    """A command in the container that goes on: its client's process, with pipes."""
    return subprocess.Popen(["/usr/bin/docker", "-H", prisoner.engine.url, "exec", *options, prisoner.id, *command],
                            stdin=more.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=prisoner.engine.environment(), **more)


def none_left(prisoner, needle):
    def look():
        return not [line for line in prisoner.processes().values() if needle in line]
    harness.wait_for(look, what=f"the end of {needle}")


# What a command sees and leaves.

def test_how_it_ends_and_where_it_is(engine, make):
    warden = make()
    prisoner = Prisoner(engine, warden)
    assert prisoner.run("sh", "-c", "echo out; echo err >&2; exit 7").code == 7
    result = prisoner.run("sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n"), result
    assert prisoner.run("sh", "-c", "kill -TERM $$").code == 143
    assert prisoner.run("sh", "-c", "kill -KILL $$").code == 137
    assert prisoner.run("sh", "-c", "exit 137").code == 137
    assert prisoner.run("ls", "/nonexistent").code == 2
    assert prisoner.run("pwd", options=["-w", "/var/lib"]).stdout == "/var/lib\n"
    assert prisoner.run("tty").stdout.strip() == "not a tty"
    deleted = prisoner.script("mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone; pwd; ls")
    assert deleted.code == 126 and "working directory" in deleted.stderr, deleted
    started = warden.recorded(event="started", command="ls")
    assert started["executor"] == "mirror" and started["container"] == prisoner.id
    assert started["exe"] == "/usr/bin/ls" and "mirror_engine: docker" in started["message"]
    ends = [record.get("signal") or record["exit_code"] for record in warden.journal(event="ended", command="sh")]
    assert ends == [7, 0, signal.SIGTERM, signal.SIGKILL, 137], ends
    warden.verify()


# A filter that forbids what the joiner does before it is the caller says nothing about an engine.
CASES = {name: case for name, case in MIRROR_CASES.items() if name != "filters that forbid what comes before them"}


@pytest.mark.parametrize("case", CASES)
def test_exactly_as_a_plain_process(engine, make, case):
    options, user = CASES[case]
    prisoner = Prisoner(engine, make(), user=user, options=options)
    both = prisoner.script(LOOK.format(cat="/bin/cat") + "; echo =both=; " + LOOK.format(cat="cat")).stdout
    plain, mirrored = both.split("=both=\n")
    assert facts(mirrored) == facts(plain)


def test_what_the_caller_has_given_up_stays_given_up(engine, make):
    """Limits, ignored signals and no_new_privs of the caller alone."""
    prisoner = Prisoner(engine, make(), PYTHON_IMAGE)
    result = prisoner.python(
        "import ctypes, os, resource, signal\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (123, 234))\n"
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
        "ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\n"
        "os.umask(0o077)\n"
        "os.execvp('cat', ['cat', '/proc/self/limits', '/proc/self/status'])")
    assert result.code == 0, result
    files = next(line for line in result.stdout.splitlines() if line.startswith("Max open files"))
    assert files.split()[3:5] == ["123", "234"]
    status = dict(line.split(":", 1) for line in result.stdout.splitlines() if ":\t" in line)
    assert status["NoNewPrivs"].strip() == "1" and status["Umask"].strip() == "0077"
    assert int(status["SigIgn"], 16) & 1 << signal.SIGUSR1 - 1


def test_root_that_has_given_up_capabilities(engine, make):
    """CAP_CHOWN (0) is no longer in its bounding set."""
    prisoner = Prisoner(engine, make(), PYTHON_IMAGE, user="0:0")
    result = prisoner.python("import ctypes, os\nassert ctypes.CDLL(None).prctl(24, 0, 0, 0, 0) == 0\n"
                             "os.execvp('grep', ['grep', '-E', 'CapBnd|CapPrm', '/proc/self/status'])")
    assert result.code == 0 and not any(int(line.split()[1], 16) & 1 for line in result.stdout.splitlines()), result


def test_more_than_the_caller_has_is_refused(engine, make):
    """Groups, capabilities and filters that the caller has given up, and the engine's exec has not."""
    prisoner = Prisoner(engine, make(), PYTHON_IMAGE, options=["--group-add", "27"])
    lock = ("import ctypes, os, struct, sys\nlibc = ctypes.CDLL(None)\nlibc.prctl(38, 1, 0, 0, 0)\n"
            "program = struct.pack('<HBBI', 0x06, 0, 0, 0x7fff0000)\n"
            "buffer = ctypes.create_string_buffer(program, 8)\n"
            "filters = struct.pack('HxxxxxxP', 1, ctypes.addressof(buffer))\n"
            "assert libc.prctl(22, 2, ctypes.c_char_p(filters), 0, 0) == 0\n"
            "os.execvp('id', ['id'])")
    result = prisoner.python(lock)
    assert result.code == 125 and "seccomp filter" in result.stderr and "nothing was run" in result.stderr, result
    root = Prisoner(engine, prisoner.warden, PYTHON_IMAGE, user="0:0", options=["--group-add", "27"])
    switch = ("import os\nos.setgroups([5])\nos.setresgid(1000, 1000, 1000)\nos.setresuid(1000, 1000, 1000)\n"
              "os.execvp('id', ['id'])")
    result = root.python(switch)
    assert result.code == 125 and "groups" in result.stderr and "nothing was run" in result.stderr, result


def test_bytes_that_are_no_text(engine, make):
    prisoner = Prisoner(engine, make(), PYTHON_IMAGE)
    check = "import os, sys; print([os.fsencode(a).hex() for a in sys.argv[1:]], os.environb[b'LANG'].hex())"
    result = prisoner.python(
        "import os, sys\n"
        "os.execve(b'/usr/local/sbin/python3',\n"
        "          [b'python3', b'-c', os.fsencode(sys.argv[1]), b'\\xff\\xfe', b'', b'a\\nb'],\n"
        "          {b'PATH': os.environb[b'PATH'], b'LANG': b'C\\x80\\xff'})", check)
    assert result.code == 0, result
    assert result.stdout == f"['fffe', '', '610a62'] {bytes(b'C').hex()}80ff\n", result


def test_two_mebibytes_of_arguments(engine, make):
    prisoner = Prisoner(engine, make(), PYTHON_IMAGE)
    result = prisoner.python("import os\nos.execvp('python3', ['python3', '-c', "
                             "'import sys; print(sum(map(len, sys.argv[1:])))', *['x' * 100000] * 20])")
    assert result.stdout == "2000000\n", result


def test_fifty_megabytes_out(engine, make):
    prisoner = Prisoner(engine, make(*harness.allow("sh")))
    process = spawn(prisoner, "sh", "-c", "head -c 52428800 /dev/zero | tr '\\0' x")
    digest = hashlib.sha256()
    while piece := process.stdout.read(1 << 16):
        digest.update(piece)
    assert process.wait(harness.PATIENCE) == 0
    assert digest.hexdigest() == hashlib.sha256(b"x" * 52428800).hexdigest()


def test_fifty_megabytes_both_ways(engine, make):
    prisoner = Prisoner(engine, make())
    data = os.urandom(50 << 20)
    assert hashlib.sha256(prisoner.run("cat", data=data, options=["-i"]).out).digest() == hashlib.sha256(data).digest()


def test_a_reader_that_takes_its_time(engine, make):
    """All of the output is there before the end is said, however late it is read."""
    prisoner = Prisoner(engine, make(*harness.allow("sh")), PYTHON_IMAGE)
    result = prisoner.python("import subprocess, time\n"
                             "p = subprocess.Popen(['sh', '-c', 'head -c 3000000 /dev/zero'], stdout=subprocess.PIPE)\n"
                             "time.sleep(5)\nprint(len(p.stdout.read()), p.wait())")
    assert result.stdout == "3000000 0\n", result


def test_a_slow_reader_of_what_left_a_daemon_behind(engine, make):
    """The daemon is ended, whatever it thinks of it, and nothing is lost of the output."""
    prisoner = Prisoner(engine, make(*harness.allow("sh")), PYTHON_IMAGE)
    result = prisoner.python(
        "import subprocess, time\n"
        "daemon = \"(trap '' TERM; setsid /bin/sh -c 'while :; do /bin/sleep 7708; done' >/dev/null 2>&1 &)\"\n"
        "p = subprocess.Popen(['sh', '-c', daemon + '; head -c 1000000 /dev/zero'], stdout=subprocess.PIPE)\n"
        "time.sleep(9)\nprint(len(p.stdout.read()), p.wait())")
    assert result.stdout == "1000000 0\n", result
    none_left(prisoner, "7708")


def test_what_is_closed_stays_closed(engine, make):
    prisoner = Prisoner(engine, make())
    result = prisoner.script("cat <&-")
    assert result.code == 1 and "Bad file descriptor" in result.stderr, result
    result = prisoner.script("sh -c 'for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && echo $n; done; exit 0' 2>&-")
    assert (result.code, result.stdout) == (0, "0\n1\n"), result


def test_nobody_reads(engine, make):
    prisoner = Prisoner(engine, make(*harness.allow("sh")), PYTHON_IMAGE)
    result = prisoner.python("import subprocess\n"
                             "p = subprocess.Popen(['sh', '-c', 'while :; do echo y; done'], stdout=subprocess.PIPE)\n"
                             "p.stdout.readline(); p.stdout.close(); print(p.wait())")
    assert result.stdout == f"-{int(signal.SIGPIPE)}\n", result
    none_left(prisoner, "echo y")


# How it is ended.

def test_nothing_outlives_its_end(engine, make):
    warden = make(*harness.allow("sh", timeout="3s"))
    prisoner = Prisoner(engine, warden)
    result = prisoner.run("sh", "-c", "(setsid /bin/sleep 7654 &) ; setsid /bin/sleep 7655; true", timeout=60)
    assert result.code == 124, result
    none_left(prisoner, "765")
    assert warden.recorded(event="ended")["timeout_violation"] is True
    left = prisoner.run("sh", "-c", "(setsid /bin/sleep 7656 >/dev/null 2>&1 &) ; exit 3", timeout=60)
    assert left.code == 3, left
    none_left(prisoner, "7656")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_have_their_default_actions(engine, make, number):
    prisoner = Prisoner(engine, make(*harness.allow("sh")), PYTHON_IMAGE)
    result = prisoner.python(
        "import subprocess\n"
        "p = subprocess.Popen(['sh', '-c', 'echo up; exec /bin/sleep 7701'], stdout=subprocess.PIPE)\n"
        f"assert p.stdout.readline() == b'up\\n'\np.send_signal({int(number)})\nprint(p.wait())")
    assert result.stdout == f"-{int(number)}\n", result
    none_left(prisoner, "7701")


def test_a_command_may_handle_a_signal(engine, make):
    prisoner = Prisoner(engine, make(*harness.allow("sh")), PYTHON_IMAGE)
    result = prisoner.python(
        "import signal, subprocess\n"
        "script = \"trap 'echo caught; exit 3' INT; echo up; while :; do /bin/sleep 0.1; done\"\n"
        "p = subprocess.Popen(['sh', '-c', script], stdout=subprocess.PIPE)\n"
        "assert p.stdout.readline() == b'up\\n'\np.send_signal(signal.SIGINT)\nprint(p.stdout.read(), p.wait())")
    assert result.stdout == "b'caught\\n' 3\n", result


def test_stopped_and_continued(engine, make):
    """As the terminal's keys do it; the shim stops with its command."""
    warden = make(*harness.allow("sh"))
    prisoner = Prisoner(engine, warden, PYTHON_IMAGE)
    result = prisoner.python(
        "import os, signal, subprocess\n"
        "p = subprocess.Popen(['sh', '-c', 'echo up; read x; echo $x'],\n"
        "                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=os.setpgrp)\n"
        "assert p.stdout.readline() == b'up\\n'\np.send_signal(signal.SIGTSTP)\n"
        "assert os.WIFSTOPPED(os.waitpid(p.pid, os.WUNTRACED)[1])\np.send_signal(signal.SIGCONT)\n"
        "print(p.communicate(b'on\\n'), p.returncode)")
    assert result.stdout == "(b'on\\n', None) 0\n", result


def test_a_caller_that_goes_away(engine, make):
    prisoner = Prisoner(engine, make(*harness.allow("sh")), PYTHON_IMAGE)
    result = prisoner.python("import subprocess\ncommand = ['sh', '-c', 'echo up; /bin/sleep 7702; true']\n"
                             "p = subprocess.Popen(command, stdout=subprocess.PIPE)\np.stdout.readline(); p.kill(); print(p.wait())")
    assert result.stdout == "-9\n", result
    none_left(prisoner, "7702")


COUNT = "while :; do echo x >>/tmp/n; /bin/sleep 0.1; done"


def counted(prisoner):
    return os.path.getsize(f"/proc/{prisoner.container.pid}/root/tmp/n")


def test_paused_and_resumed(engine, make):
    warden = make(*harness.allow("sh"))
    prisoner = Prisoner(engine, warden)
    process = spawn(prisoner, "sh", "-c", COUNT)
    harness.wait_for(lambda: warden.journal(event="started") and counted(prisoner), what="its counting")
    assert warden.cli("pause", "default").code == 0
    before = harness.wait_for(lambda: (n := counted(prisoner)) and not time.sleep(1) and counted(prisoner) == n and n,
                              what="its standing still")
    assert warden.cli("resume", "default").code == 0
    harness.wait_for(lambda: counted(prisoner) > before, what="its going on")
    assert warden.cli("kill", "default").code == 0
    assert process.wait(harness.PATIENCE) != 0
    assert warden.recorded(event="ended")["signal"] == signal.SIGKILL


def test_the_kill_of_one_that_will_not_die(engine, make):
    warden = make(*harness.allow("sh", timeout="2s"))
    prisoner = Prisoner(engine, warden)
    result = prisoner.run("sh", "-c", "trap '' TERM INT HUP; while :; do /bin/sleep 7703; done", timeout=60)
    assert result.code == 124, result
    none_left(prisoner, "7703")


def test_the_warden_is_killed_in_the_middle(engine, make):
    warden = make(*harness.allow("sh"))
    prisoner = Prisoner(engine, warden)
    spawn(prisoner, "sh", "-c", "/bin/sleep 7704; true")
    warden.recorded(event="started")
    harness.wait_for(lambda: any("7704" in line for line in prisoner.processes().values()), what="the command")
    harness.kill_quietly(warden.process_of("executor"))
    none_left(prisoner, "7704")
    harness.wait_for(lambda: prisoner.run("sh", "-c", "exit 4").code == 4, what="another executor")
    spawn(prisoner, "sh", "-c", "/bin/sleep 7705; true")
    harness.wait_for(lambda: any("7705" in line for line in prisoner.processes().values()), what="the command")
    warden.kill_all()
    warden.start()
    none_left(prisoner, "7705")


def test_the_engine_restarts_in_the_middle(engine, make):
    warden = make(*harness.allow("sh"))
    prisoner = Prisoner(engine, warden)
    process = spawn(prisoner, "sh", "-c", "/bin/sleep 7706; true")
    warden.recorded(event="started")
    engine.process.terminate()
    engine.process.wait(60)
    assert process.wait(harness.PATIENCE) != 0
    warden.recorded(event="ended")
    engine.launch()
    again = Prisoner(engine, warden)
    harness.wait_for(lambda: again.run("sh", "-c", "exit 4").code == 4, what="the engine's answer")


# What is bound.

class StoppedEngine:
    """An engine that answers nothing for a while: what happens between an admission and a start."""

    def __init__(self, engine):
        self.pid = engine.pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def root_of(prisoner):
    return f"/proc/{prisoner.container.pid}/root"


@pytest.mark.parametrize("kind", ["program", "script", "operand"])
def test_what_was_approved_is_what_runs(engine, make, kind):
    warden = make(*harness.ask("tool", "sh"))
    prisoner = Prisoner(engine, warden)
    put = {"program": "cp /bin/ls /tmp/tool",
           "script": "printf '#!/bin/sh\\necho approved \"$@\"\\n' >/tmp/tool; chmod 755 /tmp/tool",
           "operand": "echo 'echo approved \"$@\"' >/tmp/tool"}[kind]
    assert prisoner.script(put).code == 0
    ask = {"operand": "PATH=/usr/local/sbin:$PATH sh /tmp/tool -d /"}.get(
        kind, "PATH=/tmp:$PATH /usr/lib/clawrden-shim/clawrden-shim tool -d /")
    words = "/\n" if kind == "program" else "approved -d /\n"
    process = spawn(prisoner, "/bin/sh", "-c", ask)
    warden.cli("approve", warden.pending_id())
    out, err = process.communicate(timeout=harness.PATIENCE)
    assert (process.returncode, out.decode()) == (0, words), err
    root = root_of(prisoner)
    process = spawn(prisoner, "/bin/sh", "-c", ask)
    question = warden.pending_id()
    with StoppedEngine(engine):
        warden.cli("approve", question)
        warden.recorded(event="decided", request=question)
        with open(f"{root}/tmp/other", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\ntouch /tmp/pwned\n")
        os.chmod(f"{root}/tmp/other", 0o755)
        os.chown(f"{root}/tmp/other", 1000, 1000)
        os.rename(f"{root}/tmp/other", f"{root}/tmp/tool")
    out, err = process.communicate(timeout=harness.PATIENCE)
    assert process.returncode == 126 and out == b"" and b"clawrden: " in err, (process.returncode, out, err)
    assert not os.path.exists(f"{root}/tmp/pwned")


def test_a_directory_that_is_another_by_then(engine, make):
    warden = make(*harness.ask("pwd"))
    prisoner = Prisoner(engine, warden)
    process = spawn(prisoner, "/bin/sh", "-c", "mkdir /tmp/here; cd /tmp/here; exec /usr/local/sbin/pwd")
    question = warden.pending_id()
    root = root_of(prisoner)
    with StoppedEngine(engine):
        warden.cli("approve", question)
        warden.recorded(event="decided", request=question)
        os.rename(f"{root}/tmp/here", f"{root}/tmp/there")
        os.mkdir(f"{root}/tmp/here", 0o755)
    out, err = process.communicate(timeout=harness.PATIENCE)
    assert process.returncode == 126 and out == b"" and b"working directory" in err, err


# What a prisoner can do to it.

ATTACK = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
child = subprocess.Popen(["/run/clawrden/clawrden-launcher"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
assert child.stdout.readline() == b"clwd-launcher 1\\n"
found = []
if libc.ptrace(16, child.pid, 0, 0) == 0:
    found.append("ptrace")
for name, flags in (("mem", os.O_RDWR), ("environ", os.O_RDONLY), ("maps", os.O_RDONLY), ("fd/0", os.O_RDONLY),
                    ("oom_score_adj", os.O_WRONLY)):
    try:
        os.close(os.open(f"/proc/{child.pid}/{name}", flags))
        found.append(name)
    except OSError:
        pass
try:
    open("/run/clawrden/clawrden-launcher", "rb")
    found.append("read")
except OSError:
    pass
print(found)
"""


def test_nobody_looks_into_a_launcher(engine, make):
    prisoner = Prisoner(engine, make(), PYTHON_IMAGE)
    assert prisoner.python(ATTACK).stdout == "[]\n"


HUNT = """
import os, signal, sys, time
end = time.monotonic() + 60
while time.monotonic() < end and not os.path.exists("/tmp/enough"):
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if open(f"/proc/{name}/cmdline", "rb").read().startswith(b"/run/clawrden/clawrden-launcher"):
                    for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGUSR1, signal.SIGKILL)[int(sys.argv[1]):]:
                        os.kill(int(name), number)
            except OSError:
                pass
"""


def test_a_launcher_that_is_killed_runs_nothing(engine, make):
    """Never more than a refusal, and never a hang."""
    prisoner = Prisoner(engine, make(), PYTHON_IMAGE)
    hunters = [spawn(prisoner, "/usr/local/bin/python3", "-c", HUNT, str(skip)) for skip in (0, 3)]
    for _ in range(12):
        result = prisoner.run("sh", "-c", "echo ran", timeout=90)
        assert (result.code, result.stdout) == (0, "ran\n") or (result.code != 0 and result.stdout == ""), result
    assert prisoner.script("echo >/tmp/enough").code == 0
    for hunter in hunters:
        hunter.wait(harness.PATIENCE)
    assert prisoner.run("sh", "-c", "echo ran").stdout == "ran\n"


def test_a_launcher_by_hand_is_harmless(engine, make):
    prisoner = Prisoner(engine, make())
    empty = prisoner.run(LAUNCHER)
    assert empty.code == 125 and "nothing was run" in empty.stderr, empty
    junk = prisoner.run(LAUNCHER, options=["-i"], data=os.urandom(4096))
    assert junk.code == 125 and "started by the warden alone" in junk.stderr, junk
    huge = prisoner.run(LAUNCHER, options=["-i"], data=b"CLNC\1\0\0\0\xff\xff\xff\xff" + bytes(100))
    assert huge.code == 125, huge


# What is refused.

def test_a_hardened_container(engine, make):
    warden = make()
    prisoner = Prisoner(engine, warden, options=["-v", f"{harness.program('clawrden-shim')}:/usr/bin/sort:ro"])
    result = prisoner.run("true")
    assert "hardened" in prisoner.refusal(result) and "mirror_engine: joiner" in result.stderr
    result = prisoner.run("/usr/bin/sort", "/etc/hostname")
    assert "hardened" in prisoner.refusal(result)


def test_no_engine(engine, make):
    prisoner = Prisoner(engine, make(engine_url=None))
    result = prisoner.run("true")
    assert "--engine" in prisoner.refusal(result) and "mirror_engine: docker" in result.stderr


def test_an_engine_that_is_away(engine, make, tmp_path):
    prisoner = Prisoner(engine, make(engine_url=f"unix://{tmp_path}/nothing.sock"))
    result = prisoner.run("true", timeout=90)
    assert "container engine" in prisoner.refusal(result), result


def test_a_jail_that_is_mounted_elsewhere(engine, make):
    """Nothing but the launcher of the caller's jail is ever told what to run."""
    warden = make()
    place = os.path.dirname(warden.socket_path("default"))
    fake = os.path.join(warden.base, "fake")
    os.mkdir(fake, 0o755)
    harness.write_program(os.path.join(fake, "clawrden-launcher"),
                          b"#!/bin/sh\necho clwd-launcher 1\ncat >/tmp/stolen\n")
    shims = os.path.join(warden.base, "shims-of-it")
    os.mkdir(shims)
    os.symlink("/usr/lib/clawrden-shim/clawrden-shim", os.path.join(shims, "true"))
    container = engine.start_container(
        "debian:bookworm", "sleep", "600",
        options=["--user", "1000:1000", "-v", f"{fake}:/run/clawrden", "-v", f"{place}:/run/jail:ro",
                 "-v", f"{harness.program('clawrden-shim')}:/usr/lib/clawrden-shim/clawrden-shim:ro",
                 "-v", f"{shims}:/usr/local/sbin:ro", "-e", f"PATH={PATH}",
                 "-e", "CLAWRDEN_SOCKET=/run/jail/warden.sock"])
    result = container.exec("true")
    assert result.code == 125 and "not this jail's clawrden-launcher" in result.stderr, result
    assert container.exec("/bin/cat", "/tmp/stolen").stdout == ""
    os.unlink(os.path.join(fake, "clawrden-launcher"))
    result = container.exec("true")
    assert result.code == 125 and "could not start clawrden-launcher" in result.stderr, result


def test_a_governed_command_of_a_command_is_judged_itself(engine, make):
    warden = make(*harness.allow("sh"), *[{"command": "ls", "action": "deny"}])
    prisoner = Prisoner(engine, warden)
    result = prisoner.run("sh", "-c", "ls /; echo $?")
    assert result.stdout == "126\n", result
    assert warden.journal(event="denied", command="ls")


def test_many_at_once(engine, make):
    prisoner = Prisoner(engine, make())
    results = []
    threads = [threading.Thread(target=lambda n=n: results.append((n, prisoner.run("sh", "-c", f"echo {n}; exit {n}"))))
               for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((n, result.code, result.stdout) for n, result in results) == [(n, n, f"{n}\n") for n in range(8)]
