"""A door in Python: speaks the shim's protocol (docs/protocol.md) as well, or as badly, as a test
wants. Written from the document, not from the C code, so that it also checks the document."""

import array
import os
import select
import signal
import socket
import struct
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("CLAWRDEN_BUILD", "build"))
SANITIZED = "asan" in os.path.basename(BUILD) or "san" in os.environ.get("CLAWRDEN_BUILD_KIND", "")
PATIENCE = 60 if SANITIZED else 20

MAGIC, VERSION, WAIT_FOREVER = 0x57414C43, 1, 0xFFFFFFFF
HEADER = struct.Struct("<IHHIIIIIII")
STDIN, STDOUT, STDERR, DIRECT = 1, 2, 4, 8
ALLOWED, DENIED, PENDING = 0, 1, 2
F_STDOUT, F_STDERR, F_EXIT, F_CANCEL, F_STDIN = 1, 2, 3, 4, 5
F_SIGNAL, F_WINDOW, F_MESSAGE, F_TICK = 7, 8, 9, 10
REQUEST_MAX = 6 * 1024 * 1024

NOTHING_RUN = b"; nothing was run\n"
JOURNAL_KNOWS = b"; whether the command was run is recorded in its journal\n"
IN_JOURNAL = b"; whether the command finished is recorded in its journal\n"


def find_program(name):
    for folder in ("src/shim", "bin"):
        path = os.path.join(BUILD, folder, name)
        if os.path.exists(path):
            return path
    raise FileNotFoundError(f"{name} is not in {BUILD}: build it, or set CLAWRDEN_BUILD")


def clean_env(**more):
    """An environment in which nothing speaks to the shim but what the test says."""
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update(more)
    return env


class Visit:
    """One connection of a shim."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(PATIENCE)
        self.fds = []
        self.unread = b""

    def close(self):
        self.socket.close()
        self.drop_fds()

    def drop_fds(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def read_exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(min(size - len(data), 1 << 20))
            if not piece:
                raise EOFError(f"{len(data)} of {size} bytes")
            data += piece
        return data

    def read_first_byte(self):
        data, control, flags, _ = self.socket.recvmsg(1, 1024, socket.MSG_CMSG_CLOEXEC)
        assert not flags & socket.MSG_CTRUNC
        for level, kind, payload in control:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            self.fds += array.array("i", payload)
        return data

    def read_header(self):
        raw = self.read_first_byte() + self.read_exactly(HEADER.size - 1)
        (self.magic, self.version, self.flags, self.wait_ms, self.path_size, self.cwd_size,
         self.argc, self.argv_size, self.envc, self.env_size) = HEADER.unpack(raw)
        return self

    @staticmethod
    def split(section, count):
        assert not section or section.endswith(b"\0")
        strings = section.split(b"\0")[:-1]
        assert len(strings) == count
        return strings

    def read_request(self, keep_fds=False):
        self.read_header()
        assert (self.magic, self.version) == (MAGIC, VERSION)
        (self.path,) = self.split(self.read_exactly(self.path_size), 1)
        (self.cwd,) = self.split(self.read_exactly(self.cwd_size), 1)
        self.argv = self.split(self.read_exactly(self.argv_size), self.argc)
        self.env = self.split(self.read_exactly(self.env_size), self.envc)
        assert len(self.fds) == 1 + bin(self.flags & 7).count("1")
        if not keep_fds:  # or our copies of its pipes would keep them open
            self.drop_fds()
        return self

    def send(self, data):
        self.socket.sendall(data)
        return self

    def ack(self, value):
        return self.send(bytes([value]))

    def frame(self, kind, payload=b""):
        return self.send(struct.pack("<BI", kind, len(payload)) + payload)

    def message(self, text):
        return self.frame(F_MESSAGE, text)

    def tick(self):
        return self.frame(F_TICK)

    def exit(self, code):
        return self.frame(F_EXIT, bytes([0, code]))

    def died(self, number):
        return self.frame(F_EXIT, bytes([1, number]))

    def read_frame(self):
        kind, size = struct.unpack("<BI", self.read_exactly(5))
        return kind, self.read_exactly(size)

    def read_signal(self, wanted=F_SIGNAL):
        kind, payload = self.read_frame()
        assert kind == wanted and len(payload) == 2, (kind, payload)
        return payload[0], payload[1]

    def read_question(self):
        """A deadly signal that the shim got while it waited: has it met a command?"""
        return self.read_signal(F_CANCEL)

    def is_quiet(self, seconds=0.2):
        return not select.select([self.socket], [], [], seconds)[0]


class Door:
    def __init__(self, path, backlog=128):
        self.path = str(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(backlog)
        self.listener.settimeout(PATIENCE)
        self.visits = []

    def accept(self):
        connection, _ = self.listener.accept()
        self.visits.append(Visit(connection))
        return self.visits[-1]

    def request(self, **options):
        return self.accept().read_request(**options)

    def close(self):
        self.listener.close()
        for visit in self.visits:
            visit.close()


class Shims:
    """Starts shims under any name and ends them by their process ids."""

    def __init__(self, folder, door):
        self.folder, self.door, self.started = folder, door, []

    def stand_in(self, name, kind=""):
        """The path of a shim called `name`; of which build: "-hasty", "-patient" (src/shim/meson.build)."""
        folder = os.path.join(str(self.folder), "bin" + kind)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            os.symlink(find_program("clawrden-shim" + kind), path)
        return path

    def start(self, *argv, hasty=False, patient=False, path=None, env=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        if env is None:
            env = clean_env()
        env = {"CLAWRDEN_SOCKET": self.door.path, **env}
        kind = "-hasty" if hasty else "-patient" if patient else ""
        process = subprocess.Popen([*argv], executable=path or self.stand_in(argv[0], kind), env=env,
                                   **options)
        self.started.append(process)
        return process

    def close(self):
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()


def finish(process, seconds=PATIENCE):
    """(returncode, stdout, stderr) of a shim that must end."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:  # whose own text may hold megabytes of arguments
        raise AssertionError(f"still there after {seconds} s; stderr {error.stderr}") from None
    return process.returncode, out, err


def finish_in_flight(process):
    """(returncode, stderr) of a shim whose pipes are still open in a message that nobody received."""
    code = process.wait(PATIENCE)
    os.set_blocking(process.stderr.fileno(), False)
    return code, process.stderr.read1() or b""


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


def wait_until(condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
