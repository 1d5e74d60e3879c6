"""The validation checklist, its security part: what a prisoner that means harm comes to.

docs/docker-testing-guide.md has each check with the commands to make it by hand.
"""

import hashlib
import json
import os
import stat

import pytest

import harness
from checklist import LACKING, Prison, marked
from test_harden import ORIGINALS


@pytest.fixture(scope="module")
def prison(session_engine):
    made = Prison(session_engine)
    yield made
    made.close()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def admitted(prison, script, *arguments):
    """What an admitted command prints: bash, allowed by the policy, run by the warden."""
    result = prison.main.run("bash", "-c", script, "bash", *arguments)
    assert result.code == 0, result
    return result.stdout


def test_security_01_network_isolation(prison):
    """Neither the prisoner nor what the warden runs for it has a network."""
    port = int(prison.warden.url.rpartition(":")[2])
    interfaces = "while read line; do case $line in *:*) echo ${line%%:*};; esac; done < /proc/net/dev"
    for shell in ("bash", "/bin/dash"):  # the first is admitted, the second the prisoner's own
        assert prison.main.run(shell, "-c", interfaces).stdout.split() == ["lo"], shell
    attempt = ("import socket\nfound = []\n"
               f"for address in (('1.1.1.1', 53), ('10.0.0.1', 80), ('127.0.0.1', {port})):\n"
               "    try: socket.create_connection(address, 3); found.append('connected')\n"
               "    except OSError as error: found.append(error.errno)\nprint(json.dumps(found))")
    assert prison.main.python(attempt) == [101, 101, 111]  # unreachable, unreachable, refused
    result = prison.main.run("bash", "-c", f"echo >/dev/tcp/127.0.0.1/{port}; echo >/dev/tcp/1.1.1.1/53")
    assert result.code != 0 and "refused" in result.stderr and "unreachable" in result.stderr, result
    # The host's abstract sockets are another network namespace's as well.
    assert prison.main.python("print(json.dumps(open('/proc/net/unix').read().count('@')))") == 0


READ = """
found = {}
loader = "/lib64/ld-linux-x86-64.so.2"
open("/tmp/none", "w").close()
def attempt(name, what):
    try:
        what()
        found[name] = "done"
    except OSError as error:
        found[name] = error.errno
for line in sys.argv[1:]:
    original, path = line.split("\\t")
    attempt("open " + original, lambda: open(original))
    attempt("run " + original, lambda: os.posix_spawn(original, [original], {}))
    attempt("link " + original, lambda: os.link(original, "/tmp/mine"))
    if subprocess.run([loader, original], capture_output=True).returncode == 0:
        found["loader " + original] = "done"
    attempt("write " + path, lambda: open(path, "r+b"))
    attempt("remove " + path, lambda: os.unlink(path))
    attempt("replace " + path, lambda: os.rename("/tmp/none", path))
    attempt("chmod " + path, lambda: os.chmod(path, 0o777))
attempt("list", lambda: os.listdir("/usr/lib/clawrden"))
attempt("beside", lambda: open("/usr/local/sbin/new", "w"))
print(json.dumps(found))
"""


def test_security_02_binary_locking(prison):
    manifest = prison.main.manifest()
    assert {path for _, path in manifest} >= {"/usr/bin/bash", "/usr/bin/id", "/usr/local/bin/pip"}
    shim = digest(harness.program("clawrden-shim"))
    originals = set()
    for original, path in manifest:
        assert digest(prison.main.host_path(path)) == shim, path
        originals.add(digest(prison.main.host_path(f"{ORIGINALS}/{original}")))
    assert shim not in originals
    found = prison.main.python(READ, *[f"{ORIGINALS}/{original}\t{path}" for original, path in manifest])
    assert len(found) == 2 + 4 * len(manifest) + 3 * len({original for original, _ in manifest}), found
    # Not permitted, permission denied, another file system, a read-only one.
    assert not [what for what, answer in found.items() if answer not in (1, 13, 18, 30)], found
    # No copy is left anywhere else.
    copies = prison.main.python("""
import hashlib
found = []
for top in ("/usr", "/bin", "/sbin", "/lib", "/opt", "/etc", "/var", "/home", "/root", "/srv"):
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            try:
                if not os.path.islink(path) and os.path.isfile(path):
                    if hashlib.sha256(open(path, "rb").read()).hexdigest() in sys.argv[1:]:
                        found.append(path)
            except OSError: pass
print(json.dumps(found))""", *originals)
    assert copies == []


def test_security_03_absolute_path(prison):
    """A path in place of a name, another argv[0], an empty environment: intercepted all the same."""
    paths = [path for path in prison.main.locked_paths() if os.path.basename(path) not in LACKING]
    codes = prison.main.python("""
def call(path, n, **more):
    return subprocess.run([more.pop("name", path), f"intercept-{n}"], executable=path, capture_output=True, **more)
print(json.dumps([[call(path, f"plain-{n}").returncode, call(path, f"bare-{n}", env={}).returncode,
                   call(path, f"named-{n}", name="innocent").returncode]
                  for n, path in enumerate(sys.argv[1:])]))""", *paths)
    for path, answers in zip(paths, codes):
        assert set(answers) <= {126, 127} and answers[:2] == [126, 126], (path, answers)
    judged = prison.warden.journal(event="denied", rule="interception")
    for number in range(len(paths)):
        for how in ("plain", "bare"):
            assert len(marked(judged, f"intercept-{how}-{number}")) == 1, (paths[number], how)
    assert not [record for record in prison.warden.journal(event="judged")
                if record["argv"][-1].startswith("intercept")]  # judged is what is admitted


TRAVERSAL = """
os.symlink("/usr/bin/id", "/tmp/id")
os.symlink("/usr/bin", "/tmp/there")
os.chdir("/usr/lib")
paths = ["/usr/bin/../bin/id", "/usr/./bin//id", "/usr/local/sbin/../../bin/id", "../bin/id", "/tmp/id",
         "/tmp/there/id", "/proc/self/root/usr/bin/id", "/proc/1/root/usr/bin/id", "/proc/self/cwd/../bin/id",
         "/bin/id", "/dev/fd/9/id"]
os.dup2(os.open("/usr/bin", os.O_PATH), 9)
found = []
for n, path in enumerate(paths):
    try:
        done = subprocess.run([path, f"intercept-{n}"], capture_output=True, pass_fds=[9])
        found.append([path, done.returncode, done.stdout.decode()])
    except OSError as error:
        found.append([path, -error.errno, ""])
shim = "/usr/lib/clawrden-shim/clawrden-shim"
for path in ("../bin/id", "../../usr/lib/clawrden/originals/id.original", "/usr/lib/clawrden/originals/id.original"):
    done = subprocess.run([shim, path, "-u"], capture_output=True)
    found.append(["shim " + path, done.returncode, done.stdout.decode()])
os.symlink("/etc", "/tmp/innocent")
for place in ("/etc", "/tmp/innocent", "/usr/../etc", "/proc/self/root/etc", "/tmp/innocent/../etc/."):
    done = subprocess.run(["sort", "passwd"], cwd=place, capture_output=True)
    found.append(["cwd " + place, done.returncode, done.stdout.decode()])
print(json.dumps(found))
"""


def test_security_04_path_traversal(prison):
    found = prison.main.python(TRAVERSAL)
    judged = prison.warden.journal(event="denied", rule="interception", container=prison.main.id)
    for number, (path, code, out) in enumerate(found[:11]):
        assert out == "" and (code == 126 or code == -13), (path, code, out)
        if code == 126:
            assert marked(judged, f"intercept-{number}"), path
    assert sum(code == 126 for _, code, _ in found[:11]) >= 9, found
    for what, code, out in found[11:]:
        if what == "shim ../bin/id":
            assert (code, out) == (0, "1000\n"), found  # by its own path it is id, which is allowed
        else:
            assert code in (126, 127) and out == "", (what, code, out)
    denied = prison.warden.journal(event="denied", rule="not-in-etc")
    assert len(denied) == 5 and {record["cwd"] for record in denied} == {"/etc"}


def test_security_05_environment_scrubbing(prison):
    hostile = {"LD_PRELOAD": "/tmp/evil.so", "LD_LIBRARY_PATH": "/tmp", "BASH_ENV": "/tmp/evil.sh",
               "ENV": "/tmp/evil.sh",
               "PYTHONPATH": "/tmp", "PYTHONSTARTUP": "/tmp/evil.py", "PERL5OPT": "-Mevil",
               "NODE_OPTIONS": "--require=/tmp/e", "GIT_SSH_COMMAND": "/tmp/evil.sh", "PAGER": "/tmp/evil.sh", "IFS": "x",
               "PS4": "$(/tmp/evil.sh)",
               "BASH_FUNC_id%%": "() { echo evil; }", "AWS_SECRET_ACCESS_KEY": "secret", "DOCKER_HOST": "tcp://evil",
               "SSH_AUTH_SOCK": "/tmp/agent", "GCONV_PATH": "/tmp", "MY_OWN": "1"}
    harmless = {"HOME": "/app", "LANG": "C.UTF-8", "TERM": "dumb", "PATH": "/usr/local/sbin:/usr/bin:/bin"}
    found = prison.main.python("""
open("/tmp/evil.sh", "w").write("echo evil\\n")
os.chmod("/tmp/evil.sh", 0o755)
env = json.loads(sys.argv[1])
print(json.dumps([subprocess.run(line, env=env, capture_output=True, text=True).stdout
                  for line in (["env"], ["bash", "-c", "id -u; set -x; true"])]))""",
                               json.dumps({**hostile, **harmless}))
    passed = dict(line.split("=", 1) for line in found[0].splitlines())
    # Some get a harmless value (PAGER=cat); none keeps its own.
    assert not [name for name, value in hostile.items() if passed.get(name) == value], passed
    assert not {"LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "BASH_FUNC_id%%", "MY_OWN"} & set(passed)
    assert {name: passed[name] for name in harmless} == harmless
    assert found[1] == "1000\n", found


def test_security_06_uid_mapping(prison):
    """What is admitted runs as the caller, in the container and on the host, and as nobody else."""
    for options, wanted in (([], [1000, 1000]), (["--user", "1234:4321"], [1234, 4321])):
        result = prison.main.run("bash", "-c", "echo $(id -u) $(id -ru) $(id -g) $(id -rg) $(id -G)", options=options)
        assert [int(word) for word in result.stdout.split()] == [wanted[0]] * 2 + [wanted[1]] * 3, result
    process = prison.main.start("bash", "-c", "echo mine > /app/mine; exec sleep 6543")
    pid = harness.wait_for(lambda: harness.processes_with("6543"), what="the command")
    for number in pid:
        with open(f"/proc/{number}/status", encoding="utf-8") as file:
            lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        if lines["Name"] == "sleep":
            assert lines["Uid"].split() == lines["Gid"].split() == ["1000"] * 4
    mine = os.stat(os.path.join(prison.workspace, "mine"))
    assert (mine.st_uid, mine.st_gid) == (1000, 1000)
    process.kill()
    harness.finish(process)
    for number in pid:
        harness.kill_quietly(number)
    records = prison.warden.journal(event="judged", command="bash")
    assert {(record["uid"], record["gid"]) for record in records} == {(1000, 1000), (1234, 4321)}


FORGED = """
import socket, struct, threading
sys.path.insert(0, "/tests")
import harness
found = {}
path = "/run/clawrden/warden.sock"

def ask(raw, argv, **more):
    try:
        raw.ask(argv, **more)
        return raw.answer()[:2]
    except OSError as error:
        return error.errno

found["honest"] = ask(harness.Raw(path), ["id"])
raw = harness.Raw(path)
forged = [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("iII", 1, 0, 0))]
try:
    raw.socket.sendmsg([harness.request(["id"])], forged)
    found["credentials"] = raw.answer()[:2]
except OSError as error:
    found["credentials"] = error.errno

raw = harness.Raw(path)                      # whoever connected is not who asks
found["another process"] = harness.in_child(ask, raw, ["id"], uid=1000)
found["in its words"] = ask(harness.Raw(path), ["env", "A=1"], env=[
    "UID=0", "USER=root", "CLAWRDEN_UID=0", "CLAWRDEN_JAIL=main", "CLAWRDEN_SOCKET=/run/clawrden/api.sock",
    "PATH=/usr/bin"])
reader, writer = os.pipe()                   # it connects, asks, and is gone
pid = os.fork()
if pid == 0:
    raw = harness.Raw(path)
    raw.send(harness.request(["id"])[:20])
    os.write(writer, b"x")
    os._exit(0)
os.read(reader, 1)
os.waitpid(pid, 0)
print(json.dumps(found))
"""


def test_security_07_forged_identity(prison):
    """Who asks is what the kernel says; in jail "other", which may not run env."""
    before = len(prison.warden.journal(event="started"))
    found = prison.other.python(FORGED)
    assert found["honest"] == [0, 0], found
    assert found["credentials"] == 1, found  # the kernel: not permitted
    # The first who sends is not the one who connected.
    assert found["another process"] not in ([0, 0], [0, 1]), found
    assert found["in its words"] == [1, 126], found
    judged = prison.warden.journal(event="denied", rule="not-for-others")
    assert {(record["uid"], record["jail"], record["container"]) for record in judged} == {
        (1000, "other", prison.other.id)}
    assert len(prison.warden.journal(event="started")) == before + 1


SOCKETS = """
found = {"sockets": [], "changed": []}
for directory, _, names in os.walk("/"):
    if directory.startswith(("/proc/", "/sys/")):
        continue
    for name in names:
        try:
            if os.lstat(os.path.join(directory, name)).st_mode & 0o170000 == 0o140000:
                found["sockets"].append(os.path.join(directory, name))
        except OSError: pass
place = "/run/clawrden/"
for what in (lambda: os.unlink(place + "warden.sock"), lambda: os.rename(place + "bin", place + "x"),
             lambda: open(place + "new", "w"), lambda: os.chmod(place + "warden.sock", 0o777),
             lambda: os.symlink("/bin/sh", place + "bin/new"), lambda: open(place + "clawrden-shim", "r+b"),
             lambda: os.rmdir(place)):
    try:
        what()
        found["changed"].append("done")
    except OSError as error:
        found["changed"].append(error.errno)
found["there"] = sorted(os.listdir(place))
print(json.dumps(found))
"""


def test_security_08_socket_permissions_and_the_api_socket(prison):
    found = prison.main.python(SOCKETS)
    assert found["sockets"] == ["/run/clawrden/warden.sock"]
    assert len(found["changed"]) == 7 and set(found["changed"]) <= {13, 30}, found  # a read-only file system
    assert found["there"] == ["bin", "clawrden-launcher", "clawrden-shim", "warden.sock"]
    # On the host: prisoners may connect to their own jail's, operators alone to the api's.
    directory = os.path.dirname(prison.warden.socket_path("main"))
    assert os.stat(directory).st_uid == 0 and stat.S_IMODE(os.stat(directory).st_mode) == 0o755
    socket = os.stat(prison.warden.socket_path("main"))
    assert socket.st_uid == 0 and stat.S_IMODE(socket.st_mode) == 0o666
    api = os.stat(prison.warden.api_socket)
    assert stat.S_ISSOCK(api.st_mode) and stat.S_IMODE(api.st_mode) & 0o007 == 0
    # Even with the api's directory mounted, a prisoner is not let in.
    peeping = prison.prisoner("other", options=["-v", f"{os.path.dirname(prison.warden.api_socket)}:/api:ro"])
    answer = peeping.python("import socket\nclient = socket.socket(socket.AF_UNIX)\n"
                            "try:\n    client.connect('/api/api.sock'); print(json.dumps('connected'))\n"
                            "except OSError as error: print(json.dumps(error.errno))")
    assert answer == 13


def test_security_09_no_engine_socket_in_the_prisoner(prison):
    names = prison.main.python("print(json.dumps([name for place in ('/run', '/var/run', '/tmp', '/app', '/')\n"
                               "                  for name in os.listdir(place)]))")
    assert not [name for name in names if name.startswith(("docker", "containerd", "podman", "crio"))]
    mounts = prison.main.inspect_mounts()
    assert not [mount for mount in mounts if "sock" in mount["Source"] or mount["Source"] in ("/", "/run", "/var/run")]
    script = ("for file in /proc/self/fd/*; do readlink $file; done; "
              "for file in /run/docker.sock /var/run/docker.sock $1; do [ -e $file ] && echo $file; done; echo end")
    assert "sock" not in admitted(prison, script, prison.engine.socket)
    # No process of the warden holds the engine's socket either: it was started without --engine.
    assert "engine" not in prison.warden.processes()


def test_security_10_no_host_fd_or_host_binary(prison):
    """What is admitted has the caller's three descriptors, and the container's own files mapped."""
    process = prison.main.start("sleep", "8765")
    original = digest(prison.main.host_path(f"{ORIGINALS}/sleep.original"))  # (the shim's process is not it)
    found = harness.wait_for(lambda: [pid for pid in harness.processes_with("8765")
                                      if digest(f"/proc/{pid}/exe") == original], what="the command")
    assert len(found) == 1 and f"docker/{prison.main.id}" in read(f"/proc/{found[0]}/cgroup")
    pid = found[0]
    descriptors = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    assert set(descriptors) == {"0", "1", "2"}, descriptors
    host = os.stat("/").st_dev
    for line in read(f"/proc/{pid}/maps").splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[5].startswith("/"):
            inside = os.stat(prison.main.host_path(fields[5]))
            assert "memfd" not in fields[5] and "clawrden" not in fields[5].replace("/usr/lib/clawrden/originals/", "")
            assert os.makedev(*(int(part, 16) for part in fields[3].split(":"))) != host or inside.st_dev == host
    for name in ("mnt", "pid", "net", "ipc", "uts"):
        same = os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/{prison.main.pid}/ns/{name}")
        assert same or name == "mnt", name  # its mounts are the container's, and the originals at their places
        assert os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"), name
    assert os.stat(f"/proc/{pid}/root/").st_ino == os.stat(prison.main.host_path("/")).st_ino
    for path in (prison.warden.base, harness.ROOT, "/var/lib/docker", prison.engine.place):
        assert not os.path.exists(f"/proc/{pid}/root{path}"), path
    harness.kill_quietly(pid)
    harness.finish(process)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def test_security_11_no_privilege_through_setuid(prison):
    for path in ("/opt/rootwho", "/usr/lib/clawrden/originals/rootid.original"):
        mode = os.stat(prison.main.host_path(path))
        assert mode.st_uid == 0 and mode.st_mode & stat.S_ISUID, path
    assert not os.stat(prison.main.host_path("/usr/local/bin/rootid")).st_mode & stat.S_ISUID  # the shim there
    # Locked and admitted; from an admitted command; and by the prisoner itself.
    assert prison.main.run("rootid", "-u").stdout == "1000\n"
    assert admitted(prison, "/usr/local/bin/rootid -u; rootid -ru").split() == ["1000", "1000"]
    assert prison.main.run("/opt/rootwho").stdout == "prisoner\n"
    status = "while read -r name value; do case $name in CapInh:|CapPrm:|CapEff:|CapBnd:|CapAmb:|NoNewPrivs:|Seccomp:) "
    status += "echo $name$value;; esac; done < /proc/$$/status"
    facts = admitted(prison, status).split()
    assert facts == prison.main.run("/bin/dash", "-c", status).stdout.split()
    assert {line.partition(":")[2] for line in facts if line.startswith("Cap")} == {"0" * 16}
    assert "NoNewPrivs:1" in facts and "Seccomp:2" in facts


def test_security_12_journal_out_of_reach(prison):
    """Neither read nor written nor forged: not by files, and not by the words of a command."""
    warden = prison.warden
    paths = [warden.audit, os.path.dirname(warden.audit), os.path.join(warden.state_dir, "journal.head"), warden.base]
    for shell in ("bash", "/bin/dash"):
        script = ("for path; do for top in '' /proc/1/root /proc/self/root; do [ -e $top$path ] && echo $path; "
                  "done; done; echo end")
        assert prison.main.run(shell, "-c", script, shell, *paths).stdout == "end\n"
    before = len(warden.lines())
    forged = 'x"}\n{"seq":1,"ts":"2026-01-01T00:00:00.000000Z","event":"started","request":"FORGED","argv":["x'
    assert prison.main.run("id", forged + "\r\x1b[2J").code == 1
    prison.ended(1, command="id")
    lines = warden.lines()
    assert len(lines) - before >= 3 and not warden.journal(request="FORGED")
    assert all(line.startswith(b'{"seq":') for line in lines)
    mode = os.stat(warden.audit)
    assert mode.st_uid == 0 and stat.S_IMODE(mode.st_mode) & 0o027 == 0
    assert warden.verify() >= len(lines)
    # A changed byte is found.
    copy = os.path.join(warden.base, "changed")
    with open(copy, "wb") as file:
        file.write(b"\n".join(lines).replace(b'"uid":1000', b'"uid":1001', 1) + b"\n")
    result = warden.cli("audit", "verify", copy)
    assert result.code == 1 and "changed" in result.stdout + result.stderr, result
