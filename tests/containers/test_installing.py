"""Putting a jail into a container: what it may not change, and what may not stop it."""

import ctypes
import errno
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import threading

import pytest

import harness
from test_labels import (PLACE, governed, is_intercepted, known, make, settled, start,  # noqa: F401  pylint: disable=unused-import
                         ungoverned)


@pytest.fixture
def place():
    """A directory of the host, and no mount left beneath it."""
    path = tempfile.mkdtemp(prefix="clwd-installing-", dir="/var/tmp")
    os.chmod(path, 0o755)
    yield path
    for target in reversed(mounts_beneath(path)):
        subprocess.run(["umount", "-l", target], check=False)
    shutil.rmtree(path)


def mounts_beneath(path):
    with open("/proc/self/mountinfo", encoding="utf-8") as text:
        return [line.split()[4] for line in text if line.split()[4].startswith(path)]


def everything(path):
    return sorted((top, tuple(sorted(directories)), tuple(sorted(files)))
                  for top, directories, files in os.walk(path))


# Nothing outside of the container changes.

@pytest.mark.parametrize("mode", ["plain", "hardened"])
@pytest.mark.parametrize("target, inside, words", [
    ("/usr/local/bin", [], None),  # the names find their place in /usr/local/sbin
    ("/usr/local", ["bin", "sbin"], "bind mount or volume"),
    ("/usr/local", [], "bind mount or volume"),
    ("/run", [], "bind mount or volume"),
    ("/run", ["clawrden"], None)])
@pytest.mark.parametrize("access", ["ro", "rw"])
def test_bind_mounts_of_the_host_stay_as_they_are(engine, make, place, target, inside, words, mode, access):  # noqa: F811  pylint: disable=redefined-outer-name
    warden = make()
    for name in inside:
        os.mkdir(os.path.join(place, name))
    before = everything(place)
    container = start(engine, options=["-v", f"{place}:{target}:{access}"], cmds="id,terraform", mode=mode)
    if words:
        assert words in ungoverned(warden, container)
    else:
        governed(warden, container)
        assert is_intercepted(warden, container, shell="sh")
    assert everything(place) == before and not mounts_beneath(place)


def test_names_in_a_bind_mount_are_covered_in_the_container_alone(engine, make, place):  # noqa: F811  pylint: disable=redefined-outer-name
    warden = make()
    shutil.copy("/usr/bin/id", place)
    size = os.path.getsize(os.path.join(place, "id"))
    container = start(engine, options=["-v", f"{place}:/usr/local/bin:ro"])
    governed(warden, container)
    assert is_intercepted(warden, container, "/usr/local/bin/id")
    assert os.path.getsize(os.path.join(place, "id")) == size and not mounts_beneath(place)


@pytest.mark.parametrize("target", ["/run", "/usr/local/bin", "/srv"])
@pytest.mark.parametrize("access", ["rshared", "ro,rshared"])
def test_nothing_is_mounted_where_others_would_see_it(engine, make, place, target, access):  # noqa: F811  pylint: disable=redefined-outer-name
    subprocess.run(["mount", "--bind", place, place], check=True)
    subprocess.run(["mount", "--make-shared", place], check=True)
    os.mkdir(os.path.join(place, "clawrden"))
    shutil.copy("/usr/bin/id", place)
    before = everything(place)
    warden = make()
    container = start(engine, options=["-v", f"{place}:{target}:{access}"])
    entry = settled(warden, container)
    print(entry)
    assert target == "/srv" or "shared" in entry["why"]
    assert everything(place) == before and mounts_beneath(place) == [place]


def test_a_tmpfs_of_the_containers_own_is_its_own(engine, make):  # noqa: F811
    warden = make()
    container = start(engine, options=["--read-only", "--tmpfs", "/run", "--tmpfs", "/usr/local"], cmds="terraform")
    governed(warden, container)
    assert is_intercepted(warden, container, "terraform", shell="sh")


def test_a_tmpfs_of_the_host_is_not(engine, make, place):  # noqa: F811  pylint: disable=redefined-outer-name
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    warden = make()
    container = start(engine, options=["-v", f"{place}:/run"])
    assert "bind mount or volume" in ungoverned(warden, container)
    assert os.listdir(place) == []


# What does not answer.

class DeadFileSystem:
    """A FUSE file system whose server takes the question for a name, and never answers it."""

    def __init__(self, path, name):
        self.path, self.name, self.asked = path, name.encode() + b"\0", []
        self.device = os.open("/dev/fuse", os.O_RDWR)
        options = b"fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other" % self.device
        if ctypes.CDLL(None, use_errno=True).mount(b"fuse", path.encode(), b"fuse", 0, options) < 0:
            os.close(self.device)
            pytest.skip(f"no FUSE here: {os.strerror(ctypes.get_errno())}")
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        attributes = struct.pack("<QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
        answers = {26: struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 10, 65536, 1, 1, 0, 0) + b"\0" * 28,  # INIT
                   3: struct.pack("<QII", 0, 0, 0) + attributes,  # GETATTR
                   17: struct.pack("<QQQQQIIII24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)}  # STATFS
        while True:
            try:
                data = os.read(self.device, 1 << 17)
            except OSError:
                return
            opcode, unique = struct.unpack("<IQ", data[4:16])
            if opcode == 1 and data[40:] == self.name:  # LOOKUP
                self.asked.append(struct.unpack("<I", data[32:36])[0])
            elif opcode not in (2, 36, 42):  # FORGET, INTERRUPT, BATCH_FORGET have no answer
                body = answers.get(opcode, b"")
                error = 0 if body else -errno.ENOENT if opcode == 1 else -errno.ENOSYS
                os.write(self.device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

    def close(self):
        if self.device >= 0:
            subprocess.run(["umount", "-f", "-l", self.path], check=False)  # whoever waits is told ECONNABORTED
            os.close(self.device)
            self.device = -1


@pytest.fixture
def dead(place):  # pylint: disable=redefined-outer-name
    found = DeadFileSystem(place, "id")
    yield found
    found.close()


def test_a_file_system_that_does_not_answer_stops_nobody_else(engine, make, place, dead):  # noqa: F811  pylint: disable=redefined-outer-name
    warden = make()
    good = start(engine, jail="good")
    governed(warden, good)
    executor = warden.process_of("executor")
    stuck = start(engine, options=["-v", f"{place}:/usr/local/bin"], command=("/bin/sleep", "600"))
    assert "took too long" in ungoverned(warden, stuck)
    assert dead.asked and os.path.exists(f"/proc/{dead.asked[0]}")  # it cannot die
    left = [os.readlink(f"/proc/{dead.asked[0]}/fd/{fd}") for fd in os.listdir(f"/proc/{dead.asked[0]}/fd")]
    assert not [name for name in left if "cgroup" in name or "socket" in name], left
    assert good.exec("id", options=["--user", "1000:1000"]).code == 0
    other = start(engine, jail="other")
    governed(warden, other)
    assert is_intercepted(warden, other)
    assert warden.process_of("executor") == executor
    # Nor does it keep anything from an executor that comes after.
    os.kill(executor, signal.SIGKILL)
    harness.wait_for(lambda: warden.processes().get("executor") not in (None, executor), what="a new executor")
    harness.wait_for(lambda: good.exec("id", options=["--user", "1000:1000"]).code == 0, 30, "commands")
    assert "no usable cgroup2" not in warden.log()
    dead.close()  # it ends now; whoever has inherited it reaps it


# A jail that is replaced.

@pytest.mark.parametrize("mode", ["plain", "hardened"])
def test_a_renamed_container_keeps_its_jail(engine, make, mode):  # noqa: F811
    warden = make()
    container = start(engine, mode=mode, options=["--name", "before"])
    governed(warden, container, "before")
    engine.docker("rename", "before", "after")
    harness.wait_for(lambda: known(warden)[container.id]["name"] == "after", 30, "its new name")
    governed(warden, container, "before")
    assert is_intercepted(warden, container) and container.exec("id", options=["--user", "1000:1000"]).code == 0
    warden.terminate()
    warden.start()
    governed(warden, container, "after")  # another jail, in the place of the one that is no more
    assert is_intercepted(warden, container) and container.exec("id", options=["--user", "1000:1000"]).code == 0


@pytest.mark.parametrize("mode", ["plain", "hardened"])
def test_a_jail_that_was_removed_is_put_in_anew(engine, make, mode):  # noqa: F811
    warden = make()
    container = start(engine, mode=mode, jail="again")
    governed(warden, container, "again")
    directory = os.path.dirname(warden.socket_path("again"))
    options, warden.options = warden.options, []
    warden.terminate()
    warden.start()
    harness.wait_for(lambda: warden.cli("status").code == 0, what="an answer")
    shutil.rmtree(directory, ignore_errors=True)
    warden.terminate()
    warden.options = options
    warden.start()
    governed(warden, container, "again")
    assert is_intercepted(warden, container, "/usr/bin/id" if mode == "hardened" else "id")
    assert container.exec("id", options=["--user", "1000:1000"]).code == 0
    mounts = container.exec("cat", "/proc/self/mountinfo", options=["--user", "0"]).stdout
    assert "deleted" not in mounts, mounts


# Many commands.

def test_every_command_of_a_large_hardened_jail_runs(engine, make_warden):
    engine.image("debian:bookworm")
    warden = make_warden(warden_options={"options": ["--engine", engine.url]}, default_action="allow")
    first = engine.start_container("debian:bookworm", "sleep", "600")
    listed = first.exec("ls", "/usr/bin").stdout.split()
    names = [name for name in listed if name not in ("[", "sh", "dash", "cat")][:256]
    container = start(engine, cmds=",".join(names), mode="hardened", command=("/bin/sleep", "600"))
    governed(warden, container)
    with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as text:
        assert len([line for line in text if "clawrden-shim" in line]) > 256
    for name in (names[0], names[-1], names[-2], "id", "uname"):
        if name in names:
            found = container.exec(name, "--version", options=["--user", "1000:1000"])
            assert found.code != 127, (name, found)


def test_more_mounted_shims_than_a_command_can_be_given_are_refused(engine, make):  # noqa: F811
    warden = make()
    engine.image("debian:bookworm")
    engine.build("many", "FROM debian:bookworm\nRUN for d in a b c d e f g h i j; do mkdir /$d; for n in $(seq 256); do "
                         "echo > /$d/c$n; done; done\nENV PATH=/a:/b:/c:/d:/e:/f:/g:/h:/i:/j:/usr/bin:/bin\n")
    container = start(engine, "many", cmds=",".join(f"c{n}" for n in range(1, 257)), mode="hardened")
    assert "too many mounted shims" in ungoverned(warden, container)
