"""Putting a jail into a container: what it may not change, and what may not stop it."""

import os
import shutil
import subprocess
import tempfile

import pytest

import harness
from test_labels import (PLACE, governed, is_intercepted, known, make, settled, start,  # noqa: F401  pylint: disable=unused-import
                         ungoverned)


@pytest.fixture
def place():
    """A directory of the host, and no mount left beneath it."""
    path = tempfile.mkdtemp(prefix="clwd-installing-", dir="/var/tmp")
    os.chmod(path, 0o755)
    yield path
    for target in reversed(mounts_beneath(path)):
        subprocess.run(["umount", "-l", target], check=False)
    shutil.rmtree(path)


def mounts_beneath(path):
    with open("/proc/self/mountinfo", encoding="utf-8") as text:
        return [line.split()[4] for line in text if line.split()[4].startswith(path)]


def everything(path):
    return sorted((top, tuple(sorted(directories)), tuple(sorted(files)))
                  for top, directories, files in os.walk(path))


# Nothing outside of the container changes.

@pytest.mark.parametrize("mode", ["plain", "hardened"])
@pytest.mark.parametrize("target, inside, words", [
    ("/usr/local/bin", [], None),  # the names find their place in /usr/local/sbin
    ("/usr/local", ["bin", "sbin"], "bind mount or volume"),
    ("/usr/local", [], "bind mount or volume"),
    ("/run", [], "bind mount or volume"),
    ("/run", ["clawrden"], None)])
@pytest.mark.parametrize("access", ["ro", "rw"])
def test_bind_mounts_of_the_host_stay_as_they_are(engine, make, place, target, inside, words, mode, access):  # noqa: F811  pylint: disable=redefined-outer-name
    warden = make()
    for name in inside:
        os.mkdir(os.path.join(place, name))
    before = everything(place)
    container = start(engine, options=["-v", f"{place}:{target}:{access}"], cmds="id,terraform", mode=mode)
    if words:
        assert words in ungoverned(warden, container)
    else:
        governed(warden, container)
        assert is_intercepted(warden, container, shell="sh")
    assert everything(place) == before and not mounts_beneath(place)


def test_names_in_a_bind_mount_are_covered_in_the_container_alone(engine, make, place):  # noqa: F811  pylint: disable=redefined-outer-name
    warden = make()
    shutil.copy("/usr/bin/id", place)
    size = os.path.getsize(os.path.join(place, "id"))
    container = start(engine, options=["-v", f"{place}:/usr/local/bin:ro"])
    governed(warden, container)
    assert is_intercepted(warden, container, "/usr/local/bin/id")
    assert os.path.getsize(os.path.join(place, "id")) == size and not mounts_beneath(place)


@pytest.mark.parametrize("target", ["/run", "/usr/local/bin", "/srv"])
@pytest.mark.parametrize("access", ["rshared", "ro,rshared"])
def test_nothing_is_mounted_where_others_would_see_it(engine, make, place, target, access):  # noqa: F811  pylint: disable=redefined-outer-name
    subprocess.run(["mount", "--bind", place, place], check=True)
    subprocess.run(["mount", "--make-shared", place], check=True)
    os.mkdir(os.path.join(place, "clawrden"))
    shutil.copy("/usr/bin/id", place)
    before = everything(place)
    warden = make()
    container = start(engine, options=["-v", f"{place}:{target}:{access}"])
    entry = settled(warden, container)
    print(entry)
    assert target == "/srv" or "shared" in entry["why"]
    assert everything(place) == before and mounts_beneath(place) == [place]


def test_a_tmpfs_of_the_containers_own_is_its_own(engine, make):  # noqa: F811
    warden = make()
    container = start(engine, options=["--read-only", "--tmpfs", "/run", "--tmpfs", "/usr/local"], cmds="terraform")
    governed(warden, container)
    assert is_intercepted(warden, container, "terraform", shell="sh")


def test_a_tmpfs_of_the_host_is_not(engine, make, place):  # noqa: F811  pylint: disable=redefined-outer-name
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    warden = make()
    container = start(engine, options=["-v", f"{place}:/run"])
    assert "bind mount or volume" in ungoverned(warden, container)
    assert os.listdir(place) == []
