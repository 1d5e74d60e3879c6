"""Base images without a registry: each is made here once and kept as a tar in the cache.

An image is a root file system and a few changes of its configuration (`docker import -c`). Its file
in the cache carries a key of everything that went into it, so a changed recipe makes a new one.

    debian:bookworm     minimal, with apt          debian:trixie, debian:bullseye   essential packages
    agent:shaped        bookworm with git, as coding agents want it
    ubuntu:shaped       a STAND-IN: bookworm with Ubuntu's os-release (its archive is not at hand)
    alpine:shaped       a STAND-IN: musl, busybox of Debian's source (ash), Alpine's /etc/profile
    python:3.11-slim    as the official one lies: python3.11 and pip in /usr/local/bin
    node:18-slim        node in /usr/local/bin, npm a symlink to a script of node
    node:18-ash         node, whose only shell is busybox's ash
    distroless:shaped   python3.11 and its libraries: no shell, no coreutils
    scratch:static      one static program, which prints its arguments

Recipes run as root on the host. Nothing in them trusts the network beyond apt's signatures.
"""

import contextlib
import fcntl
import hashlib
import inspect
import os
import shutil
import subprocess
import tempfile

CACHE = os.environ.get("CLAWRDEN_TEST_CACHE", "/var/cache/clawrden-test")
MINUTES = 60
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*command, timeout=10 * MINUTES, **more):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=timeout, check=False, **more)
    if result.returncode:
        raise AssertionError(f"{command[0]} ended with {result.returncode}:\n"
                             f"{result.stdout[-4000:].decode(errors='replace')}")
    return result.stdout.decode(errors="replace")


def mirror():
    """Where this machine's apt gets Debian from."""
    listed = run("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages")
    for line in listed.splitlines():
        label, _, uri = line.partition(" ")
        if label == "Debian" and uri:
            return uri.rstrip("/")
    raise AssertionError("apt knows no archive labelled Debian: run `apt-get update`")


def write(root, path, text, mode=0o644):
    target = os.path.join(root, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(target, mode)


def debootstrap(root, suite, variant):
    run("mmdebstrap", "--mode=root", f"--variant={variant}", "--dpkgopt=force-unsafe-io",
        *[f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")],
        "--aptopt=Acquire::Languages=none", suite, root, mirror())


def chroot(root, *command):
    """With the few devices that scripts of packages expect (the image's tar has none)."""
    for name, major, minor in (("null", 1, 3), ("zero", 1, 5), ("urandom", 1, 9)):
        with contextlib.suppress(FileExistsError):
            os.mknod(os.path.join(root, "dev", name), 0o020666, os.makedev(major, minor))
            os.chmod(os.path.join(root, "dev", name), 0o666)
    shutil.copyfile("/etc/resolv.conf", os.path.join(root, "etc/resolv.conf"))
    run("chroot", root, *command,
        env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"})


def install(root, *packages):
    chroot(root, "apt-get", "update", "-q")
    chroot(root, "apt-get", "install", "-qy", "--no-install-recommends", *packages)
    chroot(root, "sh", "-c", "apt-get clean && rm -rf /var/lib/apt/lists/*")


def bookworm(root):
    debootstrap(root, "bookworm", "minbase")


def agent(root):
    unpack("debian:bookworm", root)
    install(root, "git", "ca-certificates", "libatomic1")


def trixie(root):
    debootstrap(root, "trixie", "essential")


def bullseye(root):
    debootstrap(root, "bullseye", "essential")


def ubuntu(root):
    unpack("debian:bookworm", root)
    write(root, "usr/lib/os-release", 'PRETTY_NAME="Ubuntu 22.04 (a stand-in)"\nNAME="Ubuntu"\n'
          'VERSION_ID="22.04"\nID=ubuntu\nID_LIKE=debian\n')


def python_slim(root):
    unpack("debian:bookworm", root)
    install(root, "python3-minimal", "python3-pip")
    local, usr = os.path.join(root, "usr/local/bin"), os.path.join(root, "usr/bin")
    os.rename(os.path.join(usr, "python3.11"), os.path.join(local, "python3.11"))
    os.unlink(os.path.join(usr, "python3"))
    os.symlink("python3.11", os.path.join(local, "python3"))
    os.symlink("python3", os.path.join(local, "python"))
    for name in ("pip", "pip3", "pip3.11"):
        write(root, f"usr/local/bin/{name}", "#!/usr/local/bin/python3.11\nimport sys\n"
              "from pip._internal.cli.main import main\nsys.exit(main())\n", 0o755)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(usr, name))


def node_slim(root):
    unpack("debian:bookworm", root)
    install(root, "nodejs")
    local, usr = os.path.join(root, "usr/local"), os.path.join(root, "usr/bin")
    os.rename(os.path.join(usr, "node"), os.path.join(local, "bin/node"))
    for name in ("nodejs", "js"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(usr, name))
    os.symlink("node", os.path.join(local, "bin/nodejs"))
    # npm as the official image has it: a symlink to a script that finds its parts beside itself.
    write(root, "usr/local/lib/node_modules/npm/lib/cli.js",
          "module.exports = () => console.log('npm of the test image', process.argv.slice(2).join(' '))\n")
    write(root, "usr/local/lib/node_modules/npm/bin/npm-cli.js",
          "#!/usr/bin/env node\nrequire('../lib/cli.js')(process)\n", 0o755)
    os.symlink("../lib/node_modules/npm/bin/npm-cli.js", os.path.join(local, "bin/npm"))


def busybox(root):
    """Debian's source with upstream's own configuration. (busybox-static will not do: its shell
    runs applets without any exec.) Built with musl; the kernel's headers are linked in."""
    with tempfile.TemporaryDirectory(prefix="clwd-busybox-", dir="/var/tmp") as work:
        for name in ("lists/partial", "source", "kernel"):
            os.makedirs(os.path.join(work, name))
        sources = os.path.join(work, "sources.list")
        with open(sources, "w", encoding="utf-8") as file:
            file.write(f"deb-src {mirror()} bookworm main\n")
        apt = ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-",
               "-o", f"Dir::State::lists={work}/lists", "-o", "APT::Sandbox::User=root"]
        run(*apt, "update")
        run(*apt, "source", "--download-only", "busybox", cwd=work)
        archive = next(name for name in sorted(os.listdir(work)) if ".orig.tar" in name
                       and not name.endswith(".asc"))
        source = os.path.join(work, "source")
        run("tar", "-xf", os.path.join(work, archive), "-C", source, "--strip-components=1")
        for name, target in (("linux", "/usr/include/linux"), ("asm-generic", "/usr/include/asm-generic"),
                             ("mtd", "/usr/include/mtd"), ("asm", asm_headers())):
            os.symlink(target, os.path.join(work, "kernel", name))
        make = ["make", "-C", source, "CC=musl-gcc", "HOSTCC=gcc",
                f"EXTRA_CFLAGS=-isystem {work}/kernel", "SKIP_STRIP=n"]
        run(*make, "defconfig")
        config = os.path.join(source, ".config")
        with open(config, encoding="utf-8") as file:
            text = file.read()
        with open(config, "w", encoding="utf-8") as file:
            file.write(text.replace("CONFIG_TC=y", "# CONFIG_TC is not set"))
        run(*make, f"-j{os.cpu_count()}", "busybox")
        run(*make, f"CONFIG_PREFIX={root}", "install")
    os.makedirs(os.path.join(root, "lib"), exist_ok=True)
    loader = next(name for name in sorted(os.listdir("/lib")) if name.startswith("ld-musl-"))
    shutil.copyfile(f"/lib/{loader}", os.path.join(root, "lib", loader))
    os.chmod(os.path.join(root, "lib", loader), 0o755)


def asm_headers():
    machine = run("gcc", "-print-multiarch").strip()
    return f"/usr/include/{machine}/asm"


def alpine(root):
    busybox(root)
    for name in ("etc/profile.d", "usr/local/bin", "usr/local/sbin", "root", "home", "tmp", "var", "proc",
                 "sys", "dev"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    os.chmod(os.path.join(root, "tmp"), 0o1777)
    write(root, "etc/passwd", "root:x:0:0:root:/root:/bin/ash\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n")
    write(root, "etc/group", "root:x:0:\nnobody:x:65534:\n")
    write(root, "etc/os-release", 'NAME="Alpine Linux (a stand-in)"\nID=alpine\nVERSION_ID=3.18.0\n')
    write(root, "etc/profile", f'export PATH="{PATH}"\nfor script in /etc/profile.d/*.sh; do\n'
          '\tif [ -r "$script" ]; then\n\t\t. "$script"\n\tfi\ndone\nunset script\n')


def with_libraries(root, source, *programs):
    """Programs of another root with the libraries that they are linked to."""
    wanted = set(programs)
    for program in programs:
        listed = run("chroot", source, "ldd", program)
        wanted.update(word for line in listed.splitlines() for word in line.split()
                      if word.startswith("/"))
    for path in wanted:
        target = root + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(os.path.realpath(source + path) if os.path.islink(source + path)
                     and not os.readlink(source + path).startswith("/") else source + path, target)


def node_ash(root):
    unpack("alpine:shaped", root)
    with unpacked("node:18-slim") as source:
        with_libraries(root, source, "/usr/local/bin/node")
        shutil.copytree(os.path.join(source, "usr/share/nodejs"),
                        os.path.join(root, "usr/share/nodejs"), symlinks=True)


def distroless(root):
    with unpacked("python:3.11-slim") as source:
        with_libraries(root, source, "/usr/local/bin/python3.11")
        shutil.copytree(os.path.join(source, "usr/lib/python3.11"),
                        os.path.join(root, "usr/lib/python3.11"), symlinks=True)
    write(root, "etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/x\n")
    write(root, "etc/group", "root:x:0:\nnonroot:x:65532:\n")


STATIC = r"""
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        printf("%s\n", argv[i]);
    printf("uid %d\n", (int)getuid());
    return 0;
}
"""


def static(root):
    os.makedirs(os.path.join(root, "bin"))
    write(root, "static.c", STATIC)
    run("musl-gcc", "-static", "-Os", "-o", os.path.join(root, "bin/tool"), os.path.join(root, "static.c"))
    os.unlink(os.path.join(root, "static.c"))


ENV = f"ENV PATH={PATH}"

# name: (recipe, changes of the configuration, images that it is made from)
RECIPES = {
    "debian:bookworm": (bookworm, ['CMD ["bash"]', ENV], []),
    "agent:shaped": (agent, ['CMD ["bash"]', ENV], ["debian:bookworm"]),
    "debian:trixie": (trixie, ['CMD ["bash"]', ENV], []),
    "debian:bullseye": (bullseye, ['CMD ["bash"]', ENV], []),
    "ubuntu:shaped": (ubuntu, ['CMD ["bash"]', ENV], ["debian:bookworm"]),
    "alpine:shaped": (alpine, ['CMD ["/bin/sh"]', ENV], []),
    "python:3.11-slim": (python_slim, ['CMD ["python3"]', ENV.replace("=/usr/local/sbin:/usr/local/bin",
                                                                      "=/usr/local/bin:/usr/local/sbin")],
                         ["debian:bookworm"]),
    "node:18-slim": (node_slim, ['CMD ["node"]', ENV], ["debian:bookworm"]),
    "node:18-ash": (node_ash, ['CMD ["node"]', ENV], ["alpine:shaped", "node:18-slim"]),
    "distroless:shaped": (distroless, ['ENTRYPOINT ["/usr/local/bin/python3.11"]', ENV, "USER 65532"],
                          ["python:3.11-slim"]),
    "scratch:static": (static, ['ENTRYPOINT ["/bin/tool"]'], []),
}


def key(name):
    """Of the recipe, what it calls, and the images that it is made from."""
    recipe, _, parents = RECIPES[name]
    helpers = {helper.__name__: helper for helper in
               (write, debootstrap, chroot, install, busybox, asm_headers, with_libraries)}
    texts, wanted = [], [recipe]
    while wanted:
        text = inspect.getsource(wanted.pop())
        texts.append(text)
        wanted += [helpers.pop(word) for word in list(helpers) if word + "(" in text]
    text = "".join([*texts, STATIC if recipe is static else "", *map(key, parents)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def tar_path(name):
    return os.path.join(CACHE, f"{name.replace(':', '_')}-{key(name)}.tar")


def unpack(name, root):
    run("tar", "-xpf", ensure(name), "-C", root, "--xattrs", "--xattrs-include=*", "--numeric-owner")


@contextlib.contextmanager
def unpacked(name):
    with tempfile.TemporaryDirectory(prefix="clwd-root-", dir="/var/tmp") as root:
        unpack(name, root)
        yield root


def ensure(name):
    """The path of the image's tar, which is made when the cache lacks it. Several may ask at once."""
    path = tar_path(name)
    if os.path.exists(path):
        return path
    os.makedirs(CACHE, mode=0o755, exist_ok=True)
    stem = name.replace(":", "_")
    with open(os.path.join(CACHE, stem + ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path):
            return path
        with tempfile.TemporaryDirectory(prefix="clwd-image-", dir="/var/tmp") as root:
            os.chmod(root, 0o755)
            RECIPES[name][0](root)
            run("tar", "-cf", path + ".new", "-C", root, "--xattrs", "--xattrs-include=*",
                "--numeric-owner", "--exclude=./dev/*", ".")
        for old in os.listdir(CACHE):
            if old.startswith(stem + "-") and old.endswith(".tar"):
                os.unlink(os.path.join(CACHE, old))
        os.rename(path + ".new", path)
    return path
