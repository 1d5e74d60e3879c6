"""Pipes, files, closed descriptors: the command has the caller's own."""

import hashlib
import os
import subprocess

import pytest

import harness

from harness import PRISONER, IS_ROOT, allow, as_user, finish, program

quick = pytest.mark.quick
MEBIBYTE = 1024 * 1024


@quick
def test_binary_data_goes_round(make_warden):
    warden = make_warden(allow("cat"))
    data = bytes(range(256)) * 4096
    assert warden.shim("cat", data=data).out == data


def test_fifty_megabytes_go_round(make_warden):
    warden = make_warden(allow("cat"))
    data = os.urandom(MEBIBYTE) * 50
    result = warden.shim("cat", data=data, timeout=120)
    assert hashlib.sha256(result.out).digest() == hashlib.sha256(data).digest()


def test_a_large_output(make_warden):
    warden = make_warden(allow("head"))
    warden.stand_in("head")
    result = warden.agent("head -c 300000000 /dev/zero | wc -c", shims=["head"], timeout=120)
    assert result.out.strip() == b"300000000"


def test_the_reader_goes_away(make_warden):
    warden = make_warden(allow("yes", "head"))
    result = warden.agent("set -o pipefail; yes | head -n 3; echo ${PIPESTATUS[0]}", shims=["yes", "head"],
                          shell="/bin/bash")
    assert result.stdout.split() == ["y", "y", "y", "141"]


def test_a_pipeline_of_shims(make_warden):
    warden = make_warden(allow("seq", "sort", "tail", "wc"))
    result = warden.agent("seq 1 1000 | sort -rn | tail -n 10 | wc -l", shims=["seq", "sort", "tail", "wc"])
    assert result.stdout.strip() == "10"


def test_files_as_stdio(make_warden):
    warden = make_warden(allow("cat", "sh"))
    result = warden.agent("echo content >in; cat <in >out 2>&1; cat out; sh -c 'echo more' >>out; cat out",
                          shims=["cat", "sh"])
    assert result.stdout.split() == ["content", "content", "more"]


def test_a_file_offset_is_shared(make_warden):
    warden = make_warden(allow("head"))
    result = warden.agent("printf '1\\n2\\n3\\n' >f; exec 0<f; dd bs=1 count=2 status=none; head -n 1; "
                          "dd bs=1 count=2 status=none", shims=["head"])
    assert result.stdout.split()[:2] == ["1", "2"]


@pytest.mark.parametrize("closed, script", [
    ("<&-", "[ -e /proc/self/fd/0 ] && readlink /proc/self/fd/0; echo end"),
    (">&-", "echo to-stderr >&2"),
    ("2>&-", "echo to-stdout"),
    ("<&- >&- 2>&-", "exit 5"),
])
def test_closed_stdio(make_warden, closed, script):
    warden = make_warden(allow("sh"))
    shim = warden.stand_in("sh")
    line = f"exec {shim} -c '{script}' {closed}"
    process = subprocess.Popen(["/bin/sh", "-c", line], cwd=warden.work, env=warden.shim_env(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, **as_user(PRISONER))
    warden.started.append(process)
    result = finish(process)
    assert result.code == (5 if "exit 5" in script else 0), result
    if "to-stderr" in script:
        assert result.err == b"to-stderr\n"
    if "to-stdout" in script:
        assert result.out == b"to-stdout\n"
    if closed == "<&-":
        assert result.stdout.strip() in ("end", "/dev/null\nend"), result


def test_a_closed_stderr_hides_the_message_but_not_the_code(make_warden):
    warden = make_warden(allow("echo"))
    shim = warden.stand_in("id")
    process = subprocess.Popen(["/bin/sh", "-c", f"exec {shim} 2>&-"], env=warden.shim_env(),
                               cwd=warden.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, **as_user(PRISONER))
    warden.started.append(process)
    assert finish(process).code == 126


def test_no_output_byte_passes_through_us(make_warden):
    """The command's stdout is the caller's pipe itself."""
    warden = make_warden(allow("readlink"))
    process = warden.spawn("readlink", "/proc/self/fd/1")
    inode = os.fstat(process.stdout.fileno()).st_ino
    assert finish(process).stdout.strip() == f"pipe:[{inode}]"


def test_stdin_is_left_for_the_next_command(make_warden):
    warden = make_warden(allow("true"))
    result = warden.agent("printf 'for cat\\n' | { true; cat; }", shims=["true"])
    assert result.stdout == "for cat\n"


def test_version_and_usage_of_the_shim():
    shim = program("clawrden-shim")
    result = subprocess.run([shim, "--version"], capture_output=True, timeout=20)
    assert result.returncode == 0 and result.stdout.startswith(b"clawrden-shim ")
    assert subprocess.run([shim], capture_output=True, timeout=20).returncode == 2
    assert subprocess.run([shim, "--nonsense"], capture_output=True, timeout=20).returncode == 2


@pytest.mark.release_only
def test_the_shim_is_small_and_static():
    shim = program("clawrden-shim")
    assert os.path.getsize(shim) <= 64 * 1024
    described = subprocess.run(["readelf", "-ld", shim], capture_output=True, timeout=20).stdout
    assert b"INTERP" not in described and b"NEEDED" not in described


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_a_socket_as_stdin(make_warden):
    import socket
    warden = make_warden(allow("cat"))
    ours, theirs = socket.socketpair()
    process = warden.spawn("cat", stdin=theirs)
    theirs.close()
    ours.sendall(b"by socket")
    ours.close()
    assert finish(process).out == b"by socket"


def test_output_has_ended_when_the_shim_has(make_warden):
    """Agents wait for a process and then read what there is: all of it, with its end, as of any program."""
    warden = make_warden(harness.allow("echo"))
    path = warden.stand_in("echo")
    for number in range(150):
        read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        process = subprocess.Popen([path, str(number)], stdin=subprocess.DEVNULL,  # pylint: disable=consider-using-with
                                   stdout=write_end, env=warden.shim_env(), cwd=warden.work,
                                   **harness.as_user(harness.PRISONER))
        os.close(write_end)
        assert process.wait(harness.PATIENCE) == 0
        try:
            assert os.read(read_end, 100) == f"{number}\n".encode()
            assert os.read(read_end, 100) == b"", number  # BlockingIOError: somebody still has it open
        finally:
            os.close(read_end)
