"""No warden, a bad one, a busy one: 125, a line that says so, never a hang."""

import os
import signal
import socket
import subprocess
import time

import pytest

from fakedoor import (ALLOWED, DENIED, IN_JOURNAL, JOURNAL_KNOWS, NOTHING_RUN, SANITIZED, Door, clean_env, finish,
                      finish_in_flight, state_of, wait_until)

REACH = "clawrden: cannot reach the warden at {}: {}; nothing was run\n"


def refuse(shims, path, reason, **options):
    shim = shims.start("git", env=clean_env(CLAWRDEN_SOCKET=str(path)), **options)
    assert finish(shim) == (125, b"", REACH.format(path, reason).encode())


def test_no_socket(shims, tmp_path):
    refuse(shims, tmp_path / "none.sock", "No such file or directory")


def test_nobody_listens(shims, tmp_path):
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    refuse(shims, path, "Connection refused")


def test_not_a_socket(shims, tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    refuse(shims, path, "Connection refused")


def test_a_datagram_socket(shims, tmp_path):
    path = tmp_path / "datagram.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        shim = shims.start("git", env=clean_env(CLAWRDEN_SOCKET=str(path)))
        code, _, err = finish(shim)
    assert code == 125 and err.startswith(b"clawrden: cannot reach the warden at ")


def test_a_path_that_no_socket_can_have(shims):
    code, out, err = finish(shims.start("git", env=clean_env(CLAWRDEN_SOCKET="/x" * 100)))
    assert (code, out) == (125, b"")
    assert err.startswith(b"clawrden: cannot reach the warden at /x/x")
    assert b"ame too long; nothing was run\n" in err


@pytest.mark.skipif(os.path.exists("/run/clawrden/warden.sock"), reason="a warden runs here")
@pytest.mark.parametrize("env", [{}, {"CLAWRDEN_SOCKET": ""}])
def test_default_socket(shims, env):
    process = subprocess.Popen(["git"], executable=shims.stand_in("git"), env={**clean_env(), **env},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    shims.started.append(process)
    code, _, err = finish(process)
    assert code == 125
    assert err.startswith(b"clawrden: cannot reach the warden at /run/clawrden/warden.sock: ")


def test_with_no_stderr(shims, tmp_path):
    shim = shims.start("git", env=clean_env(CLAWRDEN_SOCKET=str(tmp_path / "none")),
                       preexec_fn=lambda: os.close(2))
    assert finish(shim) == (125, b"", b"")


def test_with_a_stderr_that_nobody_reads(shims, tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    shim = shims.start("git", env=clean_env(CLAWRDEN_SOCKET=str(tmp_path / "none")),
                       stderr=write_end)
    os.close(write_end)
    assert shim.wait(20) == 125


def fill_backlog(path):
    """Connections until the backlog has no room."""
    held = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        held.append(client)
        try:
            client.connect(path)
        except BlockingIOError:
            return held


def test_a_full_backlog_that_empties(door, shims, tmp_path):
    busy = Door(tmp_path / "busy.sock", backlog=1)
    held = fill_backlog(busy.path)
    shim = shims.start("git", env=clean_env(CLAWRDEN_SOCKET=busy.path))
    time.sleep(0.5)
    assert shim.poll() is None
    for _ in held[:-1]:
        busy.accept()
    visit = busy.request().ack(ALLOWED).message(b"runs")
    assert shim.stderr.readline() == b"clawrden: runs\n"
    shim.send_signal(signal.SIGTERM)  # watched again, though it was let through meanwhile
    assert visit.read_signal() == (signal.SIGTERM, 0)
    visit.exit(3)
    assert finish(shim) == (3, b"", b"")
    busy.close()
    for client in held:
        client.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_at_a_full_backlog(door, shims, tmp_path, number):
    busy = Door(tmp_path / "busy.sock", backlog=1)
    held = fill_backlog(busy.path)
    shim = shims.start("git", env=clean_env(CLAWRDEN_SOCKET=busy.path))
    wait_until(lambda: state_of(shim.pid) == "S")
    shim.send_signal(number)
    assert finish(shim) == (-number, b"", b"")
    busy.close()
    for client in held:
        client.close()


def test_a_full_backlog_that_stays(door, shims, tmp_path):
    busy = Door(tmp_path / "busy.sock", backlog=1)
    held = fill_backlog(busy.path)
    begun = time.monotonic()
    shim = shims.start("git", hasty=True, env=clean_env(CLAWRDEN_SOCKET=busy.path))
    code, _, err = finish(shim)
    assert code == 125
    assert err.startswith(b"clawrden: cannot reach the warden at ") and err.endswith(NOTHING_RUN)
    assert 0.8 < time.monotonic() - begun < (10 if SANITIZED else 3)
    busy.close()
    for client in held:
        client.close()


LARGE = [b"x" * 100_000] * 15  # more than the socket's buffers take


def test_a_door_that_does_not_read(door, shims):
    shim = shims.start("cat", *LARGE, hasty=True)
    visit = door.accept()
    assert finish_in_flight(shim) == (125, b"clawrden: the warden does not read the command" +
                                      NOTHING_RUN)
    visit.close()


def test_a_door_that_never_accepts(door, shims):
    shim = shims.start("git", hasty=True)
    assert finish_in_flight(shim) == (125, b"clawrden: the warden has gone silent" + JOURNAL_KNOWS)


@pytest.mark.parametrize("close", [False, True])
def test_refused_before_everything_was_sent(door, shims, close):
    shim = shims.start("cat", *LARGE)
    visit = door.accept().read_header()
    visit.drop_fds()
    visit.ack(DENIED).message(b"denied: too many requests").exit(126)
    if close:  # with bytes unread: the shim's next write or read may fail with ECONNRESET
        visit.close()
    assert finish(shim) == (126, b"", b"clawrden: denied: too many requests\n")


def test_refused_at_once(door, shims):
    for _ in range(20):
        shim = shims.start("git")
        visit = door.accept()
        visit.ack(DENIED).message(b"denied: full").exit(126)
        visit.close()
        assert finish(shim) == (126, b"", b"clawrden: denied: full\n")


def test_closed_at_once(door, shims):
    for _ in range(20):
        shim = shims.start("git")
        door.accept().close()
        code, _, err = finish(shim)
        assert code == 125
        assert err in (b"clawrden: the warden closed the connection" + JOURNAL_KNOWS,
                       b"clawrden: the warden closed the connection" + NOTHING_RUN)  # half sent


@pytest.mark.parametrize("answer", [b"\0", b"\2"])
def test_allowed_before_everything_was_sent(door, shims, answer):
    shim = shims.start("cat", *LARGE)
    visit = door.accept().read_header()
    visit.drop_fds()
    visit.send(answer)
    assert finish(shim) == (125, b"", b"clawrden: the warden answered with something that is not "
                            b"the shim's protocol" + NOTHING_RUN)


def test_descriptors_left_to_the_caller(shims, door):
    """Extra descriptors that the caller left open neither travel nor trouble."""
    extra = [os.open("/dev/null", os.O_RDONLY) for _ in range(50)]
    shim = shims.start("git", pass_fds=extra)
    visit = door.request(keep_fds=True)
    assert len(visit.fds) == 4
    visit.drop_fds()
    visit.ack(ALLOWED).exit(0)
    assert finish(shim)[0] == 0
    for fd in extra:
        os.close(fd)


def test_no_descriptors_left(shims, door):
    import resource
    shim = shims.start("git", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4)))
    code, _, err = finish(shim)
    assert code == 125 and err.startswith(b"clawrden: ") and err.endswith(NOTHING_RUN)


def test_the_journal_is_named_once_it_ran(shims, door):
    shim = shims.start("git")
    visit = door.request().ack(ALLOWED)
    visit.frame(1, b"partial output")
    visit.close()
    assert finish(shim) == (125, b"partial output",
                            b"clawrden: the warden closed the connection" + IN_JOURNAL)
