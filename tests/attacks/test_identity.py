"""A prisoner cannot choose who it is."""

import array
import os
import socket
import struct
import time

import pytest

from harness import (ACK_ALLOWED, PRISONER, STRANGER, Raw, allow, ask, in_child, request,
                     wait_for)

pytestmark = pytest.mark.root


def ask_raw(path, argv, **more):
    raw = Raw(path)
    try:
        raw.ask(argv, **more)
        return raw.answer()
    except (BrokenPipeError, ConnectionResetError):
        return raw.answer()
    finally:
        raw.close()


def refused(answer):
    ack, code, _ = answer
    return ack != ACK_ALLOWED and code in (125, 126, None)


def test_a_raw_client_works_at_all(make_warden):
    warden = make_warden(allow("true", "false"))
    assert in_child(ask_raw, warden.socket_path(), ["true"])[:2] == (0, 0)
    assert in_child(ask_raw, warden.socket_path(), ["false"])[:2] == (0, 1)
    assert in_child(ask_raw, warden.socket_path(), ["id"])[:2] == (1, 126)


def test_names_in_the_environment_do_not_count(make_warden):
    """The protocol has no field for a uid, pid or jail; what looks like one is only bytes."""
    warden = make_warden({"command": "id", "uid": STRANGER, "action": "allow"},
                         {"command": "id", "jail": "blue", "action": "allow"},
                         jails={"blue": {"commands": ["id"]}})
    env = [f"UID={STRANGER}", "CLAWRDEN_JAIL=blue", f"CLAWRDEN_UID={STRANGER}", "PATH=/usr/bin",
           f"CLAWRDEN_SOCKET={warden.socket_path('blue')}"]
    assert in_child(lambda: ask_raw(warden.socket_path(), ["id"], env=env))[:2] == (1, 126)
    assert warden.recorded(event="denied")["uid"] == PRISONER
    assert in_child(lambda: ask_raw(warden.socket_path("blue"), ["id"], env=env))[:2] == (0, 0)


def forge_credentials(path):
    raw = Raw(path)
    message = request(["id"])
    control = [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("iII", 1, 0, 0))]
    try:
        raw.socket.sendmsg([message], control)
    except PermissionError:
        return "kernel"
    return raw.answer()


def test_forged_credentials(make_warden):
    warden = make_warden({"command": "id", "uid": 0, "action": "allow"})
    answer = in_child(forge_credentials, warden.socket_path())
    assert answer == "kernel" or refused(answer)


def connect_and_pass(path, uid):
    """Connects as one process, lets another of the same user write."""
    raw = Raw(path)
    pid = os.fork()
    if pid == 0:
        try:
            if uid is not None:
                os.setresuid(uid, uid, uid)
            raw.ask(["id"])
        except OSError:
            pass
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return raw.answer()


def test_a_connection_of_another_process(make_warden):
    warden = make_warden(allow("id"))
    assert refused(in_child(connect_and_pass, warden.socket_path(), None))
    assert warden.recorded(event="refused")
    assert not warden.journal(event="started")


def test_a_connection_of_root_used_by_another_user(make_warden):
    warden = make_warden(allow("id"))
    assert refused(in_child(connect_and_pass, warden.socket_path(), PRISONER, uid=0))
    assert not warden.journal(event="started")


def connect_then_change_uid(path):
    raw = Raw(path)
    os.setresgid(PRISONER, PRISONER, PRISONER)
    os.setresuid(PRISONER, PRISONER, PRISONER)
    try:
        raw.ask(["id"])
    except OSError:
        pass
    return raw.answer()


def test_a_uid_that_changed_after_the_connection(make_warden):
    warden = make_warden(allow("id"))
    assert refused(in_child(connect_then_change_uid, warden.socket_path(), uid=0))
    assert not warden.journal(event="started")


def test_a_socket_handed_to_a_stranger(make_warden):
    """The connector sends its connection to a process of another user, which asks."""
    warden = make_warden({"command": "id", "uid": PRISONER, "action": "allow"})
    ours, theirs = socket.socketpair()

    def give(path):
        raw = Raw(path)
        ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [raw.socket.fileno()]))])
        time.sleep(2)
        return raw.answer()

    def take():
        _, control, _, _ = theirs.recvmsg(1, 64)
        fd = array.array("i", control[0][2])[0]
        raw = Raw.__new__(Raw)
        raw.socket = socket.socket(fileno=fd)
        try:
            raw.ask(["id"])
        except OSError:
            pass
        return True

    pid = os.fork()
    if pid == 0:
        try:
            in_child(take, uid=STRANGER)
        finally:
            os._exit(0)
    answer = in_child(give, warden.socket_path())
    os.waitpid(pid, 0)
    assert refused(answer), answer
    assert not warden.journal(event="started")


def second_half_by_another(path):
    raw = Raw(path)
    opened = [os.open("/dev/null", os.O_RDWR) for _ in range(3)]
    opened.append(os.open("/tmp", os.O_PATH))
    message = request(["id"], flags=15)
    raw.send(message[:20], opened)
    pid = os.fork()
    if pid == 0:
        try:
            raw.socket.sendall(message[20:])
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return raw.answer()


def test_the_second_half_comes_from_another_process(make_warden):
    warden = make_warden(allow("id"))
    assert refused(in_child(second_half_by_another, warden.socket_path()))
    assert not warden.journal(event="started")


def connector_dies(path):
    """A grandchild keeps the connection of a process that is gone, whose pid may be used again."""
    raw = Raw(path)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os._exit(0)  # the connector is gone; nobody reads this answer
    os.close(reader)
    try:
        raw.ask(["touch", "/tmp/clawrden-connector-mark"])
        raw.answer()
    finally:
        os.write(writer, b"x")
        os._exit(0)


def test_the_connector_is_gone(make_warden):
    warden = make_warden(allow("touch"))
    mark = "/tmp/clawrden-connector-mark"
    with pytest.raises(Exception):
        in_child(connector_dies, warden.socket_path())
    wait_for(lambda: warden.journal(event="refused"), what="the refusal")
    assert not warden.journal(event="started") and not os.path.exists(mark)


def test_root_on_the_machine_is_root(make_warden):
    """No shim can hold root in the warden's own namespaces (docs/security-model.md says so): it is
    refused with that reason, or it runs as itself and without a way to more."""
    warden = make_warden(allow("grep"))
    result = warden.shim("grep", "-E", "^(Uid|NoNewPrivs)", "/proc/self/status", uid=0)
    if result.code == 125:
        assert result.stderr.startswith("clawrden: ")
    else:
        assert result.stdout.split("\n")[:2] == ["Uid:\t0\t0\t0\t0", "NoNewPrivs:\t1"], result


def api_call(path, target="/api/queue", method="GET"):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(20)
    try:
        client.connect(path)
        client.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                       "Content-Length: 0\r\n\r\n".encode())
        return client.recv(65536)
    except PermissionError:
        return b"connect: permission denied"
    except ConnectionError:
        return b"hung up"


def test_a_prisoner_reaches_for_the_api(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark")
    waiting = warden.pending_id()
    for target, method in (("/api/queue", "GET"), (f"/api/queue/{waiting}/approve", "POST"),
                           ("/api/status", "GET")):
        answer = in_child(api_call, warden.api_socket, target, method)
        assert b" 200 " not in answer.split(b"\r\n")[0], answer
        assert waiting.encode() not in answer
    warden.cli("deny", waiting)
    assert process.wait(20) == 126


def test_a_command_that_runs_for_a_prisoner_reaches_for_the_api(make_warden):
    """It runs as the prisoner and in the warden's own namespaces."""
    warden = make_warden(allow("python3"))
    script = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
              "s.sendall(b'GET /api/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); "
              "print(s.recv(65536)[:15])")
    result = warden.shim("python3", "-c", script, warden.api_socket)
    assert b" 200" not in result.out, result


def test_a_prisoner_cannot_touch_our_files(make_warden):
    warden = make_warden(allow("true"))

    def attempts():
        done = []
        for path in (warden.audit, warden.policy_path, os.path.join(warden.state_dir, "head")):
            for flags in (os.O_WRONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
                try:
                    os.close(os.open(path, flags))
                    done.append(path)
                except OSError:
                    pass
        for path in (warden.socket_path(), warden.api_socket):
            try:
                os.unlink(path)
                done.append(path)
            except OSError:
                pass
            try:
                os.rename(path, path + ".old")
                done.append(path)
            except OSError:
                pass
        return done

    assert in_child(attempts) == []


def test_a_prisoner_cannot_signal_or_trace_us(make_warden):
    warden = make_warden(allow("true"))

    def attempts():
        done = []
        for role, pid in warden.processes().items():
            try:
                os.kill(pid, 0)
                done.append(role)
            except PermissionError:
                pass
            for name in ("mem", "environ", "maps"):
                try:
                    with open(f"/proc/{pid}/{name}", "rb") as file:
                        file.read(1)
                    done.append(f"{role} {name}")
                except (PermissionError, OSError):
                    pass
        return done

    assert in_child(attempts) == []
