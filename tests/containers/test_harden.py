"""Hardened images: of every base, with the locked programs out of the reach of uid 1000, and given
back to a command that is allowed. docs/hardening.md is what is tested here."""

import contextlib
import ctypes
import functools
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile

import pytest

import harness
import images

SCRIPTS = os.path.join(harness.ROOT, "scripts")
# image: (what is locked in it, the files that must be out of reach by then)
BASES = {
    "debian:bookworm": ("perl,awk,git", ["/usr/bin/perl", "/usr/bin/perl5.36.0", "/usr/bin/mawk"]),
    "debian:trixie": ("perl,awk,git", ["/usr/bin/perl", "/usr/bin/mawk"]),
    "debian:bullseye": ("perl,awk,git", ["/usr/bin/perl", "/usr/bin/perl5.32.1", "/usr/bin/mawk"]),
    "ubuntu:shaped": ("bash,git", ["/usr/bin/bash"]),
    "alpine:shaped": ("wget,git", ["/usr/bin/wget"]),
    "python:3.11-slim": ("pip,python,git", ["/usr/local/bin/python3.11", "/usr/local/bin/pip",
                                            "/usr/local/bin/pip3"]),
    "node:18-slim": ("npm,node,git", ["/usr/local/bin/node",
                                      "/usr/local/lib/node_modules/npm/bin/npm-cli.js"]),
    "node:18-ash": ("node", ["/usr/local/bin/node"]),
    "distroless:shaped": ("python,git", ["/usr/local/bin/python3.11"]),
    "scratch:static": ("tool,git", ["/bin/tool"]),
}
NO_SHELL = ("distroless:shaped", "scratch:static")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/bin:/bin"
ORIGINALS = "/usr/lib/clawrden/originals"


def harden(engine, base, output, locked, *options, script="harden-container.sh"):
    engine.loaded.discard(output)
    process = subprocess.Popen(
        ["sh", os.path.join(SCRIPTS, script), "--base-image", base, "--lock-binaries", locked,
         "--output-image", output, "--shim", harness.program("clawrden-shim"), *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**engine.environment(), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    return harness.finish(process, timeout=240)


@pytest.fixture(scope="session")
def hardened(session_engine):
    """hardened(base) → the name of its hardened image; each is made once."""
    made = {}

    def make(base):
        if base not in made:
            session_engine.image(base)
            name = "hardened/" + base
            result = harden(session_engine, base, name, BASES[base][0])
            assert result.code == 0, result.stdout + result.stderr
            assert "is ready" in result.stdout
            made[base] = name
        return made[base]

    return make


def config(engine, image):
    return json.loads(engine.docker("inspect", image).out)[0]["Config"]


def files_in(file):
    """{path: (mode, uid, link, sha256)} of a tar."""
    found = {}
    with tarfile.open(fileobj=file) as tar:
        for member in tar:
            path, link = (os.path.normpath("/" + name) for name in (member.name, member.linkname))
            if member.islnk():
                found[path] = found[link]
                continue
            content = tar.extractfile(member).read() if member.isfile() else b""
            found[path] = (member.mode & 0o7777, member.uid, member.linkname,
                           hashlib.sha256(content).hexdigest())
    return found


def files_of(engine, image):
    """The same of an image, which is not started for it."""
    container = engine.docker("create", image, "/nothing").stdout.strip()
    try:
        return files_in(io.BytesIO(engine.docker("export", container).out))
    finally:
        engine.docker("rm", "-v", container)


@functools.lru_cache(None)
def files_of_base(base):
    with open(images.ensure(base), "rb") as file:
        return files_in(file)


def manifest(engine, image):
    container = engine.docker("create", image, "/nothing").stdout.strip()
    with tarfile.open(fileobj=io.BytesIO(engine.docker(
            "cp", f"{container}:/usr/lib/clawrden/manifest", "-").out)) as tar:
        text = tar.extractfile("manifest").read().decode()
    engine.docker("rm", "-v", container)
    return [tuple(line.split("\t")) for line in text.splitlines()]


def shim_digest():
    with open(harness.program("clawrden-shim"), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@pytest.mark.parametrize("base", BASES)
def test_the_originals_are_behind_a_door_that_only_root_opens(engine, hardened, base):
    before, image = files_of_base(base), hardened(base)
    after = files_of(engine, image)
    locked = BASES[base][1]

    assert after["/usr/lib/clawrden"][:2] == (0o700, 0)
    assert after[ORIGINALS][:2] == (0o700, 0)
    assert after["/usr/lib/clawrden/manifest"][:2] == (0o600, 0)
    for path in locked:
        assert after[path][0] == 0o755 and after[path][3] == shim_digest(), path
    # Nowhere else in the image is a file with the content of one that is locked.
    digests = {before[path][3] for path in locked if not before[path][2]}
    for path, entry in after.items():
        if entry[3] in digests:
            assert path.startswith(ORIGINALS + "/"), path
    kept = {path: original for original, path in manifest(engine, image)}
    assert set(locked) <= set(kept)
    for path, original in kept.items():
        there = after[f"{ORIGINALS}/{original}"]
        assert there[3] != shim_digest()
        if not before[path][2]:  # (a name of busybox was a link)
            assert there[3] == before[path][3] and there[0] == before[path][0], path
    # Everything else is as it was.
    for path, entry in before.items():
        if path not in kept and path not in ("/", "/etc/passwd", "/etc/group", "/etc/profile"):
            assert after[path][:3] == entry[:3], path


ATTACKS = r"""
cd /tmp
for file in FILES; do
    expect() { case $1:$2 in 125:*warden*) echo "shim: $3" ;; *) echo "RAN: $3: $1 $2" ;; esac; }
    out=$("$file" 2>&1 </dev/null); expect $? "$out" "$file"
    name=${file##*/}
    word=$name
    [ "$word" != npm-cli.js ] || word=npm
    out=$("$word" 2>&1 </dev/null); expect $? "$out" "$name by PATH"
    cp "$file" "./$name" && out=$("./$name" 2>&1 </dev/null); expect $? "$out" "a copy of $file"
    ln -s "$file" ./link-$$ && out=$("./link-$$" 2>&1 </dev/null); expect $? "$out" "a link to $file"
    rm -f ./link-$$
    cmp "$file" /usr/lib/clawrden-shim/clawrden-shim && echo "shim: reading $file"
    original=/usr/lib/clawrden/originals/$name.original
    for how in "$original" "cat $original" "cp $original mine" "LOADER $original" \
        "/usr/bin/env $original" "sh $original" "ln $original mine" "ls /usr/lib/clawrden" \
        "/usr/local/sbin/../../lib/clawrden/originals/$name.original" \
        "/proc/self/root$original" "mv $file mine" "rm $file" "chmod 644 $file" "cp /bin/sh $file" \
        "mount --bind $original $file" "ls /usr/lib/clawrden/originals"; do
        $how >/dev/null 2>out </dev/null && echo "RAN: $how" || echo "refused: $how"
    done
done
"""


@pytest.mark.parametrize("base", [base for base in BASES if base not in NO_SHELL])
def test_uid_1000_runs_a_locked_program_in_no_way(engine, hardened, base):
    image = hardened(base)
    loader = "/lib/ld-musl-x86_64.so.1" if base == "alpine:shaped" else "/lib64/ld-linux-x86-64.so.2"
    script = ATTACKS.replace("FILES", " ".join(BASES[base][1])).replace("LOADER", loader)
    result = engine.run(image, "-c", script, options=["--entrypoint", "/bin/sh"])
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("RAN")] == [], result
    assert len([line for line in lines if line.startswith("shim")]) == 5 * len(BASES[base][1]), result
    assert len([line for line in lines if line.startswith("refused")]) == 16 * len(BASES[base][1]), result


@pytest.mark.parametrize("base", NO_SHELL)
def test_without_a_shell_every_path_is_a_shim_too(engine, hardened, base):
    image = hardened(base)
    for path in [*BASES[base][1], "/usr/local/bin/git", "git"]:
        result = engine.run(image, options=["--entrypoint", path])
        assert result.code == 125 and "cannot reach the warden" in result.stderr, result
    result = engine.run(image, options=["--entrypoint", ORIGINALS + "/tool.original"])
    assert "permission denied" in result.stderr.lower() or "no such file" in result.stderr, result
    # … and the image's own start is intercepted.
    assert engine.run(image).code == 125


@pytest.fixture(scope="session")
def tools(session_engine):
    """A small image with one program under many names."""
    for image in ("alpine:shaped", "scratch:static"):
        session_engine.image(image)
    session_engine.build("test:tools", """FROM alpine:shaped
COPY --from=scratch:static /bin/tool /usr/bin/tool
RUN cd /usr/bin && ln tool tool-1.2 && mkdir -p /etc/alternatives /opt/my/bin /usr/share /home/prisoner && \\
    ln -s /etc/alternatives/other other && ln -s /usr/bin/tool1 /etc/alternatives/other && cp tool tool1 && \\
    cp tool /opt/innocent && chmod 644 /opt/innocent && ln -s /usr/bin/tool /opt/my/bin/tool && \\
    ln -s ../my/bin/tool /opt/my/t && cp tool tool-config && cp /bin/busybox setuid && chmod 4755 setuid && \\
    echo '#!/bin/sh' >own && chmod 777 own && chown 1000:1000 own && \\
    echo 'toor:x:0:0::/root:/bin/sh' >>/etc/passwd
""")
    return "test:tools"


def test_aliases_and_copies_are_found(engine, tools):
    """Whatever a program is called and wherever it lies; links to it are left as links."""
    result = harden(engine, tools, "test:aliases", "tool,other")
    assert result.code == 0, result
    before, after = files_of(engine, tools), files_of(engine, "test:aliases")
    places = {path for _, path in manifest(engine, "test:aliases")}
    assert places == {"/usr/bin/tool", "/usr/bin/tool-1.2", "/usr/bin/tool1", "/opt/innocent",
                      "/usr/bin/tool-config"}  # the last has the same content
    for path in places:
        assert after[path][0] == 0o755 and after[path][3] == shim_digest(), path
    for path in ("/opt/my/bin/tool", "/opt/my/t", "/usr/bin/other", "/etc/alternatives/other"):
        assert after[path] == before[path], path
    for place in ("/usr/local/sbin", "/usr/local/bin"):
        for name in ("tool", "tool1", "tool-1.2", "other"):
            assert after[f"{place}/{name}"][2] == f"/usr/bin/{name}"
    assert "/usr/local/bin/tool-config" not in after


def given_back(container, *command):
    """Runs a command in a container as the joiner does: every original at its own path, in a mount
    namespace of the command's own, without any privilege."""
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result, what):
        if result < 0:
            raise OSError(ctypes.get_errno(), what)

    reader, writer = os.pipe()
    namespace = os.open(f"/proc/{container.pid}/ns/mnt", os.O_RDONLY)
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            check(libc.setns(namespace, 0x20000), "setns")
            check(libc.unshare(0x20000), "unshare")
            check(libc.mount(b"none", b"/", None, 1 << 18 | 1 << 14, None), "private")
            with open("/usr/lib/clawrden/manifest", encoding="utf-8") as file:
                for line in file:
                    original, path = line.rstrip("\n").split("\t")
                    check(libc.mount(f"{ORIGINALS}/{original}".encode(), path.encode(), None, 4096, None), path)
            os.setgroups([])
            os.setresgid(1000, 1000, 1000)
            os.setresuid(1000, 1000, 1000)
            os.chdir("/")
            os.execvpe(command[0], command, {"PATH": PATH, "HOME": "/"})
        except BaseException as error:  # pylint: disable=broad-except
            with contextlib.suppress(OSError):
                os.write(2, repr(error).encode())
        finally:
            os._exit(99)
    os.close(writer)
    os.close(namespace)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def test_a_script_finds_its_locked_interpreter_when_it_is_allowed(engine, hardened):
    """pip is a script of python, which is locked as well."""
    container = engine.start_container(hardened("python:3.11-slim"), "600",
                                       options=["--entrypoint", "/bin/sleep"])
    for command in (["pip", "--version"], ["/usr/local/bin/pip3.11", "--version"],
                    ["python", "-c", "import subprocess; subprocess.run(['pip', '--version'])"],
                    ["python3", "-m", "pip", "--version"]):
        code, text = given_back(container, *command)
        assert code == 0 and text.startswith("pip "), (command, code, text)
    # In the container itself nothing has changed.
    result = container.exec("pip", "--version")
    assert result.code == 125 and "cannot reach the warden" in result.stderr, result


def test_a_script_that_is_a_link_finds_its_parts_when_it_is_allowed(engine, hardened):
    """npm is a link to a script that looks for its parts beside its real place."""
    container = engine.start_container(hardened("node:18-slim"), "600",
                                       options=["--entrypoint", "/bin/sleep"])
    code, text = given_back(container, "npm", "install")
    assert (code, text) == (0, "npm of the test image install\n")
    assert container.exec("npm", "install").code == 125


def test_a_part_of_busybox_works_when_it_is_allowed(engine, hardened):
    container = engine.start_container(hardened("alpine:shaped"), "sleep", "600")
    code, text = given_back(container, "wget", "--help")
    assert "Usage: wget" in text, (code, text)
    code, text = given_back(container, "/usr/bin/wget", "--help")
    assert "Usage: wget" in text, (code, text)
    assert container.exec("wget", "--help").code == 125
    assert container.exec("vi", "--help").code != 125


CONFIGURED = """FROM alpine:shaped
ENTRYPOINT ["/bin/echo", "it's \\"quoted\\""]
CMD ["one", "two words"]
ENV LANG=C.UTF-8 SPACED="a b" PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /srv/work
LABEL one=1 two="2 and more"
EXPOSE 8080/tcp 53/udp
VOLUME /data /more
HEALTHCHECK --interval=7s CMD /bin/true
STOPSIGNAL SIGUSR1
ONBUILD RUN /bin/true
USER nobody
"""


def test_the_configuration_is_kept(engine):
    engine.image("alpine:shaped")
    engine.build("test:configured", CONFIGURED)
    result = harden(engine, "test:configured", "test:configured-hard", "git")
    assert result.code == 0, result
    before, after = config(engine, "test:configured"), config(engine, "test:configured-hard")
    for name in ("Entrypoint", "Cmd", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "Healthcheck",
                 "StopSignal", "OnBuild", "User"):
        assert before[name] and after[name] == before[name], name
    # Shims first, the order of the rest as it was.
    assert sorted(after["Env"]) == sorted(
        "PATH=/usr/local/sbin:" + line[5:] if line.startswith("PATH=") else line for line in before["Env"])
    assert engine.run("test:configured-hard").stdout == "it's \"quoted\" one two words\n"


def test_nothing_to_start_stays_nothing(engine, hardened):
    result = harden(engine, "scratch", "test:scratch", "git,rm")
    assert result.code == 0, result
    assert config(engine, "test:scratch")["Cmd"] == ["/give-a-command"]
    assert not config(engine, "test:scratch")["Entrypoint"]
    assert engine.run("test:scratch").code == 127
    assert "cannot reach the warden" in engine.run("test:scratch", "git", "push").stderr
    assert set(manifest(engine, "test:scratch")) == set()
    assert config(engine, hardened("distroless:shaped"))["Entrypoint"] == ["/usr/local/bin/python3.11"]
    assert config(engine, hardened("distroless:shaped"))["User"] == "65532"
    assert config(engine, hardened("alpine:shaped"))["User"] == "1000:1000"


def test_hardening_again_adds_and_never_takes_a_shim_for_an_original(engine, hardened):
    first = hardened("alpine:shaped")
    result = harden(engine, first, "test:again", "wget,git,vi,cat")
    assert result.code == 0, result
    again = harden(engine, "test:again", "test:thrice", "wget,git,vi,cat")
    assert again.code == 0, again
    one, two, three = (manifest(engine, image) for image in (first, "test:again", "test:thrice"))
    assert set(two) - set(one) == {("vi.original", "/bin/vi"), ("cat.original", "/bin/cat")}
    assert set(one) < set(two)
    assert three == two
    after, twice = files_of(engine, "test:thrice"), files_of(engine, "test:again")
    for original, path in three:
        assert after[f"{ORIGINALS}/{original}"][3] != shim_digest() == after[path][3]
    assert {path: entry for path, entry in after.items() if entry[2:] != twice.get(path, entry)[2:]} == {}
    assert config(engine, "test:thrice")["Env"] == config(engine, "test:again")["Env"]


def test_the_original_is_as_it_was_but_nobody_elses(engine, tools):
    """Set-id bits stay with the original; one that was the prisoner's own is root's now."""
    result = harden(engine, tools, "test:modes", "setuid,own")
    assert result.code == 0, result
    after = files_of(engine, "test:modes")
    assert after["/usr/bin/setuid"][:2] == (0o755, 0) and after["/usr/bin/own"][:2] == (0o755, 0)
    assert after[f"{ORIGINALS}/setuid.original"][:2] == (0o4755, 0)
    assert after[f"{ORIGINALS}/own.original"][:2] == (0o755, 0)


def test_who_the_prisoner_is(engine, tools):
    for user in ("root", "00:1000", "toor:nobody"):
        result = harden(engine, tools, "test:never", "git", "--user", user)
        assert result.code == 1 and "--allow-root" in result.stderr, (user, result)
    result = harden(engine, tools, "test:never", "git", "--user", "stranger")
    assert result.code == 1 and "no user stranger" in result.stderr, result
    assert engine.docker("inspect", "test:never", check=False).code != 0
    result = harden(engine, tools, "test:rooted", "git", "--user", "toor", "--allow-root")
    assert result.code == 0 and "can read the originals" in result.stdout, result
    result = harden(engine, tools, "test:named", "git", "--user", "nobody")
    assert result.code == 0, result
    assert config(engine, "test:named")["User"] == "nobody"
    assert engine.run("test:named", "id", "-un").stdout == "nobody\n"


def test_links_of_a_hostile_image_lead_nowhere(engine, tmp_path):
    """The tree is worked on by root on the host: not one byte may land outside of it."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (canary / "profile").write_text("# mine\n")
    os.chmod(tmp_path, 0o755)
    engine.image("alpine:shaped")
    there = str(canary)
    for lines in (f"RUN rm -r /usr/local/sbin && mkdir -p /usr/lib && ln -s {there} /usr/local/sbin && ln -s {there} /usr/lib/clawrden",
                  f"RUN rm /etc/passwd /etc/profile && ln -s {there}/passwd /etc/passwd && "
                  f"ln -s {there}/profile /etc/profile && rm -r /etc/profile.d && ln -s {there} /etc/profile.d",
                  f"RUN rm -r /usr/local/bin && ln -s ../../../../../../..{there} /usr/local/bin",
                  f"RUN mkdir -p {there} /opt && ln -s {there}/git /usr/bin/git && ln -s / /opt/bin",
                  "RUN ln -s loop /usr/bin/git && ln -s git /usr/bin/loop",
                  # Names that the script itself is going to use.
                  "RUN mkdir -p /usr/lib/clawrden/originals /usr/lib/clawrden-shim && "
                  "for n in 1 2 3 4 5 6 7 8; do for d in /usr/lib/clawrden-shim /usr/bin /usr/local/bin "
                  f"/usr/local/sbin; do ln -s {there}/$n $d/.clawrden-$n; done; done; "
                  f"ln -s {there}/m /usr/lib/clawrden/.manifest-new; "
                  f"ln -s {there}/o /usr/lib/clawrden/originals/wget.original",
                  f"RUN mkdir -p /usr/lib/clawrden/originals && ln -s {there} /opt && cd /usr/lib/clawrden && "
                  "cp /bin/busybox originals/a && printf 'a\\t/opt/profile\\n' >manifest",
                  "RUN mkdir -p /usr/lib/clawrden/originals && cd /usr/lib/clawrden && cp /bin/busybox originals/a "
                  f"&& printf 'a\\t/../../../../../../../..{there}/profile\\n' >manifest",
                  "RUN rm /etc/profile && mkfifo /etc/profile"):
        engine.build("test:hostile", f"FROM alpine:shaped\n{lines}\n")
        result = harden(engine, "test:hostile", "test:hostile-hard", "git,wget")
        assert result.code in (0, 1), result
        assert result.code == 0 or result.stderr.strip(), result
        assert sorted(os.listdir(canary)) == ["passwd", "profile"], lines
        assert (canary / "profile").read_text() == "# mine\n"
        assert (canary / "passwd").read_text().count("\n") == 1


def test_an_image_that_is_not_intercepted_gets_no_name(engine):
    """The proof is a run: here uid 1000 cannot reach the shims."""
    engine.image("alpine:shaped")
    engine.build("test:closed", "FROM alpine:shaped\nRUN chmod 700 /usr/local/bin\n")
    before = sorted(engine.docker("images", "-aq").stdout.split())
    result = harden(engine, "test:closed", "test:closed-hard", "wget")
    assert result.code == 1 and "NOT intercepted" in result.stderr, result
    assert "/usr/local/bin/wget" in result.stderr
    assert sorted(engine.docker("images", "-aq").stdout.split()) == before, "left behind"
    assert engine.docker("ps", "-aq").stdout == "", "left behind"


def test_a_dry_run_changes_nothing_and_says_all(engine):
    engine.image("python:3.11-slim")
    before = sorted(engine.docker("images", "-aq").stdout.split())
    result = harden(engine, "python:3.11-slim", "test:dry", "pip,python,git", "--dry-run")
    assert result.code == 0, result
    for word in ("/usr/local/bin/python3.11: locked", "git: not in this image", "USER 1000:1000",
                 "/usr/local/sbin/python3: ", "PATH /usr/local/sbin:/usr/local/bin"):
        assert word in result.stdout.replace("/usr/local/sbin/python3,", "/usr/local/sbin/python3: "), word
    assert sorted(engine.docker("images", "-aq").stdout.split()) == before
    assert engine.docker("ps", "-aq").stdout == ""


@pytest.mark.parametrize("arguments, code, words", [
    (["--base-image", "nosuch:image"], 1, "no image nosuch:image"),
    (["--lock-binaries", "a b;c"], 2, "is no name of a command"),
    (["--lock-binaries", "../bin/sh"], 2, "neither a name nor an absolute path"),
    (["--lock-binaries", "clawrden-shim"], 2, "cannot be locked"),
    (["--lock-binaries", ""], 2, "--lock-binaries is missing"),
    (["--user", "1000;id"], 2, "neither UID"),
    (["--shim", "/bin/sh"], 1, "is no clawrden-shim"),
    (["--shim", "/nonexistent"], 1, "no shim at /nonexistent"),
    (["--output-image", "-q"], 2, "an image is named by"),
    (["--frobnicate"], 2, "what is --frobnicate?"),
    (["--output-image", "Bad"], 2, "in small letters"),
    (["--output-image", "x:1:2"], 2, "in small letters"),
    (["--output-image", "scratch"], 2, "can be called scratch"),
    (["--lock-binaries", "/nosuch/thing"], 1, "no program /nosuch/thing"),
    (["--lock-binaries", "/usr/bin"], 1, "no program /usr/bin"),
    (["--user", "4294967296"], 2, "there is no id 4294967296"),
    (["--user", "1000:4294967295"], 2, "there is no id 4294967295"),
    (["--user", "1000:"], 2, "neither UID"),
    (["--user", "00:5"], 1, "is root"),
    (["--dry-run=no"], 2, "--dry-run takes no value"),
    (["-H", "unix:///nonexistent.sock"], 1, "the engine does not answer"),
    (["--user"], 2, "--user needs a value"),
])
def test_an_error_names_its_cause(engine, arguments, code, words):
    engine.image("alpine:shaped")
    given = {"--base-image": "alpine:shaped", "--lock-binaries": "git", "--output-image": "test:never",
             "--shim": harness.program("clawrden-shim")}
    line = [word for name, value in given.items() if name not in arguments for word in (name, value)]
    process = subprocess.Popen(["sh", f"{SCRIPTS}/harden-container.sh", *line, *arguments],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**engine.environment(), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    result = harness.finish(process, timeout=60)
    assert result.code == code and words in result.stderr, result
    usages = [line for line in result.stderr.splitlines() if line.startswith("usage: ")]
    assert len(usages) == (code == 2) and all("harden-container.sh" in line for line in usages), result


def test_a_directory_for_temporary_files_that_is_none(engine):
    engine.image("alpine:shaped")
    process = subprocess.Popen(
        ["sh", f"{SCRIPTS}/harden-container.sh", "--base-image", "alpine:shaped", "--lock-binaries", "git",
         "--output-image", "test:never", "--shim", harness.program("clawrden-shim")],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**engine.environment(), "PATH": images.PATH, "TMPDIR": "/nonexistent"})
    result = harness.finish(process, timeout=60)
    assert result.code == 1 and "there is no directory /nonexistent" in result.stderr, result


# In a Dockerfile.

INSTALL = """FROM {base}
COPY clawrden-shim install-clawrden.sh /tmp/clawrden/
RUN sh /tmp/clawrden/install-clawrden.sh --lock-binaries "{locked}" {options} && echo done
USER 1000:1000
ENV PATH=/usr/local/sbin:$PATH
"""


def install(engine, base, locked, options="", name="test:installed", env=None):
    context = {"clawrden-shim": harness.program("clawrden-shim"),
               "install-clawrden.sh": os.path.join(SCRIPTS, "install-clawrden.sh")}
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(contextlib.closing(Context()))
        for target, source in context.items():
            shutil.copy(source, os.path.join(place.path, target))
        with open(os.path.join(place.path, "Dockerfile"), "w", encoding="utf-8") as file:
            file.write(INSTALL.format(base=base, locked=locked, options=options))
        return engine.docker("build", "--network", "none", "-t", name, place.path, check=False, timeout=300,
                             env=env)


class Context:
    def __init__(self):
        self.path = subprocess.check_output(["mktemp", "-d", "/var/tmp/clwd-context-XXXXXX"], text=True).strip()

    def close(self):
        shutil.rmtree(self.path)


@pytest.mark.parametrize("base", ["debian:bookworm", "alpine:shaped"])
def test_in_a_dockerfile_even_the_tools_that_do_it_can_be_locked(engine, base):
    """Under dash and under busybox's ash."""
    engine.image(base)
    locked = "mv,rm,cp,cat,ls,mkdir,chmod,ln,grep,head,sort,find,sed,git"
    result = install(engine, base, locked)
    assert result.code == 0 and "every path answers as a shim" in result.stdout, result
    script = "for name in " + locked.replace(",", " ") + r"""; do
        for program in $name /bin/$name /usr/bin/$name /usr/local/bin/$name; do
            case $program in /bin/*|/usr/bin/*) [ -e $program ] || continue ;; esac
            out=$($program 2>&1); case $?:$out in 125:*warden*) ;; *) echo "RAN $program: $out" ;; esac
        done
    done; echo end"""
    assert engine.run("test:installed", "sh", "-c", script).stdout == "end\n"
    assert engine.run("test:installed", "sh", "-lc", "ls").code == 125


def test_in_a_dockerfile_it_refuses_as_outside(engine):
    engine.image("alpine:shaped")
    result = install(engine, "alpine:shaped", "git", "--user 0:0")
    assert result.code != 0 and "--allow-root" in result.stdout + result.stderr, result
    result = install(engine, "alpine:shaped", "git", "--dry-run")
    assert result.code == 0 and "nothing was changed" in result.stdout
    assert engine.run("test:installed", "git").code == 127


def test_with_buildkit_it_knows_that_it_is_in_a_build(engine):
    engine.image("alpine:shaped")
    result = install(engine, "alpine:shaped", "git", env={"DOCKER_BUILDKIT": "1"})
    assert result.code == 0 and "every path answers as a shim" in result.stdout + result.stderr, result


def test_it_does_not_work_on_a_machine_by_mistake(tmp_path):
    """On an unpacked image as /, but in the machine's pid namespace and without an engine's mark."""
    with tarfile.open(images.ensure("alpine:shaped")) as tar:
        tar.extractall(tmp_path)
    for file in (os.path.join(SCRIPTS, "install-clawrden.sh"), harness.program("clawrden-shim")):
        shutil.copy(file, tmp_path)
    script = 'mkdir -p "$0/proc" && mount -t proc proc "$0/proc" && exec chroot "$0" /bin/sh "$@"'

    def run(*options):
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script, str(tmp_path), "/install-clawrden.sh", "--lock-binaries", "git",
             "--shim", "/clawrden-shim", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": images.PATH})
        return harness.finish(process, timeout=60)

    if os.readlink("/proc/self/ns/pid") == "pid:[4026531836]":
        result = run()
        assert result.code == 1 and "--on-this-machine" in result.stderr, result
        assert not os.path.exists(tmp_path / "usr/lib/clawrden")
        assert run("--dry-run").code == 0
    result = run("--on-this-machine")
    assert result.code == 0 and os.path.exists(tmp_path / "usr/lib/clawrden/manifest"), result


@pytest.mark.parametrize("root", ["", "/", "//", "/usr/.."])
def test_a_root_that_is_the_machines_is_refused(root):
    process = subprocess.Popen(  # as somebody who could do no harm
        ["sh", f"{SCRIPTS}/install-clawrden.sh", "--lock-binaries", "git", "--root", root], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **harness.as_user(harness.PRISONER))
    result = harness.finish(process, timeout=60)
    assert result.code == 2 and "not for /" in result.stderr, result
