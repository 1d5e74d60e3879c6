"""deploy/docker with Debian's docker-compose: what is started has what it needs and no more."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile

import pytest
import yaml

import harness
import images

DEPLOY = os.path.join(harness.ROOT, "deploy", "docker")
COMPOSE = os.path.join(DEPLOY, "docker-compose.yml")
ENGINE = os.path.join(DEPLOY, "docker-compose.engine.yml")
CAPABILITIES = {"SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "SETUID", "SETGID", "SETPCAP", "KILL", "CHOWN",
                "FOWNER", "DAC_OVERRIDE"}

# The last stage of the warden's Dockerfile, with the programs that are tested. It has no perl of its
# own: what answers as perl is the prisoner's.
PROGRAMS = """FROM test:runtime
RUN rm /usr/bin/perl*
COPY clawrden-warden /usr/local/sbin/
COPY clawrden-cli clawrden-shim /usr/local/bin/
RUN clawrden-warden --version && clawrden-cli --version && clawrden-shim --version
"""


def built(engine, name, service, *options, copied=()):
    """An image of deploy/docker that needs the archive: made when anything that it is made from has
    changed, and kept in the cache beside the bases."""
    engine.image("debian:bookworm")
    sources = [os.path.join(DEPLOY, service, "Dockerfile"), *(os.path.join(harness.ROOT, path) for path in copied)]
    digest = hashlib.sha256(repr((images.key("debian:bookworm"), options)).encode())
    for source in sources:
        with open(source, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    stem = "deploy_" + service
    path = os.path.join(images.CACHE, f"{stem}-{digest.hexdigest()[:12]}.tar")
    if os.path.exists(path):
        engine.docker("load", "-q", "-i", path)
        return
    engine.docker("build", "-q", "-f", sources[0], *options, "-t", name, harness.ROOT, timeout=600)
    engine.docker("save", "-o", f"{path}.{os.getpid()}", name)
    for old in os.listdir(images.CACHE):
        if old.startswith(stem + "-") and old.endswith(".tar"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(images.CACHE, old))
    os.rename(f"{path}.{os.getpid()}", path)


@pytest.fixture(scope="module")
def warden_image(session_engine):
    """The image that the compose file runs, but for its being built from source (which
    `scripts/run-tests deploy` does: it takes minutes)."""
    built(session_engine, "test:runtime", "warden", "--target", "runtime",
          copied=("deploy/docker/warden/start", "scripts/install-clawrden.sh", "scripts/harden-container.sh"))
    session_engine.build("clawrden-warden", PROGRAMS,
                         {name: harness.program(name) for name in
                          ("clawrden-warden", "clawrden-cli", "clawrden-shim")})
    session_engine.docker("build", "-q", "-f", f"{DEPLOY}/prisoner/Dockerfile", "-t", "clawrden-prisoner",
                          harness.ROOT, timeout=600)
    return "clawrden-warden"


class Project:
    def __init__(self, engine, *more):
        self.engine, self.files = engine, (COMPOSE, *more)
        self.run_dir = tempfile.mkdtemp(prefix="clwd-run-", dir="/tmp")
        os.chmod(self.run_dir, 0o755)
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.name = "clwd" + os.path.basename(self.run_dir)[-8:].replace("_", "x")

    def compose(self, *arguments, check=True, profiles=(), timeout=240):
        files = [word for file in self.files for word in ("-f", file)]
        options = [word for profile in profiles for word in ("--profile", profile)]
        process = subprocess.Popen(
            ["/usr/bin/docker-compose", "-p", self.name, *files, *options, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            env={**self.engine.environment(), "CLAWRDEN_RUN": self.run_dir, "COMPOSE_HTTP_TIMEOUT": "200",
                 "CLAWRDEN_PUBLISH": f"127.0.0.1:{self.port}", "CLAWRDEN_ENGINE_SOCKET": self.engine.socket})
        result = harness.finish(process, timeout=timeout)
        assert not check or result.code == 0, result
        return result

    def up(self, *arguments, **more):
        try:
            return self.compose("up", "-d", *arguments, **more)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('logs', check=False).stdout}") from None

    def container(self, service):
        return f"{self.name}_{service}_1"

    def inspect(self, service):
        return json.loads(self.engine.docker("inspect", self.container(service)).out)[0]

    def exec(self, service, *command, user=None):
        options = ["--user", user] if user else []
        return self.engine.docker("exec", *options, self.container(service), *command, check=False)

    def journal(self):
        text = self.exec("warden", "cat", "/var/log/clawrden/audit.log").stdout
        return [json.loads(line) for line in text.splitlines()]

    def down(self):
        self.compose("down", "-v", "--timeout", "10", check=False, profiles=["multi-prisoner"])
        shutil.rmtree(self.run_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def project(session_engine, warden_image):  # pylint: disable=unused-argument
    """All prisoners, once for the tests below."""
    made = Project(session_engine)
    try:
        made.up(profiles=["multi-prisoner"])
        yield made
    finally:
        made.down()


def test_the_warden_has_what_it_needs_and_no_more(project):
    found = project.inspect("warden")
    host = found["HostConfig"]
    assert not host["Privileged"]
    assert host["CapDrop"] == ["ALL"] and set(host["CapAdd"]) == CAPABILITIES
    assert host["PidMode"] == "host" and host["ReadonlyRootfs"]
    assert not any("docker.sock" in mount["Source"] for mount in found["Mounts"])
    assert found["State"]["Health"]["Status"] == "healthy"


def test_a_prisoner_has_nothing_but_its_jail_and_the_workspace(project):
    for service in ("agent", "agent-2", "agent-3"):
        found = project.inspect(service)
        host = found["HostConfig"]
        assert host["NetworkMode"] == "none" and host["CapDrop"] == ["ALL"] and not host["CapAdd"]
        assert host["ReadonlyRootfs"] and "no-new-privileges:true" in host["SecurityOpt"]
        assert host["PidMode"] == "" and found["Config"]["User"] == "1000:1000"
        mounts = {mount["Destination"]: mount for mount in found["Mounts"]}
        assert set(mounts) == {"/run/clawrden", "/app"}
        assert mounts["/run/clawrden"]["Source"] == f"{project.run_dir}/jails/{service}"
        assert not mounts["/run/clawrden"]["RW"]


def test_a_prisoner_sees_no_network_no_other_jail_and_no_operators_socket(project):
    script = """ls /sys/class/net; find / -xdev -name '*.sock' 2>/dev/null; find /run -name '*.sock'
    cat /proc/self/status | grep -E 'CapEff|CapBnd|NoNewPrivs'; touch /x /run/clawrden/x 2>&1; touch /app/it /tmp/it"""
    result = project.exec("agent", "sh", "-c", script)
    words = result.stdout.split()
    assert [word for word in words if word.endswith(".sock")] == ["/run/clawrden/warden.sock"], result
    assert words[0] == "lo" and words[1].startswith("/run"), result
    assert re.search(r"CapEff:\s+0{16}\nCapBnd:\s+0{16}\nNoNewPrivs:\s+1", result.stdout), result
    assert result.stdout.count("Read-only file system") == 2 and result.code == 0, result
    # The workspace is one for all.
    assert project.exec("agent-2", "ls", "/app").stdout == "it\n"


def test_each_prisoner_is_judged_as_its_own_jail(project):
    for service in ("agent", "agent-2"):
        result = project.exec(service, "git", "push", "--force")
        assert result.code != 0 and "clawrden: " in result.stderr, result
    records = [record for record in project.journal() if record.get("command", "").endswith("git")]
    assert {record["jail"] for record in records} >= {"agent", "agent-2"}, records


def test_what_is_allowed_runs_in_the_prisoner(project):
    """By the mirror, from within the warden's container, which has no perl."""
    assert project.exec("warden", "perl", "--version").code != 0
    for service in ("agent", "agent-2"):
        for line in (["perl", "--version"], ["/usr/bin/perl", "--version"]):
            result = project.exec(service, *line)
            assert result.code == 0 and "This is perl" in result.stdout, (service, result)
    ended = [record for record in project.journal()
             if record["event"] == "ended" and record.get("command", "").endswith("perl")]
    assert [record["jail"] for record in ended] == ["agent", "agent", "agent-2", "agent-2"], ended
    # Whoever is not admitted does not have it.
    result = project.exec("agent", "/usr/lib/clawrden/originals/perl.original", "--version")
    assert result.code in (126, 127) and "This is perl" not in result.stdout, result


def test_the_certificate_is_the_one_whose_fingerprint_was_printed(project):
    log = project.engine.docker("logs", project.container("warden")).stdout
    printed = re.search(r"fingerprint: sha256 Fingerprint=([0-9A-F:]+)", log)
    assert printed, log
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", project.port), 20) as plain:
        with context.wrap_socket(plain) as secure:
            digest = hashlib.sha256(secure.getpeercert(True)).hexdigest()
    assert digest == printed[1].replace(":", "").lower()
    # By that certificate, and by its name, it can be spoken to.
    pem = project.exec("warden", "cat", "/var/lib/clawrden/tls/cert.pem").stdout
    connection = http.client.HTTPSConnection("localhost", project.port, timeout=20,
                                             context=ssl.create_default_context(cadata=pem))
    connection.request("GET", "/healthz")
    assert json.loads(connection.getresponse().read())
    connection.request("GET", "/api/status")
    assert connection.getresponse().status == 401
    connection.close()


def test_a_prisoner_survives_a_restart_of_the_warden(session_engine, project):
    """Its jail's directory is mounted: it must be the same one after the restart, and so the
    certificate and the journal."""
    before = project.journal()
    session_engine.docker("restart", project.container("warden"))
    harness.wait_for(lambda: project.exec("warden", "clawrden-cli", "status").code == 0, 60, "the warden")
    result = project.exec("agent", "git", "push", "--force")
    assert "cannot reach" not in result.stderr and "clawrden: " in result.stderr, result
    assert "This is perl" in project.exec("agent", "perl", "--version").stdout
    assert project.journal()[:len(before)] == before
    logs = session_engine.docker("logs", project.container("warden")).stdout
    assert logs.count("made a certificate") == 1 and logs.count("fingerprint: ") == 2
    assert project.exec("warden", "clawrden-cli", "audit", "verify", "/var/log/clawrden/audit.log").code == 0


def test_without_the_profile_there_is_one_prisoner():
    with open(COMPOSE, encoding="utf-8") as file:
        services = yaml.safe_load(file)["services"]
    assert {name: service.get("profiles") for name, service in services.items()} == {
        "warden": None, "agent": None, "agent-2": ["multi-prisoner"], "agent-3": ["multi-prisoner"]}


def test_the_proxy_passes_on_what_is_listed(session_engine):
    """Against the real engine, by raw requests at the proxy's socket."""
    built(session_engine, "clawrden-engine-proxy", "engine-proxy",
          copied=("deploy/docker/engine-proxy/haproxy.cfg",))
    for allow in ("read", "ghost"):
        place = tempfile.mkdtemp(prefix="clwd-proxy-", dir="/tmp")
        proxy = session_engine.start_container(
            "clawrden-engine-proxy", options=["--cap-drop", "ALL", "--read-only", "-e", f"ALLOW={allow}",
                                              "-v", f"{session_engine.socket}:/var/run/docker.sock",
                                              "-v", f"{place}:/run/engine"])
        path = f"{place}/docker.sock"
        harness.wait_for(lambda path=path: os.path.exists(path), what="the proxy's socket")
        try:
            check_proxy(path, proxy.id, allow)
        finally:
            proxy.remove()
            shutil.rmtree(place)


def ask(path, method, target, body=b"{}"):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(path)
        connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n"
                           f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        answer = b""
        while b"\r\n" not in answer:
            piece = connection.recv(4096)
            if not piece:
                break
            answer += piece
    return int(answer.split()[1])


def check_proxy(path, identifier, allow):
    for target in ("/_ping", "/version", "/v1.41/containers/json", f"/v1.41/containers/{identifier}/json",
                   "/v1.41/images/debian:bookworm/json", "/v1.41/events?until=1"):
        assert ask(path, "GET", target) == 200, target
    for method, target in (
            ("POST", "/v1.41/images/create?fromImage=x"), ("POST", "/v1.41/build"), ("POST", "/commit"),
            ("POST", f"/containers/{identifier}/exec"), ("POST", f"/v1.41/containers/{identifier}/update"),
            ("POST", "/v1.41/volumes/create"), ("POST", "/swarm/init"), ("GET", "/secrets"),
            ("POST", "/v1.41/v1.41/containers/create"), ("POST", "/v1.41/containers/json"),
            ("DELETE", "/v1.41/images/debian:bookworm"), ("PUT", f"/containers/{identifier}/archive?path=/"),
            ("GET", f"/containers/{identifier}/../../secrets"), ("GET", "/%63ontainers/json"),
            ("GET", "//containers/json"), ("GET", f"/containers/{identifier}/export"),
            ("POST", "/containers/prune"), ("GET", "/containers/json/../../exec/x/json")):
        assert ask(path, method, target) == 403, (method, target)
    making = {("POST", "/v1.41/containers/create"): 400, ("POST", "/containers/" + "0" * 64 + "/start"): 404,
              ("DELETE", "/v1.41/containers/" + "0" * 64): 404}
    for (method, target), code in making.items():
        assert ask(path, method, target) == (code if allow == "ghost" else 403), (allow, method, target)


def test_the_variant_with_the_engine_gives_the_warden_no_socket_of_it(session_engine):
    project = Project(session_engine, ENGINE)
    described = project.compose("config").stdout
    shutil.rmtree(project.run_dir)
    warden = described[described.index("\n  warden:"):]
    assert "unix:///run/engine/docker.sock" in warden and "/var/run/docker.sock" not in warden
    assert described.count("/var/run/docker.sock") == 1 and "network_mode: none" in described
