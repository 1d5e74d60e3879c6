"""Attacks of a prisoner in a container on what joins it, and on who it is taken for."""

import array
import json
import os
import socket
import threading

import harness
import pytest
from mirrored import Prisoner, everything

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Looks at every process in /proc that it did not see before and does to the runners what root in a
# container could do. One line of JSON for each.
WATCHER = r"""
import ctypes, json, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
seen = {}
end = time.monotonic() + float(sys.argv[1])

def attempt(pid, what):
    # It counts if it worked on what was still the runner afterwards.
    try:
        what()
    except OSError as error:
        return error.strerror
    try:
        return "done" if "runner" in open(f"/proc/{pid}/comm").read() else "too late"
    except OSError:
        return "too late"

def trace(pid):
    if libc.ptrace(0x4206, pid, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    libc.ptrace(17, pid, 0, 0)

while time.monotonic() < end:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            comm = open(f"/proc/{name}/comm").read().strip()
            status = open(f"/proc/{name}/status").read()
        except OSError:
            continue
        if "runner" not in comm and comm.startswith(("sleep", "python", "sh", "id", "true", "cat")):
            continue
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        entry = {key: facts.get(key) for key in
                 ("Uid", "CapPrm", "CapEff", "CapBnd", "Seccomp", "NSpid")}
        entry["comm"] = comm
        entry["mem"] = attempt(name, lambda: open(f"/proc/{name}/mem", "r+b").close())
        entry["exe"] = attempt(name, lambda: os.readlink(f"/proc/{name}/exe"))
        entry["root"] = attempt(name, lambda: os.listdir(f"/proc/{name}/root"))
        entry["fd"] = attempt(name, lambda: os.readlink(f"/proc/{name}/fd/3"))
        entry["trace"] = attempt(name, lambda: trace(int(name)))
        text = json.dumps(entry)
        if text not in seen:
            seen[text] = True
            print(text, flush=True)
"""


@pytest.mark.parametrize("user", ["0:0", "1000:1000"])
def test_nothing_privileged_is_ever_visible(engine, make_warden, user):
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden, "python:3.11-slim", user=user)
    found = {}
    watcher = threading.Thread(
        target=lambda: found.update(result=prisoner.python(WATCHER, "20", timeout=120)))
    watcher.start()
    loop = "i=0; while [ $i -lt 150 ]; do id -u > /dev/null; i=$((i + 1)); done; echo done"
    workers = [threading.Thread(target=lambda: prisoner.script(loop, timeout=120)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in [*workers, watcher]:
        worker.join()
    assert len(warden.journal(event="ended", command="id", exit_code=0)) == 300
    runners = [json.loads(line) for line in found["result"].stdout.splitlines()]
    runners = [entry for entry in runners if "runner" in entry["comm"]]
    assert runners, found["result"]  # it was fast enough to see some
    bounding = int(prisoner.script("/bin/grep CapBnd /proc/self/status").stdout.split()[1], 16)
    for entry in runners:
        assert int(entry["CapBnd"], 16) == bounding, entry
        assert int(entry["CapPrm"], 16) & ~(bounding if user == "0:0" else 0) == 0, entry
        assert entry["Seccomp"] == "2" and len(entry["NSpid"].split()) == 1, entry
        assert set(entry["Uid"].split()) == {user.split(":", maxsplit=1)[0]}, entry
        for way in ("mem", "exe", "root", "fd", "trace"):
            assert entry[way] in ("Permission denied", "Operation not permitted", "No such file or directory",
                                  "No such process", "too late"), (way, entry)
    for way in ("mem", "exe", "root", "fd", "trace"):
        assert {"Permission denied", "Operation not permitted"} & {entry[way] for entry in runners}, way


def test_signals_at_the_runner_end_in_a_refusal(engine, make_warden):
    """Who is root in the container kills each runner that it sees: nothing runs, nothing hangs."""
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden, "python:3.11-slim", user="0:0")
    killer = ("import os, signal, time\nend = time.monotonic() + 15\nn = 0\n"
              "while time.monotonic() < end:\n"
              "    for name in os.listdir('/proc'):\n"
              "        try:\n"
              "            if name.isdigit() and 'runner' in open(f'/proc/{name}/comm').read():\n"
              "                os.kill(int(name), signal.SIGKILL); n += 1\n"
              "        except OSError: pass\nprint(n)")
    thread_result = {}
    thread = threading.Thread(
        target=lambda: thread_result.update(result=prisoner.python(killer, timeout=60)))
    thread.start()
    codes = prisoner.script("i=0; while [ $i -lt 100 ]; do id -u > /dev/null 2>&1; echo $?; i=$((i + 1)); done",
                            timeout=120).stdout.split()
    thread.join()
    assert len(codes) == 100 and set(codes) <= {"0", "125", "137"}, codes
    assert int(thread_result["result"].stdout) > 0 and "125" in codes, thread_result  # it hit some
    assert prisoner.run("id", "-u").stdout == "0\n"  # and the warden lives


@pytest.mark.parametrize("target", ["/proc/self/exe", "/proc/self/fd/3", "/proc/1/root/usr/bin/id",
                                    "/proc/1/exe", "/proc/self/cwd/../usr/bin/id"])
def test_a_command_that_is_a_magic_link(engine, make_warden, target):
    warden = make_warden({"command": "/tmp/*", "action": "allow"}, {"command": "tool", "action": "allow"})
    prisoner = Prisoner(engine, warden, user="0:0")
    prisoner.script(f"ln -s {target} /tmp/tool")
    result = prisoner.script("/usr/lib/clawrden-shim/clawrden-shim /tmp/tool --version")
    assert result.code in (126, 127) and result.out == b"", result
    assert not warden.journal(event="started")


INSIDE = """
import array, os, socket, sys
sys.path.insert(0, "/tests")
import harness
peer = socket.socket(socket.AF_UNIX)
peer.connect("/shared/sock")
_, control, _, _ = peer.recvmsg(1, socket.CMSG_SPACE(4))
fd = array.array("i", control[0][2])[0]
null = [os.open("/dev/null", os.O_RDWR)] * 3
raw = harness.Raw("/run/clawrden/warden.sock")
raw.ask(sys.argv[1:], fds=[*null, fd], cwd="/", flags=15)
print(raw.answer())
"""


@pytest.mark.parametrize("whose", ["host", "container", "own"])
def test_a_directory_from_elsewhere(engine, make_warden, whose):
    """A descriptor that somebody passed in, of the host or of another container, is no place to run
    in: ./tool there would be found, and everything below it."""
    warden = make_warden({"command": "ls", "action": "allow"})
    shared = os.path.join(warden.base, "shared")
    os.mkdir(shared)
    options = ["-v", f"{shared}:/shared", "-v", f"{TESTS}:/tests:ro"]
    prisoner = Prisoner(engine, warden, "python:3.11-slim", options=options)
    other = engine.start_container("debian:bookworm", "/bin/sleep", "600")
    pid = {"host": os.getpid(), "container": other.pid, "own": prisoner.container.pid}[whose]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(shared, "sock"))
        os.chmod(os.path.join(shared, "sock"), 0o777)
        listener.listen(1)
        result = {}
        thread = threading.Thread(
            target=lambda: result.update(result=prisoner.python(INSIDE, "ls", timeout=60)))
        thread.start()
        listener.settimeout(30)
        connection, _ = listener.accept()
        directory = os.open(f"/proc/{pid}/root/usr", os.O_PATH | os.O_DIRECTORY)
        connection.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [directory]))])
        os.close(directory)
        thread.join()
        connection.close()
    answer = result["result"].stdout
    if whose == "own":
        assert answer.startswith("(0, 0,"), result
        return
    assert answer.startswith("(1, 126,") and "working directory" in answer, result
    assert not warden.journal(event="started")


@pytest.mark.parametrize("options,words", [
    (["--cap-add", "SYS_PTRACE"], "CAP_SYS_PTRACE"),
    (["--cap-add", "SYS_ADMIN"], "CAP_SYS_ADMIN"),
    (["-v", "/sys/fs/cgroup/unified:/mnt:rw"], "cgroup file system that it can write to (/mnt"),
    (["--pid", "host"], "without pid: host"),
])
def test_a_container_that_could_be_anybody_is_refused(engine, make_warden, options, words):
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden, options=options)
    for _ in range(2):
        assert words in prisoner.refusal(prisoner.run("id"))
    assert not warden.journal(event="started")
    assert words in warden.recorded(event="refused", command="id")["reason"]


def test_a_process_of_another_containers_mounts_is_refused(engine, make_warden):
    """Containers that share a pid namespace cannot be told apart."""
    warden = make_warden(*everything())
    first = Prisoner(engine, warden)
    second = Prisoner(engine, warden, options=["--pid", f"container:{first.id}"])
    assert first.run("id", "-u").stdout == "1000\n"
    assert "mnt namespace" in second.refusal(second.run("id"))


CHROOT = """
import os, sys
sys.path.insert(0, "/tests")
import harness
fds = [os.open("/dev/null", os.O_RDWR)] * 3 + [os.open("/tmp", os.O_PATH)]
raw = harness.Raw("/run/clawrden/warden.sock")
os.chroot("/tmp")
raw.ask(["id"], fds=fds, cwd="/", flags=15)
print(raw.answer())
"""


def test_a_chroot_and_a_foreign_cgroup_are_refused(engine, make_warden):
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden, "python:3.11-slim", user="0:0", options=["-v", f"{TESTS}:/tests:ro"])
    result = prisoner.python(CHROOT)
    assert result.stdout.startswith("(1, 125,") and "chroot" in result.stdout, result
    # A process of the container in somebody else's cgroup: only the host's root can do that.
    other = engine.start_container("debian:bookworm", "/bin/sleep", "600")
    prisoner.engine.docker("exec", "-d", prisoner.id, "/bin/sh", "-c",
                           "while [ ! -e /tmp/go ]; do sleep 0.1; done; id > /tmp/out 2>&1; touch /tmp/done")
    pid = harness.wait_for(lambda: next((pid for pid, line in prisoner.processes().items()
                                         if line.startswith("/bin/sh")), None), what="the shell")
    with open(f"/sys/fs/cgroup/pids/docker/{other.id}/cgroup.procs", "w", encoding="utf-8") as file:
        file.write(str(pid))
    prisoner.script("touch /tmp/go")
    harness.wait_for(lambda: prisoner.script("ls /tmp/done").code == 0, what="its end")
    assert "is not one of its container" in prisoner.script("cat /tmp/out").stdout


def test_the_api_is_out_of_reach_of_root_in_a_container(engine, make_warden):
    warden = make_warden(*everything())
    prisoner = Prisoner(engine, warden, "python:3.11-slim", user="0:0",
                        options=["-v", f"{os.path.dirname(warden.api_socket)}:/api"])
    ask = ("import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('/api/api.sock')\n"
           "s.sendall(b'GET /api/status HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n')\n"
           "print(s.recv(65536))")
    result = prisoner.python(ask)
    assert "200 OK" not in result.stdout and "version" not in result.stdout, result
    assert warden.status()["version"]


class Apart(harness.Warden):
    """A warden in a pid namespace of its own, as in a container without pid: host."""

    def command_line(self):
        return ["/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
                *super().command_line()]


def test_a_warden_that_cannot_see_the_prisoner_says_what_to_set(engine):
    warden = Apart(harness.policy(*everything()))
    try:
        prisoner = Prisoner(engine, warden)
        words = prisoner.refusal(prisoner.run("id"))
        assert "pid: host" in words, words
    finally:
        for pid in harness.descendants(warden.pid):
            harness.kill_quietly(pid)
        warden.process.wait(20)
        warden.stop()
