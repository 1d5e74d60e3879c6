"""Starts the real programs and talks to them, as agents, operators and attackers do.

Everything has a deadline, everything that was started is ended by its process id, and a process
that is still there after its warden has stopped fails the test.
"""

import array
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import pickle
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("CLAWRDEN_BUILD", "build"))
SANITIZED = "asan" in os.path.basename(BUILD)
IS_ROOT = os.geteuid() == 0

# A prisoner that nobody on the machine is: his files and processes are only ours.
PRISONER = 54001 if IS_ROOT else os.geteuid()
STRANGER = 54002

# Most seconds that anything quick may take; sanitized programs are slow.
PATIENCE = 60 if SANITIZED else 20

SHIM_MAGIC, SHIM_VERSION = 0x57414C43, 1
FLAG_STDIN, FLAG_STDOUT, FLAG_STDERR, FLAG_DIRECT = 1, 2, 4, 8
WAIT_FOREVER = 0xFFFFFFFF
ACK_ALLOWED, ACK_DENIED, ACK_PENDING = 0, 1, 2
FRAME_EXIT, FRAME_CANCEL, FRAME_SIGNAL, FRAME_WINDOW, FRAME_MESSAGE, FRAME_TICK = 3, 4, 7, 8, 9, 10
HEADER = struct.Struct("<IHHIIIIIII")

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """Orphans of what the tests start become our children, so that none can be overlooked."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_for(condition, seconds=PATIENCE, what="the condition"):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def is_alive(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    return False


def children(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    return []


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def comm(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/comm") as file:
            return file.read().rstrip("\n")
    return ""


def processes_with(argument):
    """Processes with exactly this argument: tests mark what they start with one of their own."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if os.fsencode(argument) in file.read().split(b"\0") and is_alive(int(name)):
                    found.append(int(name))
    return found


def kill_quietly(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def program(name):
    """A program in a place that every user may reach (a checkout may lie in a private one)."""
    if "directory" not in _programs:
        directory = tempfile.mkdtemp(prefix="clwd-bin-", dir="/tmp")
        os.chmod(directory, 0o755)
        _programs["directory"] = directory
    copy = os.path.join(_programs["directory"], name)
    if not os.path.exists(copy):
        source = os.path.join(BUILD, "bin", name)
        assert os.path.exists(source), f"{source} is missing: run `make` first"
        shutil.copyfile(source, copy)
        os.chmod(copy, 0o755)
    return copy


_programs = {}


def remove_programs():
    if "directory" in _programs:
        shutil.rmtree(_programs.pop("directory"), ignore_errors=True)


class Result:
    """How a process ended: `code` is negative for a signal, as subprocess has it."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    @property
    def stdout(self):
        return self.out.decode(errors="backslashreplace")

    @property
    def stderr(self):
        return self.err.decode(errors="backslashreplace")

    def __repr__(self):
        return f"Result(code={self.code}, out={self.out[:2000]!r}, err={self.err[:2000]!r})"


def finish(process, data=None, timeout=PATIENCE):
    start = time.monotonic()
    try:
        out, err = process.communicate(data, timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate(timeout=5)
        raise AssertionError(f"{process.args}: hung for {timeout} s; out={out!r} err={err!r}") from None
    return Result(process.returncode, out or b"", err or b"", time.monotonic() - start)


def as_user(uid):
    return {"user": uid, "group": uid, "extra_groups": []} if IS_ROOT else {}


def in_child(function, *arguments, uid=PRISONER, timeout=PATIENCE):
    """Calls function(*arguments) in a forked process of that user and returns what it returned."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            if IS_ROOT and uid != 0:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            try:
                answer = ("value", function(*arguments))
            except BaseException as error:  # pylint: disable=broad-except
                answer = ("error", f"{type(error).__name__}: {error}")
            with os.fdopen(writer, "wb") as file:
                pickle.dump(answer, file)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    data, end = b"", time.monotonic() + timeout
    try:
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([reader], [], [], left)[0]:
                raise AssertionError(f"{function.__name__}: hung for {timeout} s")
            piece = os.read(reader, 1 << 16)
            if not piece:
                break
            data += piece
    finally:
        os.close(reader)
        kill_quietly(pid)
        os.waitpid(pid, 0)
    kind, value = pickle.loads(data)
    if kind == "error":
        raise AssertionError(value)
    return value


def policy(*rules, **top):
    """A policy text. JSON is YAML; durations and the rest as in docs/policy.md."""
    return json.dumps({"version": 1, "default_action": "deny", "default_timeout": "60s",
                       "approval_timeout": "60s", **top, "rules": list(rules)}, indent=1)


def allow(*names, **more):
    return [{"command": name, "action": "allow", **more} for name in names]


def ask(*names, **more):
    return [{"command": name, "action": "ask", **more} for name in names]


class Warden:
    """A running warden with directories of its own.

    privileged: as root with the system users; else as an ordinary user. `options` go to the
    command line. The prisoner's commands stand in `bin` (shims), programs that only root can write
    in `tools`, the prisoner's own files in `work` and `home`.
    """

    def __init__(self, text, privileged=IS_ROOT, options=(), audit=None, environment=None, start=True,
                 after_setup=None):
        self.privileged = privileged and IS_ROOT
        self.user = 0 if self.privileged else PRISONER
        self.base = tempfile.mkdtemp(prefix="clwd-", dir="/tmp")
        os.chmod(self.base, 0o755)
        self.run_dir = os.path.join(self.base, "run")
        self.state_dir = os.path.join(self.base, "state")
        self.audit = audit or os.path.join(self.base, "audit", "audit.log")
        self.policy_path = os.path.join(self.base, "policy.yaml")
        self.api_socket = os.path.join(self.run_dir, "api", "api.sock")
        self.log_path = os.path.join(self.base, "log")
        self.options, self.environment = list(options), dict(environment or {})
        self.process, self.started, self.known = None, [], set()
        self.request_of = {}  # a question's id → its request's, as the journal knows it
        for name in ("bin", "tools", "work", "home"):
            path = os.path.join(self.base, name)
            os.mkdir(path, 0o755)
            setattr(self, name, path)
        if IS_ROOT:
            os.chown(self.work, PRISONER, PRISONER)
            os.chown(self.home, PRISONER, PRISONER)
            if not self.privileged:
                os.chown(self.base, PRISONER, PRISONER)
        self.write_policy(text)
        if after_setup:
            after_setup(self)
        if start:
            self.start()

    # The warden itself.

    def command_line(self):
        tcp = [] if "--api" in self.options else ["--api", "none"]  # wardens run side by side
        program("clawrden-shim")  # beside the warden, for the jails' directories
        if os.path.exists(os.path.join(BUILD, "bin", "clawrden-launcher")):  # not under sanitizers
            program("clawrden-launcher")
        return [program("clawrden-warden"), "--policy", self.policy_path, "--run-dir", self.run_dir,
                "--state-dir", self.state_dir, "--audit", self.audit, "--api-socket", self.api_socket,
                *tcp, *self.options]

    def launch(self):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": self.home}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:  # confined processes open no file: reports go to the log
                environment[name] = ":".join(option for option in os.environ[name].split(":")
                                             if not option.startswith("log_path="))
        environment.update(self.environment)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command_line(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env=environment, **({} if self.privileged else as_user(self.user)))

    def start(self):
        offset = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        self.launch()

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the warden ended with {self.process.returncode}:\n{self.log()}")
            return "READY" in self.log()[offset:]

        wait_for(ready, what="READY")
        self.notice()

    @property
    def url(self):
        """Where the api listens by TCP, as the warden said when it was ready (`--api …:0`)."""
        found = re.findall(r"READY \(.*, (https?://[^)]+)\)", self.log())
        assert found, f"no TCP listener:\n{self.log()}"
        return found[-1]

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    @property
    def pid(self):
        return self.process.pid

    def processes(self):
        """{role: pid} of the parent and its children; a door's role is "door/JAIL" (cut to fit)."""
        found = {"parent": self.pid}
        for child in children(self.pid):
            name = comm(child)
            if name.startswith("clwd-"):
                found[name[5:]] = child
        return found

    def process_of(self, role):
        """The pid of a role, once it is there."""
        return wait_for(lambda: next((pid for name, pid in self.processes().items()
                                      if name == role or name.startswith(role + "/")), None),
                        what=f"the process {role}")

    def notice(self):
        self.known.update(descendants(self.pid))

    def reload(self):
        os.kill(self.pid, signal.SIGHUP)

    def write_policy(self, text):
        """Replaces the policy as an editor does: a new file, renamed."""
        with open(self.policy_path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.policy_path + ".new", 0o644)
        if IS_ROOT and not self.privileged:
            os.chown(self.policy_path + ".new", PRISONER, PRISONER)
        os.rename(self.policy_path + ".new", self.policy_path)

    def terminate(self, timeout=PATIENCE):
        """An orderly stop; returns the exit status."""
        if self.process.poll() is None:
            self.notice()
            self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the warden did not stop within {timeout} s:\n{self.log()}") from None

    def kill_all(self):
        """As when the machine's memory runs out: every process of the warden at once."""
        self.notice()
        for pid in [self.pid, *self.known]:
            kill_quietly(pid)
        self.process.wait(PATIENCE)
        wait_for(lambda: not self.leftovers(), what="the end of all processes")

    def leftovers(self):
        reap()
        return [pid for pid in self.known if is_alive(pid) and comm(pid).startswith("clwd-")]

    def restart(self):
        self.terminate()
        self.start()

    def stop(self):
        """Ends everything; what is not as it should be is raised at the end."""
        problems = []
        for process in self.started:
            if process.poll() is None:
                process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()
        if self.process:
            try:
                self.terminate()
            except AssertionError as error:
                problems.append(str(error))
            try:
                wait_for(lambda: not self.leftovers(), 10, "the end of the warden's processes")
            except AssertionError:
                problems.append(f"still there after the stop: {[comm(p) for p in self.leftovers()]}")
            for pid in [self.pid, *self.leftovers()]:
                if self.process.returncode is None or pid != self.pid:
                    kill_quietly(pid)
            if self.process.returncode is None:
                self.process.wait(5)
            reap()
            log = self.log()
            for sign in ("AddressSanitizer", "runtime error:", "LeakSanitizer", "Assertion"):
                if sign in log:
                    problems.append(f"{sign} in the warden's log:\n{log[-6000:]}")
                    break
        shutil.rmtree(self.base, ignore_errors=True)
        assert not problems, "\n".join(problems)

    # The prisoner.

    def socket_path(self, jail="default"):
        return os.path.join(self.run_dir, "jails", jail, "warden.sock")

    def shim_env(self, jail="default", env=None):
        result = {"PATH": f"{self.bin}:{self.tools}:/usr/local/bin:/usr/bin:/bin", "HOME": self.home,
                  "LANG": "C.UTF-8", "CLAWRDEN_SOCKET": self.socket_path(jail)}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                result[name] = os.environ[name]
        for name, value in (env or {}).items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = value
        return result

    def stand_in(self, *commands):
        """Puts shims of these names into the prisoner's bin directory; returns the last path."""
        path = self.bin
        for command in commands:
            path = os.path.join(self.bin, command)
            with contextlib.suppress(FileExistsError):  # threads may do this at once
                os.symlink(program("clawrden-shim"), path)
        return path

    def tool(self, name, text):
        """A program that the prisoner cannot change."""
        return write_program(os.path.join(self.tools, name), text)

    def own(self, name, text):
        """A program that belongs to the prisoner."""
        path = write_program(os.path.join(self.work, name), text)
        if IS_ROOT:
            os.chown(path, PRISONER, PRISONER)
        return path

    def spawn(self, command, *arguments, cwd=None, env=None, uid=PRISONER, jail="default",
              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, direct=False,
              **more):
        """Starts a command through its shim; `direct` as `clawrden-shim COMMAND …`."""
        if direct or "/" in os.fsdecode(command):
            executable, line = program("clawrden-shim"), ["clawrden-shim", command]
        else:
            executable, line = self.stand_in(command), [command]  # as a shell does it
        process = subprocess.Popen(
            [*line, *arguments], executable=executable, cwd=cwd or self.work, env=self.shim_env(jail, env), stdin=stdin,
            stdout=stdout, stderr=stderr, bufsize=0, **{**as_user(uid), **more})
        self.started.append(process)
        return process

    def shim(self, command, *arguments, data=None, timeout=PATIENCE, **more):
        """Runs a command through its shim to its end."""
        if data is None and "stdin" not in more:
            more["stdin"] = subprocess.DEVNULL
        return finish(self.spawn(command, *arguments, **more), data, timeout)

    def agent(self, script, shims=(), timeout=PATIENCE, env=None, uid=PRISONER, shell="/bin/sh",
              jail="default"):
        """Runs a shell script as the prisoner, with shims in front of its PATH."""
        self.stand_in(*shims)
        process = subprocess.Popen([shell, "-c", script], cwd=self.work, env=self.shim_env(jail, env),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **as_user(uid))
        self.started.append(process)
        return finish(process, timeout=timeout)

    # The operator.

    def cli(self, *arguments, uid=None, timeout=PATIENCE, api=None, groups=(), data=None):
        user = as_user(self.user if uid is None else uid)
        if groups and user:
            user["extra_groups"] = list(groups)
        process = subprocess.Popen(
            [program("clawrden-cli"), "--api", api or f"unix:{self.api_socket}", *arguments],
            env=self.shim_env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd="/", **user)
        self.started.append(process)
        return finish(process, data, timeout)

    def cli_json(self, *arguments, **more):
        result = self.cli("--json", *arguments, **more)
        assert result.code == 0, result
        return json.loads(result.out)

    def status(self):
        return self.cli_json("status")

    def queue(self):
        entries = self.cli_json("queue")["pending"]
        for entry in entries:
            self.request_of[entry["id"]] = entry["request"]
        return entries

    def pending(self, count=1):
        """The queue, once `count` requests wait."""
        return wait_for(lambda: (queue := self.queue()) and len(queue) >= count and queue,
                        what=f"{count} pending")

    def pending_id(self):
        return self.pending()[0]["id"]

    # The journal.

    def segments(self):
        directory, name = os.path.split(self.audit)
        older = sorted(entry for entry in os.listdir(directory)
                       if entry.startswith(name + ".") and entry[len(name) + 1:].isdigit())
        return [os.path.join(directory, entry) for entry in [*older, name]]

    def lines(self):
        found = []
        for path in self.segments():
            with open(path, "rb") as file:
                found += [line for line in file.read().split(b"\n") if line]
        return found

    def journal(self, **wanted):
        """All records, or those with these members (`request` may be a question's id)."""
        if "request" in wanted:
            wanted["request"] = self.request_of.get(wanted["request"], wanted["request"])
        records = []
        for line in self.lines():
            with contextlib.suppress(ValueError):  # a line that is being written
                records.append(json.loads(line))
        return [record for record in records
                if all(record.get(name) == value for name, value in wanted.items())]

    def recorded(self, **wanted):
        """The first record with these members, once it is there."""
        return wait_for(lambda: self.journal(**wanted), what=f"a record with {wanted}")[0]

    def events(self, request):
        return [record["event"] for record in self.journal(request=request)]

    def verify(self):
        """The chain, once by our own reading of the format and once by the program."""
        previous = bytes(32)
        seq = 0
        for line in self.lines():
            body, found, rest = line.rpartition(b',"hash":"')
            assert found, line
            record = json.loads(line)
            assert bytes.fromhex(record["prev"]) == previous, f"prev of {record}"
            previous = hashlib.blake2b(previous + body, digest_size=32).digest()
            assert rest == previous.hex().encode() + b'"}', f"hash of {record}"
            assert record["seq"] == seq + 1, f"after {seq} came {record}"
            seq = record["seq"]
        result = self.audit_verify()
        assert result.code == 0, result
        return seq

    def audit_verify(self, *arguments):
        return self.cli("audit", "verify", *arguments, self.audit)


def write_program(path, text):
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    os.chmod(path, 0o755)
    return path


def reap():
    """Waits for orphans that became ours, but for nothing that subprocess waits for."""
    waited_for = {process.pid for process in subprocess._active}  # pylint: disable=protected-access
    for pid in children(os.getpid()):
        if pid in waited_for or is_alive(pid) or pid in PROCESSES:
            continue
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


class Processes:
    """Which of our children somebody holds a Popen for."""

    def __contains__(self, pid):
        return pid in self.pids

    def __init__(self):
        self.pids = set()
        original = subprocess.Popen.__init__

        def remember(process, *arguments, **more):
            original(process, *arguments, **more)
            self.pids.add(process.pid)

        subprocess.Popen.__init__ = remember


PROCESSES = Processes()


class Terminal:
    """A program in a terminal of its own, as its session's leader."""

    def __init__(self, line, env, cwd, uid=PRISONER, rows=24, columns=80):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if IS_ROOT:
            os.fchown(slave, uid, uid)

        def take_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(line, env=env, cwd=cwd, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, preexec_fn=take_terminal,
                                        **as_user(uid))
        os.close(slave)
        self.seen = b""

    def send(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def expect(self, text, timeout=PATIENCE):
        """Reads until the text has come; it and what was before it is then forgotten."""
        wanted, end = text.encode(), time.monotonic() + timeout
        while wanted not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"waiting for {text!r}, got {self.seen!r}"
            if not select.select([self.master], [], [], left)[0]:
                continue
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                piece = b""
            assert piece, f"waiting for {text!r}, the terminal closed after {self.seen!r}"
            self.seen += piece
        before, _, self.seen = self.seen.partition(wanted)
        return before.decode(errors="replace")

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, timeout=PATIENCE):
        return self.process.wait(timeout)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        os.close(self.master)


# A shim that does as it likes.


def strings(items):
    return b"".join(os.fsencode(item) + b"\0" for item in items)


def request(argv, env=("PATH=/usr/bin:/bin",), cwd="/tmp", path=None, flags=FLAG_DIRECT, wait_ms=WAIT_FOREVER,
            **header):
    """The bytes of a request; `header` overrides fields of its header."""
    path, cwd = strings([path or argv[0]]), strings([cwd])
    arguments, environment = strings(argv), strings(env)
    fields = {"magic": SHIM_MAGIC, "version": SHIM_VERSION, "flags": flags, "wait_ms": wait_ms,
              "path_size": len(path), "cwd_size": len(cwd), "argc": len(argv),
              "argv_size": len(arguments), "envc": len(env), "env_size": len(environment)}
    fields.update(header)
    return HEADER.pack(*fields.values()) + path + cwd + arguments + environment


class Raw:
    """A connection to a door, byte by byte."""

    def __init__(self, path, timeout=PATIENCE):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(path)

    def send(self, data, fds=()):
        """Sends with the descriptors attached to the first byte."""
        control = []
        if fds:
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = self.socket.sendmsg([data], control)
        if sent < len(data):  # the answer may have come, and the door hung up, before we go on
            self.socket.sendall(data[sent:])

    def ask(self, argv, fds=None, **more):
        """Sends a whole request with /dev/null as stdio (or these descriptors)."""
        opened = []
        if fds is None:
            opened = [os.open("/dev/null", os.O_RDWR) for _ in range(3)]
            opened.append(os.open("/tmp", os.O_PATH | os.O_DIRECTORY))
            fds = opened
            more.setdefault("flags", FLAG_DIRECT | FLAG_STDIN | FLAG_STDOUT | FLAG_STDERR)
        try:
            self.send(request(argv, **more), fds)
        finally:
            for fd in opened:
                os.close(fd)

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError(f"the door hung up after {data!r}")
            data += piece
        return data

    def frame(self, first=None):
        kind = self.read(1)[0] if first is None else first
        size = struct.unpack("<I", self.read(4))[0]
        return kind, self.read(size)

    def answer(self):
        """(ack, exit code or -signal, messages): everything until the end.

        A door that hangs up without a word gives (None, None, []).
        """
        messages, pending = [], False
        try:
            ack = self.read(1)[0]
            while ack == ACK_PENDING or (pending and ack not in (ACK_ALLOWED, ACK_DENIED)):
                if ack == ACK_PENDING and not pending:
                    pending = True
                else:
                    kind, payload = self.frame(ack)
                    if kind == FRAME_MESSAGE:
                        messages.append(payload.decode(errors="replace"))
                ack = self.read(1)[0]
        except (EOFError, ConnectionError):
            return None, None, messages
        try:
            while True:
                kind, payload = self.frame()
                if kind == FRAME_MESSAGE:
                    messages.append(payload.decode(errors="replace"))
                elif kind == FRAME_EXIT:
                    return ack, -payload[1] if payload[0] else payload[1], messages
        except (EOFError, ConnectionError):
            return ack, None, messages

    def close(self):
        self.socket.close()
