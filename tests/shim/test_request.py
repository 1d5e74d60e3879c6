"""What the shim sends: every byte of it, from every state that a caller may leave it in."""

import fcntl
import os
import resource
import stat
import subprocess
import sys
import time

import pytest

from fakedoor import (ALLOWED, DIRECT, PATIENCE, STDERR, STDIN, STDOUT, WAIT_FOREVER,
                      clean_env, finish)


def roomy():
    resource.setrlimit(resource.RLIMIT_STACK, (64 * 1024 * 1024, resource.getrlimit(
        resource.RLIMIT_STACK)[1]))


def test_fields(door, shims, tmp_path):
    shim = shims.start("git", "push", "--force", cwd=tmp_path)
    visit = door.request()
    assert visit.flags == STDIN | STDOUT | STDERR
    assert visit.wait_ms == WAIT_FOREVER
    assert visit.path == shims.stand_in("git").encode()
    assert visit.cwd == str(tmp_path).encode()
    assert visit.argv == [b"git", b"push", b"--force"]
    assert set(visit.env) == {f"{k}={v}".encode() for k, v in
                              {"CLAWRDEN_SOCKET": door.path, **clean_env()}.items()}
    visit.ack(ALLOWED).exit(0)
    assert finish(shim) == (0, b"", b"")


def test_bytes_are_not_mangled(door, shims):
    words = [b"", b" ", b"two words", b"new\nline", b"\xff\xfe\x80", b"\xc3\x28", "é日本".encode(),
             b"-", b"--", b"'\"$(`", b"", bytes(range(1, 256))]
    env = {b"PLAIN": b"1", b"BYTES": bytes(range(1, 256)), b"EMPTY": b"",
           b"CLAWRDEN_SOCKET": door.path.encode()}
    shim = subprocess.Popen([b"\xffname", *words], executable=shims.stand_in("git"), env=env)
    shims.started.append(shim)
    visit = door.request()
    assert visit.argv == [b"\xffname", *words]
    assert set(visit.env) == {k + b"=" + v for k, v in env.items()}
    visit.ack(ALLOWED).exit(3)
    assert finish(shim)[0] == 3


def test_a_name_that_is_not_text(door, shims, tmp_path):
    folder = os.fsencode(tmp_path) + b"/\xff\xfe \n"
    os.mkdir(folder)
    path = folder + b"/g\xffit"
    os.symlink(shims.stand_in("git"), path)
    shim = shims.start("x", path=path, cwd=folder)
    visit = door.request()
    assert (visit.path, visit.cwd) == (path, folder)
    visit.ack(ALLOWED).exit(0)
    finish(shim)


def test_no_environment_at_all(door, shims):
    code = "import os,sys; os.execve(sys.argv[1], ['git'], {'CLAWRDEN_SOCKET': sys.argv[2]})"
    shim = shims.start(sys.executable, "-c", code, shims.stand_in("git"), door.path,
                       path=sys.executable)
    visit = door.request()
    assert visit.env == [b"CLAWRDEN_SOCKET=" + door.path.encode()]
    visit.ack(ALLOWED).exit(0)
    finish(shim)


def test_relative_path(door, shims):
    folder, name = os.path.split(shims.stand_in("git"))
    shim = shims.start("anything", path="./" + name, cwd=folder)
    visit = door.request()
    assert (visit.path, visit.argv) == (b"./git", [b"anything"])
    visit.ack(ALLOWED).exit(0)
    finish(shim)


def test_found_by_a_shell(door, shims):
    folder = os.path.dirname(shims.stand_in("git"))
    shim = shims.start("sh", "-c", "git 'a  b' \"\"", path="/bin/sh",
                       env=clean_env(PATH=folder + ":/usr/bin:/bin"))
    visit = door.request()
    assert (visit.path, visit.argv) == (folder.encode() + b"/git", [b"git", b"a  b", b""])
    visit.ack(ALLOWED).exit(0)
    finish(shim)


def test_by_its_own_name(door, shims):
    shim = shims.start("clawrden-shim", "/opt/tool", "-x", "")
    visit = door.request()
    assert visit.flags & DIRECT
    assert (visit.path, visit.argv) == (b"/opt/tool", [b"/opt/tool", b"-x", b""])
    visit.ack(ALLOWED).exit(0)
    finish(shim)


@pytest.mark.parametrize("arguments, code, where, text", [
    (["--version"], 0, 1, b"clawrden-shim "),
    (["--help"], 0, 1, b"usage: clawrden-shim COMMAND"),
    ([], 2, 2, b"usage: clawrden-shim COMMAND"),
    (["--unknown"], 2, 2, b"usage: clawrden-shim COMMAND"),
])
def test_own_options(shims, arguments, code, where, text):
    result = finish(shims.start("clawrden-shim", *arguments))
    assert result[0] == code
    assert result[where].startswith(text)
    assert result[3 - where] == b""


def test_own_options_belong_to_the_command_under_another_name(door, shims):
    shim = shims.start("git", "--version")
    visit = door.request()
    assert visit.argv == [b"git", b"--version"]
    visit.ack(ALLOWED).exit(0)
    finish(shim)


def test_descriptors_are_the_callers(door, shims, tmp_path):
    shim = shims.start("cat", stdin=subprocess.PIPE, cwd=tmp_path)
    visit = door.request(keep_fds=True)
    stdin, stdout, stderr, cwd = visit.fds
    shim.stdin.write(b"\0\xff" * 1000)
    shim.stdin.close()
    assert os.read(stdin, 4096) == b"\0\xff" * 1000
    os.write(stdout, b"out")
    os.write(stderr, b"err")
    assert os.path.samestat(os.fstat(cwd), os.stat(tmp_path))
    assert fcntl.fcntl(cwd, fcntl.F_GETFL) & os.O_PATH
    visit.drop_fds()
    visit.ack(ALLOWED).exit(0)
    shim.stdin = None
    assert finish(shim) == (0, b"out", b"err")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)])
def test_closed_stdio(door, shims, closed, tmp_path):
    def close_them():
        for fd in closed:
            os.close(fd)

    shim = shims.start("git", preexec_fn=close_them, cwd=tmp_path)
    visit = door.request(keep_fds=True)
    still_open = [fd for fd in (0, 1, 2) if fd not in closed]
    assert visit.flags == sum(1 << fd for fd in still_open)
    assert [os.path.samestat(os.fstat(ours), os.stat(f"/proc/{shim.pid}/fd/{theirs}"))
            for ours, theirs in zip(visit.fds, still_open)] == [True] * len(still_open)
    assert stat.S_ISDIR(os.fstat(visit.fds[-1]).st_mode)
    visit.drop_fds()
    for fd in closed:  # what is the shim's own must not pass for the caller's stdio
        assert not os.path.lexists(f"/proc/{shim.pid}/fd/{fd}")
    visit.ack(ALLOWED).message(b"to whom it may concern")
    visit.frame(1, b"out").frame(2, b"err").exit(9)
    code, out, err = finish(shim)
    assert code == 9
    assert out == (b"" if 1 in closed else b"out")
    assert err == (b"" if 2 in closed else b"clawrden: to whom it may concern\nerr")


@pytest.mark.parametrize("size", [2 * 1024 * 1024, 5 * 1024 * 1024])
def test_large_arguments(door, shims, size):
    words = [bytes([65 + i % 26]) * 100_000 for i in range(size // 100_000)]
    shim = shims.start("cat", *words, preexec_fn=roomy)
    visit = door.request()
    assert visit.argv[1:] == words
    visit.ack(ALLOWED).exit(0)
    assert finish(shim) == (0, b"", b"")


def test_very_many_small_arguments(door, shims):
    words = [b"x"] * 200_000 + [b""] * 100_000
    shim = shims.start("cat", *words, preexec_fn=roomy)
    visit = door.request()
    assert visit.argv[1:] == words
    visit.ack(ALLOWED).exit(0)
    assert finish(shim)[0] == 0


def test_a_door_that_reads_slowly(door, shims):
    words = [b"y" * 100_000] * 6
    shim = shims.start("cat", *words, preexec_fn=roomy)
    visit = door.accept().read_header()
    body = b""
    left = visit.path_size + visit.cwd_size + visit.argv_size + visit.env_size
    while len(body) < left:
        piece = visit.socket.recv(1 if len(body) < 500 else 5000)
        body += piece
        if len(body) > 500:
            time.sleep(0.001)
    assert body[visit.path_size + visit.cwd_size:][:visit.argv_size] == \
        b"cat\0" + b"\0".join(words) + b"\0"
    visit.drop_fds()
    visit.ack(ALLOWED).exit(0)
    assert finish(shim)[0] == 0


def test_longer_than_a_request_may_be(shims, tmp_path):
    """The kernel's limit is ours, but for the directory's name and the header: in a deep directory
    the largest thing that can be executed at all is too much."""
    deep = tmp_path
    while len(str(deep)) < 3000:
        deep = deep / ("d" * 200)
        deep.mkdir()

    def attempt(program, last):
        words = [b"z" * 100_000] * 62 + [b"z" * last]
        return shims.start("cat", *words, path=program, preexec_fn=roomy, cwd=deep)

    low, high = 0, 131_000
    while low < high:
        middle = (low + high + 1) // 2
        try:
            assert finish(attempt("/bin/true", middle))[0] == 0
            low = middle
        except OSError:
            high = middle - 1
    assert 0 < low < 131_000
    path = shims.stand_in("cat")
    code, _, err = finish(attempt(path, low - (len(path) - len("/bin/true")) - 200))
    assert code == 126
    assert err == (b"clawrden: argument list too long: arguments and environment may take 6 MiB; "
                   b"nothing was run\n")


@pytest.mark.parametrize("text, wait_ms", [
    ("0", 0), ("1", 1000), ("30", 30_000), ("007", 7000), ("4294967", 4_294_967_000),
    ("4294968", WAIT_FOREVER), ("99999999999999999999999999", WAIT_FOREVER),
])
def test_wait(door, shims, text, wait_ms):
    shim = shims.start("git", env=clean_env(CLAWRDEN_WAIT=text))
    visit = door.request()
    assert visit.wait_ms == wait_ms
    visit.ack(ALLOWED).exit(0)
    assert finish(shim) == (0, b"", b"")


@pytest.mark.parametrize("text", ["", "-1", "1s", "1.5", " 1", "0x10", "never"])
def test_wait_that_is_no_number(door, shims, text):
    shim = shims.start("git", env=clean_env(CLAWRDEN_WAIT=text))
    visit = door.request()
    assert visit.wait_ms == WAIT_FOREVER
    visit.ack(ALLOWED).exit(0)
    assert finish(shim) == (0, b"", f"clawrden: CLAWRDEN_WAIT={text} is not a number of seconds; "
                            "waiting as long as it takes\n".encode())


def test_directory_that_was_removed(door, shims, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    shim = shims.start("git", cwd=gone, preexec_fn=lambda: os.rmdir(gone))
    visit = door.request(keep_fds=True)
    assert visit.cwd == b""
    assert stat.S_ISDIR(os.fstat(visit.fds[-1]).st_mode)
    visit.drop_fds()
    visit.ack(ALLOWED).exit(0)
    assert finish(shim)[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_directory_that_may_not_be_searched(door, shims, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    path = shims.stand_in("git")

    def lock_out():  # the program stays reachable through an open descriptor
        os.chdir(closed)
        os.chmod(closed, 0)
        os.setgroups([])
        os.setgid(54001)
        os.setuid(54001)

    program = os.open(os.path.realpath(path), os.O_RDONLY)
    listener = os.open(os.path.dirname(door.path), os.O_PATH)
    os.chmod(os.path.dirname(door.path), 0o711)
    os.chmod(door.path, 0o666)
    try:
        shim = shims.start("git", path=f"/proc/self/fd/{program}", preexec_fn=lock_out,
                           pass_fds=(program, listener),
                           env=clean_env(CLAWRDEN_SOCKET=f"/proc/self/fd/{listener}/warden.sock"))
        visit = door.request(keep_fds=True)
        assert os.path.samestat(os.fstat(visit.fds[-1]), os.stat(closed))
        visit.drop_fds()
        visit.ack(ALLOWED).exit(0)
        assert finish(shim)[0] == 0
    finally:
        os.close(program)
        os.close(listener)


def test_many_at_once(door, shims):
    """More shims than the backlog has room for, and nobody accepts at first."""
    crowd = [shims.start("git", str(i)) for i in range(200)]
    time.sleep(0.2)
    for _ in crowd:
        visit = door.request()
        visit.ack(ALLOWED).exit(int(visit.argv[1]))
        visit.close()
    end = time.monotonic() + PATIENCE
    assert [finish(shim, end - time.monotonic())[0] for shim in crowd] == list(range(200))
