"""A Docker engine of the tests' own, and what runs in it.

In a test:

    def test_something(engine, make_warden):
        engine.image("python:3.11-slim")              # images.py lists them; made once, then cached
        result = engine.docker("version")             # harness.Result: code, stdout, stderr
        result = engine.run("debian:bookworm", "id", "-u", options=["--user", "1000:1000"])
        container = engine.start_container("alpine:shaped", "sleep", "600", options=["--pids-limit", "50"])
        container.pid, container.id                   # of its init, as the host sees it
        container.exec("ls", "/", options=["--user", "1000"])
        warden = make_warden(*harness.allow("ls"))
        prisoner = engine.prisoner(warden, "debian:bookworm", jail="default")  # /run/clawrden mounted

`docker` fails the test unless `check=False`. Containers get no network unless `options` names one.
What a test leaves behind is removed after it (conftest.py); the engine lives as long as the session:
its socket is engine.socket (DOCKER_HOST: engine.url), its daemon's pid engine.pid.

The daemon has its own data, exec root, bridge and addresses, so several sessions can run at once.
A session that was killed leaves a directory in /var/tmp; the next session ends what is still alive
of it (by process id, after a look at the command line) and removes it.

    tests/containers/engine.py prepare [IMAGE...]     makes the images that the cache lacks
    tests/containers/engine.py deploy                 builds deploy/docker's images, from source
"""

import concurrent.futures
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import harness  # noqa: E402  pylint: disable=wrong-import-position
import images  # noqa: E402  pylint: disable=wrong-import-position

PLACE = "/var/tmp"  # a real disk: overlayfs does not lie on itself
PREFIX = "clwd-engine-"
DOCKER = "/usr/bin/docker"  # Debian's own: the one on PATH may be newer than the daemon
DAEMON = "/usr/sbin/dockerd"
PATIENCE = 120


def missing():
    """Why there can be no engine here, or None."""
    if not harness.IS_ROOT:
        return "needs root"
    for path in (DAEMON, DOCKER, "/usr/bin/mmdebstrap", "/usr/sbin/runc"):
        if not os.path.exists(path) and not shutil.which(os.path.basename(path)):
            return f"needs {path} (scripts/bootstrap test)"
    return None


def skip_without(items, directory, what, why):
    """Skips the collected tests of a directory, loudly, when `why` says what is missing for them."""
    for item in items:
        if why and str(item.path).startswith(directory + os.sep):
            item.add_marker(pytest.mark.skip(reason=f"{what}: {why}"))


def quietly(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def start_time(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[19].decode()
    return None


def processes_about(place, programs=(b"dockerd", b"containerd", b"docker-proxy")):
    """The daemon, its containerd and their shims: their command lines name their directories."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{int(name)}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            program = os.path.basename(words[0])
            if program.startswith(programs) and any(
                    os.fsencode(place + "/") in word for word in words):
                found.append(int(name))
    return found


def mounts_below(place):
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        found = [line.split()[4] for line in file]
    return sorted((path for path in found if path.startswith(place + "/")), key=len, reverse=True)


def remove_cgroups(identifiers):
    for directory, names, _ in os.walk("/sys/fs/cgroup", topdown=False):
        for name in names:
            if name in identifiers:
                for below, _, _ in os.walk(os.path.join(directory, name), topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(below)


def clear(place):
    """Ends everything of an engine that did not end by itself, and removes its directory."""
    daemons = processes_about(place)
    inside = [child for pid in daemons if harness.comm(pid).startswith("containerd-shim")
              for child in harness.children(pid)]
    for pid in [*daemons, *inside]:
        harness.kill_quietly(pid)
    for pid in [*daemons, *inside]:
        harness.wait_for(lambda pid=pid: not harness.is_alive(pid), what=f"the end of {pid}")
    for path in mounts_below(place):
        quietly("umount", "-l", path)
    with contextlib.suppress(OSError):
        remove_cgroups(set(os.listdir(os.path.join(place, "data", "containers"))))
    with contextlib.suppress(OSError, ValueError):
        with open(os.path.join(place, "network"), encoding="utf-8") as file:
            Network(**json.load(file)).remove()
    shutil.rmtree(place, ignore_errors=True)


def sweep():
    for name in os.listdir(PLACE):
        place = os.path.join(PLACE, name)
        if not name.startswith(PREFIX):
            continue
        with contextlib.suppress(OSError, ValueError):
            with open(os.path.join(place, "owner"), encoding="utf-8") as file:
                pid, started = file.read().split()
            if start_time(int(pid)) == started:
                continue  # somebody's who is alive
            clear(place)


class Network:
    """A bridge with addresses of its own. The daemon's own rules would be shared with others."""

    def __init__(self, bridge, number):
        self.bridge, self.number = bridge, number
        self.addresses = f"10.{number}.0.0/16"

    def rules(self):
        return [["-t", "nat", "POSTROUTING", "-s", self.addresses, "!", "-d", self.addresses,
                 "-j", "MASQUERADE"],
                ["-t", "filter", "FORWARD", "-s", self.addresses, "-j", "ACCEPT"],
                ["-t", "filter", "FORWARD", "-d", self.addresses, "-j", "ACCEPT"]]

    def add(self):
        images.run("ip", "link", "add", self.bridge, "type", "bridge")
        images.run("ip", "addr", "add", f"10.{self.number}.0.1/24", "dev", self.bridge)
        images.run("ip", "link", "set", self.bridge, "up")
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="utf-8") as file:
            file.write("1")
        for option, table, chain, *rule in self.rules():
            images.run("iptables", "-w", option, table, "-I", chain, *rule)

    def remove(self):
        for option, table, chain, *rule in self.rules():
            quietly("iptables", "-w", option, table, "-D", chain, *rule)
        quietly("ip", "link", "del", self.bridge)


class Container:
    def __init__(self, engine, identifier):
        self.engine, self.id = engine, identifier

    def inspect(self):
        return json.loads(self.engine.docker("inspect", self.id).out)[0]

    @property
    def pid(self):
        return self.inspect()["State"]["Pid"]

    def exec(self, *command, options=(), **more):
        """Runs a command in it; the result's code is the command's own."""
        return self.engine.docker("exec", *options, self.id, *command, check=False, **more)

    def logs(self):
        result = self.engine.docker("logs", self.id)
        return result.stdout + result.stderr

    def wait(self):
        return int(self.engine.docker("wait", self.id).stdout)

    def remove(self):
        self.engine.docker("rm", "-fv", self.id, check=False)


class Engine:
    KINDS = [("volume",), ("network", "-f", "type=custom")]  # what tests leave behind beside containers

    def __init__(self):
        sweep()
        self.place = tempfile.mkdtemp(prefix=PREFIX, dir=PLACE)
        os.chmod(self.place, 0o711)
        with open(os.path.join(self.place, "owner"), "w", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {start_time(os.getpid())}")
        self.socket = os.path.join(self.place, "docker.sock")
        self.url = f"unix://{self.socket}"
        self.log_path = os.path.join(self.place, "log")
        self.network, self.process, self.loaded = None, None, set()

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        self.network = self.make_network()
        config = os.path.join(self.place, "daemon.json")
        with open(config, "w", encoding="utf-8") as file:
            file.write("{}")  # the machine's own is not ours
        self.launch()
        return self

    def launch(self):
        """Starts the daemon (again: a test may end it) and waits until it answers."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                [DAEMON, "--config-file", f"{self.place}/daemon.json", "--data-root", f"{self.place}/data",
                 "--exec-root", f"{self.place}/exec", "--pidfile", f"{self.place}/pid", "-H", self.url,
                 "--storage-driver", "overlay2", "--iptables=false", "--ip6tables=false",
                 "--bridge", self.network.bridge, "--default-address-pool",
                 f"base=10.{self.network.number}.128.0/17,size=24", "--log-level", "warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": images.PATH, "HOME": self.place})

        self.await_answer(DAEMON)

    def await_answer(self, program):
        def answers():
            if self.process.poll() is not None:
                raise AssertionError(f"{program} ended with {self.process.returncode}:\n{self.log()}")
            return os.path.exists(self.socket) and self.docker("version", check=False).code == 0

        harness.wait_for(answers, 60, f"an answer of {program}")

    def make_network(self):
        with open(os.path.join(PLACE, "clwd-engines.lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            taken = images.run("ip", "-4", "-o", "addr")
            number = next(n for n in range(100, 200) if f" 10.{n}." not in taken)
            network = Network("clwd" + self.place[-8:], number)
            with open(os.path.join(self.place, "network"), "w", encoding="utf-8") as file:
                json.dump({"bridge": network.bridge, "number": number}, file)
            network.add()
        return network

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-8000:]

    def stop(self):
        problems = []
        if self.process and self.process.poll() is None:
            with contextlib.suppress(AssertionError):
                self.tidy()
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                problems.append(f"dockerd did not stop:\n{self.log()}")
        clear(self.place)
        if self.process:
            self.process.wait(5)
        harness.reap()
        assert not problems, problems

    # Talking to it.

    def environment(self):
        return {"PATH": images.PATH, "HOME": self.place, "DOCKER_HOST": self.url, "LANG": "C.UTF-8"}

    def docker(self, *arguments, check=True, timeout=PATIENCE, data=None, env=None):
        process = subprocess.Popen(
            [DOCKER, "-H", self.url, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL if data is None else subprocess.PIPE, cwd="/",
            env={**self.environment(), **(env or {})})
        result = harness.finish(process, data, timeout)
        assert not check or result.code == 0, f"docker {' '.join(arguments)}: {result}"
        return result

    def image(self, name):
        """Has the image of images.py in the engine and returns its name."""
        if name not in self.loaded:
            changes = [word for change in images.RECIPES[name][1] for word in ("-c", change)]
            self.docker("import", *changes, images.ensure(name), name)
            self.loaded.add(name)
        return name

    def build(self, name, dockerfile, files=(), options=()):
        """An image by Dockerfile; files: {name in the context: path or bytes}."""
        with tempfile.TemporaryDirectory(prefix="clwd-context-", dir=PLACE) as context:
            with open(os.path.join(context, "Dockerfile"), "w", encoding="utf-8") as file:
                file.write(dockerfile)
            for target, source in dict(files).items():
                path = os.path.join(context, target)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if isinstance(source, bytes):
                    harness.write_program(path, source)
                else:
                    shutil.copy(source, path)
            return self.docker("build", "-q", "-t", name, *options, context, timeout=600)

    @staticmethod
    def with_network(options):
        named = any(option.startswith(("--net", "--network")) for option in options)
        return list(options) if named else ["--network", "none", *options]

    def run(self, image, *command, options=(), check=False, **more):
        """`docker run --rm`: the result's code is the command's own."""
        return self.docker("run", "--rm", *self.with_network(options),
                           self.image(image) if image in images.RECIPES else image, *command,
                           check=check, **more)

    def start_container(self, image, *command, options=()):
        result = self.docker("run", "-d", *self.with_network(options),
                             self.image(image) if image in images.RECIPES else image, *command)
        return Container(self, result.stdout.strip())

    def prisoner(self, warden, image, *command, jail="default", options=(), shim=True):
        """A container with its jail's directory at /run/clawrden, that does nothing (needs `sleep`)
        unless a command is given; `shim`: with the shim at /usr/lib/clawrden-shim/."""
        mounts = ["-v", f"{os.path.dirname(warden.socket_path(jail))}:/run/clawrden:ro"]
        if shim:
            mounts += ["-v", f"{harness.program('clawrden-shim')}:/usr/lib/clawrden-shim/clawrden-shim:ro"]
        options = ["--user", "1000:1000", *mounts, *options]
        return self.start_container(image, *(command or ("sleep", "600")), options=options)

    def tidy(self):
        """Removes all containers, volumes and networks that are there."""
        listed = self.docker("ps", "-aq").stdout.split()
        if listed:
            self.docker("rm", "-fv", *listed, check=False)
        for kind, *filters in self.KINDS:
            names = self.docker(kind, "ls", "-q", *filters).stdout.split()
            if names:
                self.docker(kind, "rm", *names, check=False)


def prepare(names):
    """Makes what the cache lacks, two at a time; those that others are made from come first."""
    wanted = list(names or images.RECIPES)
    for name in list(wanted):
        wanted += [parent for parent in images.RECIPES[name][2] if parent not in wanted]
    first = [name for name in wanted if not images.RECIPES[name][2]]
    rest = [name for name in wanted if images.RECIPES[name][2]]
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for group in (first, rest):
            for name, _ in zip(group, pool.map(images.ensure, group)):
                print(f"engine: {name} is there ({time.monotonic() - began:.0f} s)", flush=True)


def deploy():
    """The images of deploy/docker as an operator builds them: the warden's from source."""
    engine = Engine()
    try:
        engine.start()
        engine.image("debian:bookworm")
        for name in ("warden", "prisoner", "engine-proxy"):
            engine.docker("build", "-f", f"{harness.ROOT}/deploy/docker/{name}/Dockerfile", "-t",
                          f"clawrden-{name}", harness.ROOT, timeout=2400)
            print(f"engine: clawrden-{name} is built", flush=True)
        print(engine.run("clawrden-warden", "--version",
                         options=["--entrypoint", "/usr/local/sbin/clawrden-warden"], check=True).stdout)
    finally:
        engine.stop()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # temporary directories go
    if sys.argv[1:] != ["deploy"] and (sys.argv[1:2] != ["prepare"] or any(
            name not in images.RECIPES for name in sys.argv[2:])):
        sys.exit(f"usage: engine.py deploy | prepare [{'|'.join(images.RECIPES)}]...")
    if missing():
        print(f"engine: no base images: {missing()}")
        sys.exit(0)  # the tests say so too, each by being skipped
    if sys.argv[1] == "deploy":
        deploy()
    else:
        prepare(sys.argv[2:])
