"""Messages that are not what the protocol says."""

import array
import contextlib
import os
import random
import socket
import struct
import time

import pytest

from harness import (ACK_ALLOWED, FLAG_DIRECT, FLAG_STDERR, FLAG_STDIN, FLAG_STDOUT, FRAME_CANCEL, FRAME_SIGNAL,
                     FRAME_WINDOW, HEADER, SANITIZED, Raw, allow, ask, in_child, request, wait_for)

ALL_FLAGS = FLAG_DIRECT | FLAG_STDIN | FLAG_STDOUT | FLAG_STDERR


def descriptors():
    opened = [os.open("/dev/null", os.O_RDWR) for _ in range(3)]
    opened.append(os.open("/tmp", os.O_PATH))
    return opened


def send_and_listen(path, message, fds=None, shut=False):
    raw = Raw(path, timeout=30)
    try:
        raw.send(message, descriptors() if fds is None else fds)
        if shut:
            raw.socket.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return raw.answer()


def good(**more):
    return request(["true"], flags=ALL_FLAGS, **more)


WHOLE = good()

BAD = {
    "magic": good(magic=0),
    "version 0": good(version=0),
    "version 65535": good(version=65535),
    "unknown flags": request(["true"], flags=0xFFFF),
    "no argv": good(argc=0, argv_size=0),
    "argc too large": good(argc=2),
    "argc too small": request(["true", "a"], flags=ALL_FLAGS, argc=1),
    "argc huge": good(argc=0xFFFFFFFF),
    "envc huge": good(envc=0xFFFFFFFF),
    "path_size 0": good(path_size=0),
    "path_size huge": good(path_size=0xFFFFFFFF),
    "cwd_size huge": good(cwd_size=0xFFFFFFFF),
    "argv_size huge": good(argv_size=0xFFFFFFFF),
    "env_size huge": good(env_size=0xFFFFFFFF),
    "sizes that wrap around": good(argv_size=0x80000000, env_size=0x80000000),
    "sizes over the limit": good(env_size=7 * 1024 * 1024),
    "no NUL at the end": HEADER.pack(0x57414C43, 1, ALL_FLAGS, 0, 5, 5, 1, 5, 0, 0) + b"true\0/tmp\0truex",
    "path not one string": HEADER.pack(0x57414C43, 1, ALL_FLAGS, 0, 5, 5, 1, 5, 0, 0) + b"t\0ue\0/tmp\0true\0",
    "zeros": bytes(4096),
    "text": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10,
}


@pytest.fixture
def warden(make_warden):
    return make_warden(allow("true"))


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_request_is_refused(warden, name):
    ack, code, _ = in_child(send_and_listen, warden.socket_path(), BAD[name], None, True)
    assert ack != ACK_ALLOWED and code in (125, 126, None)
    assert not warden.journal(event="started")
    assert warden.shim("true").code == 0


def test_bytes_after_the_request(warden):
    """More than was announced is not part of the request, nor may it do any harm."""
    in_child(send_and_listen, warden.socket_path(), WHOLE + bytes(100))
    in_child(send_and_listen, warden.socket_path(), WHOLE + WHOLE)
    assert warden.shim("true").code == 0
    assert len(warden.journal(event="started")) <= 3


def test_every_truncation(warden):
    def truncations():
        answers = set()
        for size in range(len(WHOLE)):
            answers.add(send_and_listen(warden.socket_path(), WHOLE[:size] or b"", shut=True)[:2]
                        if size else (None, None))
        return answers

    answers = in_child(truncations, timeout=60)
    assert all(ack != ACK_ALLOWED and code in (125, 126, None) for ack, code in answers), answers
    assert not warden.journal(event="started")
    assert warden.shim("true").code == 0


def test_random_bytes(warden):
    def noise():
        source = random.Random(1)
        for _ in range(300):
            message = bytearray(WHOLE)
            for _ in range(source.randint(1, 8)):
                message[source.randrange(len(message))] = source.randrange(256)
            raw = Raw(warden.socket_path(), timeout=5)
            try:
                raw.send(bytes(message), descriptors())
                raw.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            raw.close()
        return True

    in_child(noise, timeout=60)
    assert warden.shim("true").code == 0


def byte_by_byte(path, pause):
    raw = Raw(path)
    fds = descriptors()
    raw.send(WHOLE[:1], fds)
    for byte in WHOLE[1:]:
        raw.socket.sendall(bytes([byte]))
        time.sleep(pause)
    return raw.answer()


def test_one_byte_at_a_time(warden):
    assert in_child(byte_by_byte, warden.socket_path(), 0.001)[:2] == (0, 0)


def stay_half(path, seconds):
    raw = Raw(path, timeout=seconds)
    raw.send(WHOLE[:30], descriptors())
    start = time.monotonic()
    answer = raw.answer()
    return answer, time.monotonic() - start


def test_half_a_request_does_not_stay_for_ever(warden):
    answer, seconds = in_child(stay_half, warden.socket_path(), 50, timeout=60)
    assert answer[0] != ACK_ALLOWED and seconds < 45
    assert warden.shim("true").code == 0


def test_a_slow_sender_does_not_slow_others(warden):
    pid = os.fork()
    if pid == 0:
        try:
            in_child(byte_by_byte, warden.socket_path(), 0.05, timeout=30)
        finally:
            os._exit(0)
    for _ in range(10):
        result = warden.shim("true")
        assert result.code == 0 and result.seconds < 3
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def odd_frames(path, frames):
    raw = Raw(path)
    raw.ask(["sleep", "1"])
    time.sleep(0.3)
    for frame in frames:
        try:
            raw.socket.sendall(frame)
        except (BrokenPipeError, ConnectionResetError):
            break
    return raw.answer()


def frame(kind, payload=b"", size=None):
    return struct.pack("<BI", kind, len(payload) if size is None else size) + payload


@pytest.mark.parametrize("name, frames", [
    ("unknown type", [frame(77)]),
    ("type 0", [frame(0, b"x" * 10)]),
    ("too large", [frame(FRAME_SIGNAL, b"", 0xFFFFFFFF)]),
    ("signal without payload", [frame(FRAME_SIGNAL)]),
    ("signal too long", [frame(FRAME_SIGNAL, b"\x02\x00\x00")]),
    ("signal 0", [frame(FRAME_SIGNAL, b"\x00\x00")]),
    ("signal 9", [frame(FRAME_SIGNAL, b"\x09\x00")]),
    ("signal 255", [frame(FRAME_SIGNAL, b"\xff\x00")]),
    ("window too short", [frame(FRAME_WINDOW, b"\x01")]),
    ("an exit of our own", [frame(3, b"\x00\x00")]),
    ("stdin that is not ours", [frame(5, b"x" * 1000), frame(6)]),
    ("cancel while it runs", [frame(FRAME_CANCEL)]),
    ("many", [frame(FRAME_WINDOW, b"\x01\x00\x01\x00")] * 5000),
    ("half a frame", [b"\x07\x02"]),
])
def test_odd_frames_while_it_runs(make_warden, name, frames):
    warden = make_warden(allow("sleep", "true"))
    ack, code, _ = in_child(odd_frames, warden.socket_path(), frames)
    assert ack == ACK_ALLOWED or code in (125, 126, None), (name, ack, code)
    wait_for(lambda: warden.journal(event="ended"), what="the end is recorded")
    assert warden.shim("true").code == 0
    warden.verify()


def frames_before_the_verdict(path):
    raw = Raw(path)
    raw.ask(["touch", "mark"])
    raw.socket.sendall(frame(FRAME_SIGNAL, b"\x0f\x00") + frame(99) + bytes([0, 0, 0]))
    return raw.answer()


def test_frames_out_of_order_while_pending(make_warden):
    warden = make_warden(ask("touch"), approval_timeout="2s")
    ack, code, _ = in_child(frames_before_the_verdict, warden.socket_path())
    assert ack != ACK_ALLOWED and code in (125, 126, None)
    assert not warden.journal(event="started")
    assert warden.shim("id").code == 126


# Frames in the same breath as the request: nothing else makes the door look at them.

def in_one_breath(path, command, *frames):
    raw = Raw(path)
    opened = descriptors()
    raw.socket.sendmsg([request(command, flags=ALL_FLAGS) + b"".join(frames)],
                       [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", opened))])
    return raw.answer()


def test_a_signal_with_the_request(make_warden):
    warden = make_warden(allow("sleep"))
    ack, code, _ = in_child(in_one_breath, warden.socket_path(), ["sleep", "1000"],
                            frame(FRAME_SIGNAL, b"\x0f\x00"))
    assert ack == ACK_ALLOWED and code == -15
    assert warden.recorded(event="ended")["signal"] == 15


def test_a_cancel_with_the_request(make_warden):
    warden = make_warden(ask("touch"))
    ack, code, _ = in_child(in_one_breath, warden.socket_path(), ["touch", "mark"], frame(FRAME_CANCEL))
    assert ack != ACK_ALLOWED and code in (125, 126, None)
    assert warden.recorded(event="cancelled")
    assert not warden.queue()


@pytest.mark.parametrize("bad", [frame(99), frame(FRAME_CANCEL, b"x"), b"\x07\xff\xff\xff\xff"])
def test_a_bad_frame_with_the_request(make_warden, bad):
    warden = make_warden(ask("touch"), allow("true"))
    assert in_child(in_one_breath, warden.socket_path(), ["touch", "mark"], bad) == (None, None, [])
    assert warden.shim("true").code == 0
    assert len(warden.journal(event="started")) == 1 and not os.path.exists("/tmp/mark")


def test_frames_behind_a_refused_request(make_warden):
    warden = make_warden(allow("true"))
    answer = in_child(in_one_breath, warden.socket_path(), ["true"] * 2, frame(FRAME_SIGNAL, b"\x0f\x00"), WHOLE)
    assert answer == (None, None, [])
    broken = request(["true"], flags=ALL_FLAGS & ~FLAG_STDIN) + frame(FRAME_CANCEL)
    ack, code, _ = in_child(send_and_listen, warden.socket_path(), broken)
    assert ack != ACK_ALLOWED and code == 125
    assert warden.shim("true").code == 0


def does_not_read(path):
    raw = Raw(path)
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    raw.ask(["sleep", "2"])
    time.sleep(4)
    return True


def test_a_shim_that_does_not_read(make_warden):
    warden = make_warden(allow("sleep", "true"))
    pid = os.fork()
    if pid == 0:
        try:
            in_child(does_not_read, warden.socket_path())
        finally:
            os._exit(0)
    for _ in range(5):
        assert warden.shim("true").code == 0
    os.waitpid(pid, 0)
    warden.recorded(event="ended")


# Descriptors.

def count_fds(warden):
    return {role: len(os.listdir(f"/proc/{pid}/fd")) for role, pid in warden.processes().items()}


def count_fds_at_rest(warden):
    """Once the api has answered, whose start READY does not wait for."""
    assert warden.cli("status").code == 0
    return count_fds(warden)


def expect_fds(warden, before):
    """No process holds more than before. The executor may hold a few for the next command, which
    it makes ready while nobody waits; what an attack leaves behind is tens."""
    def grown():
        spare = {"executor": 6}
        return {role: (before.get(role, 0), count) for role, count in count_fds(warden).items()
                if count > before.get(role, 0) + spare.get(role, 0)}
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not grown())
    assert not grown()


def with_fds(path, kind):
    null = os.open("/dev/null", os.O_RDWR)
    directory = os.open("/tmp", os.O_PATH)
    reader, writer = os.pipe()
    pair = socket.socketpair()
    kinds = {
        "none": [],
        "too few": [null, null],
        "too many": [null, null, null, directory, null, null],
        "very many": [null] * 200,
        "cwd is a file": [null, null, null, null],
        "cwd is a socket": [null, null, null, pair[0].fileno()],
        "cwd is a pipe": [null, null, null, reader],
        "cwd may be read": [null, null, null, os.open("/tmp", os.O_RDONLY)],
        "stdio is the directory": [directory, directory, directory, directory],
        "stdin is the connection": [null, null, null, directory],
    }
    fds = kinds[kind]
    raw = Raw(path)
    if kind == "stdin is the connection":
        fds = [raw.socket.fileno(), null, null, directory]
    try:
        raw.send(WHOLE, fds)
    except (BrokenPipeError, ConnectionResetError):
        pass
    answer = raw.answer()
    os.close(writer)
    return answer


@pytest.mark.parametrize("kind, may_run", [
    ("none", False), ("too few", False), ("too many", False), ("very many", False),
    ("cwd is a file", False), ("cwd is a socket", False), ("cwd is a pipe", False),
    ("cwd may be read", None), ("stdio is the directory", None), ("stdin is the connection", None),
])
def test_wrong_descriptors(warden, kind, may_run):
    assert warden.shim("true").code == 0
    wait_for(lambda: warden.journal(event="ended"))
    time.sleep(0.2)
    before = count_fds_at_rest(warden)
    answers = in_child(lambda: [with_fds(warden.socket_path(), kind) for _ in range(20)], timeout=60)
    for ack, code, _ in answers:
        assert code is not None or ack is None
        if may_run is False:
            assert ack != ACK_ALLOWED and code in (125, 126, None)
    assert warden.shim("true").code == 0
    expect_fds(warden, before)


def late_fds(path):
    raw = Raw(path)
    raw.socket.sendall(WHOLE[:20])
    time.sleep(0.3)  # else both arrive as one piece, which is as good as the protocol
    raw.socket.sendmsg([WHOLE[20:]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors()))])
    return raw.answer()


def test_descriptors_with_a_later_byte(warden):
    ack, code, _ = in_child(late_fds, warden.socket_path())
    assert ack != ACK_ALLOWED and code in (125, 126, None)


def fds_again_and_again(path):
    raw = Raw(path)
    raw.send(WHOLE[:1], descriptors())
    for byte in WHOLE[1:-1]:
        try:
            raw.socket.sendmsg([bytes([byte])], [
                (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors()))])
        except OSError:
            return raw.answer()
    time.sleep(0.5)
    return raw.answer()


def test_descriptors_with_every_byte(warden):
    before = count_fds_at_rest(warden)
    ack, code, _ = in_child(fds_again_and_again, warden.socket_path(), timeout=60)
    assert ack != ACK_ALLOWED and code in (125, 126, None)
    expect_fds(warden, before)


def fds_while_it_runs(path):
    raw = Raw(path)
    raw.ask(["sleep", "1"])
    time.sleep(0.2)
    for _ in range(50):
        try:
            raw.socket.sendmsg([frame(FRAME_WINDOW, b"\x01\x00\x01\x00")], [
                (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors()))])
        except OSError:
            break
    return raw.answer()


def test_descriptors_with_frames(make_warden):
    warden = make_warden(allow("sleep", "true"))
    assert warden.shim("true").code == 0
    time.sleep(0.3)
    before = count_fds_at_rest(warden)
    in_child(fds_while_it_runs, warden.socket_path())
    expect_fds(warden, before)


def lingering_socket():
    """A connected TCP socket whose close blocks: its peer never reads and SO_LINGER is 20 s."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    client.setblocking(False)
    try:
        while True:
            client.send(bytes(65536))
    except BlockingIOError:
        pass
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 20))
    return client, server, listener


def pass_lingering(path, command):
    client, *keep = lingering_socket()
    null = os.open("/dev/null", os.O_RDWR)
    raw = Raw(path)
    raw.send(request(command, flags=ALL_FLAGS), [client.fileno(), null, null, os.open("/tmp", os.O_PATH)])
    fd = os.open("/dev/null", os.O_RDWR)
    os.dup2(fd, client.fileno())  # ours is gone without a close that blocks: theirs is the last
    time.sleep(8)
    return bool(keep)


@pytest.mark.parametrize("command", [["true"], ["id"]])
def test_a_socket_whose_close_blocks(make_warden, command):
    warden = make_warden(allow("true"), jails={"other": {"commands": ["true"]}})
    pid = os.fork()
    if pid == 0:
        try:
            in_child(pass_lingering, warden.socket_path(), command, timeout=30)
        finally:
            os._exit(0)
    time.sleep(1)
    for _ in range(10):
        result = warden.shim("true", jail="other")
        assert result.code == 0 and result.seconds < (10 if SANITIZED else 3), result
        assert warden.cli("status").code == 0
    os.waitpid(pid, 0)


def test_a_message_cannot_inject_lines(make_warden):
    """What a prisoner passes never breaks a line of ours, in no display."""
    warden = make_warden({"command": "id", "action": "deny"})
    evil = "x\nclawrden: denied: fake\r\x1b[2K\u202e\u0000".replace("\u0000", "")
    result = warden.shim("id", evil)
    assert result.code == 126 and result.err.count(b"\n") == 1 and b"\x1b" not in result.err
    assert warden.recorded(event="denied")["argv"] == ["id", evil]
    assert "\x1b" not in warden.log()
