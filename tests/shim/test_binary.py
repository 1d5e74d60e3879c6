"""The file itself: small, static, known by its content, cheap to start."""

import os
import re
import shutil
import subprocess

import pytest

from fakedoor import ALLOWED, BUILD, SANITIZED, clean_env, find_program, finish

release_only = pytest.mark.skipif(SANITIZED, reason="about the release build")


def is_marked(path):
    """As the build's own check sees it (src/shim/test-binary.c, wire/shim-mark.h)."""
    checker = os.path.join(BUILD, "src/shim/test-shim-binary")
    if not os.path.exists(checker):
        pytest.skip("the unit tests are not built")
    return subprocess.run([checker, path, "--sanitized"], capture_output=True,
                          check=False).returncode == 0


@release_only
def test_size_and_linkage():
    path = find_program("clawrden-shim")
    assert os.path.getsize(path) <= 64 * 1024
    headers = subprocess.run(["readelf", "-lWd", path], capture_output=True, text=True,
                             check=True).stdout
    assert "INTERP" not in headers and "NEEDED" not in headers
    assert not re.search(r"GNU_STACK.*E", headers)


def test_mark_survives_strip(tmp_path):
    copy = tmp_path / "git"
    shutil.copy(find_program("clawrden-shim"), copy)
    assert is_marked(copy)
    for arguments in (["strip"], ["strip", "--strip-all", "-R", ".comment"],
                      ["objcopy", "--strip-all"]):
        subprocess.run([*arguments, copy], check=True)
        assert is_marked(copy)
    assert finish(subprocess.Popen([copy], env=clean_env(CLAWRDEN_SOCKET="/nonexistent"),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE))[0] == 125


@pytest.mark.parametrize("path", ["/bin/sh", "/usr/bin/python3", "/bin/true", "/etc/passwd"])
def test_others_are_not_marked(path):
    assert not is_marked(path)


@release_only
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_system_calls(door, shims, tmp_path):
    """The list at the head of src/shim/main.c, and nothing else."""
    log = tmp_path / "strace"
    shim = shims.start("strace", "-o", log, "--", shims.stand_in("git"), "status",
                       path=shutil.which("strace"))
    door.request().send(bytes([ALLOWED]) + b"\3\2\0\0\0\0\7")
    assert finish(shim)[0] == 7
    calls = re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE)
    assert [call for call in calls if call != "arch_prctl"] == [
        "execve", "set_tid_address", "getcwd", "socket", "openat", "rt_sigprocmask", "signalfd4",
        "connect", "sendmsg", "ppoll", "read", "exit_group"]
