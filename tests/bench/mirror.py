"""Figures of commands that are mirrored into a container of a real engine."""

import http.client
import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "containers"))

import engine as engines  # noqa: E402  pylint: disable=wrong-import-position
import harness  # noqa: E402  pylint: disable=wrong-import-position

IMAGE = "debian:bookworm"
SHIMS = "/usr/local/sbin"
PAUSE_US = 100000


def missing():
    """Why it cannot be measured here, or None."""
    return engines.missing()


class Prisoner:
    """An engine with one container whose `true` has a shim, and bench-road in it."""

    def __init__(self, warden, bench_road, options=(), engine=None):
        shims = os.path.join(warden.base, "shims")
        os.mkdir(shims)
        os.symlink("/usr/lib/clawrden-shim/clawrden-shim", os.path.join(shims, "true"))
        self.engine = engine or engines.Engine().start()
        try:
            self.container = self.engine.prisoner(
                warden, IMAGE, options=["-v", f"{shims}:{SHIMS}:ro", "-v", f"{bench_road}:/bench-road:ro",
                                        *options])
        except BaseException:
            self.engine.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.engine.stop()

    def pairs(self, count, pause_us):
        """[(ns bare, ns mirrored)] of interleaved pairs inside the container."""
        result = self.container.exec("/bench-road", "pairs", str(count), str(pause_us), "/bin/true",
                                     f"{SHIMS}/true", timeout=600)
        if result.code != 0:
            raise RuntimeError(result.stderr[-500:])
        return [tuple(int(word) for word in line.split()) for line in result.stdout.splitlines()]

    def against_raw(self, count):
        """[(ns by the engine's own exec, ns mirrored)] of interleaved pairs, each after a pause in which
        the engine finishes with what came before."""
        found = []
        for _ in range(count):
            time.sleep(PAUSE_US / 1e6)
            raw = self.raw_execs(1)[0]
            found.append((raw, self.pairs(1, PAUSE_US)[0][1]))
        return found

    def raw_execs(self, count):
        """[ns] of `true` by the engine's own exec: create, start, and its output's end."""
        found = []
        for _ in range(count):
            begun = time.monotonic_ns()
            identifier = self.call("POST", f"/containers/{self.container.id}/exec",
                                   {"Cmd": ["/bin/true"], "AttachStdout": True, "AttachStderr": True})["Id"]
            self.call("POST", f"/exec/{identifier}/start", {"Detach": False, "Tty": False})
            found.append(time.monotonic_ns() - begun)
        return found

    def call(self, method, path, body):
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(self.engine.socket)
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {data[:200]!r}")
        return json.loads(data) if data[:1] == b"{" else None


def measure_engine(bench_road, count):
    """[(ns by the engine's own exec, ns by a shim with `mirror_engine: docker`)]."""
    engine = engines.Engine()
    policy = {"default_action": "deny", "mirror_engine": "docker",
              "rules": [{"command": "true", "action": "allow"}]}
    warden = None
    try:
        engine.start()
        warden = harness.Warden(json.dumps(policy), options=["--engine", engine.url])
        prisoner = Prisoner(warden, bench_road, engine=engine)
        return prisoner.against_raw(count + 3)[3:]
    finally:
        if warden:
            warden.stop()
        engine.stop()
