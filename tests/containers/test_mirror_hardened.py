"""Hardened images: shims at the programs' own places, originals for admitted commands alone.

The layout is made by hand here, so that it is the joiner's reading of it that is tested.
"""

import harness
import pytest
from mirrored import Prisoner, everything

DOCKERFILE = """
FROM debian:bookworm
COPY clawrden-shim /usr/lib/clawrden-shim/clawrden-shim
RUN mkdir -p /usr/lib/clawrden/originals && chmod 0700 /usr/lib/clawrden && \\
    mv /usr/bin/sort /usr/lib/clawrden/originals/sort.original && \\
    ln /usr/lib/clawrden-shim/clawrden-shim /usr/bin/sort && \\
    printf 'sort.original\\t/usr/bin/sort\\n' > /usr/lib/clawrden/manifest
"""
ORIGINAL = "/usr/lib/clawrden/originals/sort.original"


@pytest.fixture
def hardened(engine):
    engine.image("debian:bookworm")
    engine.build("clawrden-test:hardened", DOCKERFILE,
                 files={"clawrden-shim": harness.program("clawrden-shim")})
    return engine


def mounts(prisoner):
    with open(f"/proc/{prisoner.container.pid}/mountinfo", encoding="utf-8") as file:
        return file.read()


def test_an_admitted_command_has_its_originals(hardened, make_warden):
    warden = make_warden(*everything())
    prisoner = Prisoner(hardened, warden, "clawrden-test:hardened")
    before = mounts(prisoner)
    for _ in range(3):
        assert prisoner.run("/usr/bin/sort", "/etc/debian_version").stdout.startswith("12")
        assert prisoner.run("sort", "/etc/debian_version").stdout.startswith("12")
    assert len(warden.journal(event="ended", command="sort")) == 6
    assert {record["exe"] for record in warden.journal(event="started", command="sort")} == {"/usr/bin/sort"}
    # What an admitted command starts by that path is part of it; by name it finds the shim.
    result = prisoner.run("sh", "-c", "pwd; /usr/bin/sort /etc/debian_version; sort /etc/debian_version",
                          options=["-w", "/var/lib"])
    assert result.stdout.startswith("/var/lib\n12") and result.stdout.count("\n") == 3, result
    assert len(warden.journal(event="ended", command="sort")) == 7
    assert mounts(prisoner) == before


def test_nobody_else_has_them(hardened, make_warden):
    warden = make_warden(*harness.allow("sleep", "sh"))
    prisoner = Prisoner(hardened, warden, "clawrden-test:hardened")
    hardened.docker("exec", "-d", prisoner.id, "/bin/sh", "-c", "sleep 300")
    harness.wait_for(lambda: warden.journal(event="started", command="sleep"), what="a command that runs")
    for line in (["/usr/bin/sort", "/etc/debian_version"], ["sort", "/etc/debian_version"]):
        result = prisoner.run(*line)
        assert result.code == 126 and "denied" in result.stderr and result.out == b"", result
    # Root's directory keeps it from being run, read by the loader, and copied.
    for line in ([ORIGINAL], ["/lib64/ld-linux-x86-64.so.2", ORIGINAL, "/etc/debian_version"],
                 ["/bin/cp", ORIGINAL, "/tmp/sort"], ["/bin/ls", "/usr/lib/clawrden"]):
        result = prisoner.run(*line)
        assert result.code != 0 and b"12." not in result.out, result


def test_a_working_directory_that_is_covered(hardened, make_warden):
    """In a mount namespace of its own the caller's directory is found by path: another one in its
    place is no answer."""
    warden = make_warden(*everything())
    prisoner = Prisoner(hardened, warden, "clawrden-test:hardened", user="0:0", options=["--tmpfs", "/srv"])
    assert prisoner.run("pwd", options=["-w", "/srv"]).stdout == "/srv\n"
    moved = prisoner.script("mkdir /tmp/a; cd /tmp/a; mv /tmp/a /tmp/b; mkdir /tmp/a; pwd")
    assert moved.code == 0 and moved.stdout.startswith("/tmp/"), moved
    gone = prisoner.script("mkdir /tmp/c; cd /tmp/c; rmdir /tmp/c; mkdir /tmp/c; ls")
    assert gone.code == 126 and "working directory" in gone.stderr, gone


def test_a_forged_manifest_gives_nothing_new(hardened, make_warden):
    """Root in the container writes what it likes: only shims are ever covered, and only by regular
    files of root's in that directory."""
    warden = make_warden(*everything())
    prisoner = Prisoner(hardened, warden, "clawrden-test:hardened", user="0:0")
    prisoner.script("cd /usr/lib/clawrden; cp /bin/true originals/x; ln -s /bin/true originals/l; "
                    "printf 'x\\t/usr/bin/id\\nx\\t/etc/passwd\\nl\\t/usr/bin/sort\\n../manifest\\t/usr/bin/sort\\n"
                    "x\\t/usr/bin/../bin/sort\\nx\\n\\t\\nx\\t/proc/self/exe\\n' > manifest")
    for _ in range(3):
        assert prisoner.run("id", "-u").stdout == "0\n"
        assert prisoner.run("cat", "/etc/passwd").out == prisoner.run("/bin/cat", "/etc/passwd").out
        assert prisoner.run("sort", "/etc/debian_version").code == 127  # nothing but shims is left of it
    prisoner.script("printf 'sort.original\\t/usr/bin/sort\\n' > /usr/lib/clawrden/manifest; "
                    "chmod 0666 /usr/lib/clawrden/manifest")
    codes = {prisoner.run("sort", "/etc/debian_version").code for _ in range(3)}
    assert codes == {127}, codes  # who else could have written it is not believed
