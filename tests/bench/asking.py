"""Figures of asking: how soon people hear of a question, how soon their answer runs, what ten
thousand open questions cost, and whether a crowd at the login slows a verdict.
"""

import http.client
import json
import os
import re
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

import harness

QUESTIONS = 10_000
BURST = 75
LOGINS_PER_SECOND = 50


class Unmeasured(Exception):
    """Something did not go as it must for a figure to mean anything."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the operators' socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def call(connection, method, path, body=None):
    """(when it was sent in ns, status, document)."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    begun = time.monotonic_ns()
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    data = answer.read()
    return begun, answer.status, json.loads(data) if data else None


class Events:
    """A client of GET /api/events; wait() gives the arrival time of the next event of a kind."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.socket.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n"
                            b"Accept: text/event-stream\r\n\r\n")
        self.seen = b""
        while b"\r\n\r\n" not in self.seen:
            self._read(20)
        head, _, self.seen = self.seen.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise Unmeasured(f"GET /api/events: {head!r}")

    def _read(self, seconds):
        if not select.select([self.socket], [], [], seconds)[0]:
            raise Unmeasured("no event came")
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise Unmeasured("the event stream ended")
        self.seen += piece

    def wait(self, kind):
        mark = b"event: " + kind.encode()
        while mark not in self.seen:
            self._read(20)
        arrived = time.monotonic_ns()
        self.seen = self.seen.partition(mark)[2]
        return arrived

    def arrived(self, kind):
        """After a select(2) that called the socket readable: has an event of this kind come?"""
        self._read(0)
        before, mark, after = self.seen.partition(b"event: " + kind.encode())
        self.seen = after if mark else before[-64:]
        return bool(mark)

    def close(self):
        self.socket.close()


class Approval:
    """One POST …/approve and what it sets going, each with its time since the POST's first byte."""

    def __init__(self, instance, events, raw, output):
        self.instance, self.events, self.raw, self.output = instance, events, raw, output
        self.acked = self.started = self.status = None

    def _look(self, readable, begun):
        now = time.monotonic_ns() - begun
        if self.raw.socket in readable and self.acked is None:
            kind = self.raw.read(1)[0]
            if kind == harness.ACK_DENIED:
                raise Unmeasured("an approved command was refused")
            if kind == harness.ACK_ALLOWED:
                self.acked = now
            else:  # the line that says that it waits
                self.raw.frame(kind)
        if self.started is None and self.events.socket in readable:
            self.started = now if self.events.arrived("started") else None

    def run(self, identity):
        """(to its first instructions, to the shim's ack, to the event `started`) in ns"""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(self.instance.api_socket)
            request = (f"POST /api/queue/{identity}/approve HTTP/1.1\r\nHost: localhost\r\n"
                       "Content-Length: 0\r\nConnection: close\r\n\r\n").encode()
            begun = time.monotonic_ns()
            connection.sendall(request)
            while None in (self.acked, self.started, self.status):
                waits = [(self.raw.socket, self.acked), (self.events.socket, self.started),
                         (connection, self.status)]
                readable = select.select([end for end, seen in waits if seen is None], [], [], 20)[0]
                if not readable:
                    raise Unmeasured("an approved command did not start")
                self._look(readable, begun)
                if connection in readable:
                    self.status = connection.recv(4096).split(b"\r\n")[0]
        if b" 200 " not in self.status:
            raise Unmeasured(f"approve: {self.status!r}")
        first = int.from_bytes(os.read(self.output, 8), sys.byteorder)
        return first - begun, self.acked, self.started


def measure_approval(instance, rounds):
    """[(first instructions, ack, event)] in ns since the first byte of POST …/approve"""
    events, operator, found = Events(instance.api_socket), UnixConnection(instance.api_socket), []
    for number in range(rounds):
        raw, (output, theirs) = harness.Raw(instance.socket_path()), os.pipe()
        fds = [os.open("/dev/null", os.O_RDONLY), theirs, os.dup(theirs),
               os.open("/tmp", os.O_PATH | os.O_DIRECTORY)]
        raw.ask(["bench-now", str(number)], fds=fds, path=tool(instance),
                flags=harness.FLAG_DIRECT | harness.FLAG_STDIN | harness.FLAG_STDOUT
                | harness.FLAG_STDERR)
        for fd in fds:
            os.close(fd)
        if raw.read(1)[0] != harness.ACK_PENDING:
            raise Unmeasured("it was not asked about")
        events.wait("asked")
        identity = call(operator, "GET", "/api/queue")[2]["pending"][0]["id"]
        time.sleep(0.015)
        found.append(Approval(instance, events, raw, output).run(identity))
        raw.close()
        os.close(output)
        events.wait("ended")
    events.close()
    return found


def measure_hearing(instance, rounds):
    """[(request sent → event, pending told to the shim → event)] in ns."""
    path, events, found = instance.socket_path(), Events(instance.api_socket), []
    operator, command = UnixConnection(instance.api_socket), tool(instance)
    for number in range(rounds):
        raw = harness.Raw(path)
        begun = time.monotonic_ns()
        raw.ask(["bench-now", str(number)], path=command)
        if raw.read(1)[0] != harness.ACK_PENDING:
            raise Unmeasured("it was not asked about")
        blocked = time.monotonic_ns()
        arrived = events.wait("asked")
        found.append((arrived - begun, max(arrived - blocked, 0)))
        pending = call(operator, "GET", "/api/queue")[2]["pending"]
        call(operator, "POST", f"/api/queue/{pending[0]['id']}/deny", {})
        raw.answer()
        raw.close()
        time.sleep(0.01)
    events.close()
    return found


def tool(instance):
    return os.path.join(instance.tools, "bench-now")


def ask_many(instance, count):
    """As many questions, each about another command, of callers that do not wait."""
    for number in range(count):
        raw = harness.Raw(instance.socket_path())
        raw.ask(["bench-now", f"question-{number}", "--with", "an argument or two"], wait_ms=0,
                path=tool(instance),
                env=("PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/home/agent", "TERM=dumb"))
        answer = raw.answer()
        raw.close()
        if answer[1] != 75:
            raise Unmeasured(f"question {number} was not left open: {answer}")


def first_pages(instance, rounds):
    """(median ns of GET /api/queue?limit=100, how many questions there are)"""
    connection, times = UnixConnection(instance.api_socket), []
    for _ in range(rounds):
        begun, status, page = call(connection, "GET", "/api/queue?limit=100")
        times.append(time.monotonic_ns() - begun)
        if status != 200 or len(page["pending"]) != 100:
            raise Unmeasured(f"the first page: {status}, {len(page.get('pending', []))} entries")
    return statistics.median(times), page["total"]


def burst(instance):
    """(lines in the queue, decisions, results) of BURST identical calls of git."""
    processes = [instance.spawn("git", "--version", stdin=subprocess.DEVNULL) for _ in range(BURST)]
    connection = UnixConnection(instance.api_socket)

    def all_wait():
        entries = call(connection, "GET", "/api/queue")[2]["pending"]
        return entries if sum(entry["waiters"] for entry in entries) == BURST else None

    entries = harness.wait_for(all_wait, seconds=60, what=f"{BURST} waiters")
    status = call(connection, "POST", f"/api/queue/{entries[0]['id']}/approve", {})[1]
    if status != 200:
        raise Unmeasured(f"approve: {status}")
    results = [harness.finish(process, timeout=60) for process in processes]
    return len(entries), 1, sum(result.code == 0 and b"git version" in result.out
                                for result in results)


def verdict_times(instance, count):
    """From a request's first byte to its verdict, in ns: denied ones, so that nothing runs."""
    times = []
    for number in range(count):
        raw = harness.Raw(instance.socket_path())
        begun = time.monotonic_ns()
        raw.ask(["uname", str(number)])
        if raw.read(1)[0] != harness.ACK_DENIED:
            raise Unmeasured("it was not denied")
        times.append(time.monotonic_ns() - begun)
        raw.answer()
        raw.close()
        time.sleep(0.002)
    return times


class Logins:
    """Wrong passwords over TCP at LOGINS_PER_SECOND, until stop()."""

    def __init__(self, host, port):
        self.host, self.port, self.statuses, self.over = host, port, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        due = time.monotonic()
        while not self.over.is_set():
            due += 1 / LOGINS_PER_SECOND
            connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
            try:
                self.statuses.append(call(connection, "POST", "/api/login",
                                          {"user": "alice", "password": "wrong"})[1])
            except OSError:
                self.statuses.append(0)
            finally:
                connection.close()
            time.sleep(max(0, due - time.monotonic()))

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.statuses


def tcp_address(instance):
    found = urllib.parse.urlsplit(instance.url)
    return found.hostname, found.port


def memory_of(instance):
    total = 0
    for pid in [instance.pid, *harness.descendants(instance.pid)]:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += int(re.search(r"^Pss:\s*(\d+)", file.read(), re.M)[1])
    return total / 1024


def executable(instance, name, source):
    with open(source, "rb") as file:
        instance.tool(name, file.read())
    return os.path.join(instance.tools, name)
