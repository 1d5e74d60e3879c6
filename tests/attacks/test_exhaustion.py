"""A prisoner cannot exhaust the warden; another jail works normally meanwhile."""

import os
import resource
import socket
import subprocess
import time

import pytest

from harness import (ACK_DENIED, ACK_PENDING, PRISONER, SANITIZED, Raw, allow, as_user, ask, in_child, policy,
                     request, wait_for)

JAILS = {"flood": {"commands": ["true"], "limits": {"connections": 50, "pending": 5}},
         "calm": {"commands": ["true"]}}


def calm_works(warden, times=10):
    for _ in range(times):
        result = warden.shim("true", jail="calm")
        assert result.code == 0 and result.seconds < (10 if SANITIZED else 3), result


def connect_silently(path, count, seconds):
    """Thousands of connections that say nothing; how many the door let be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = []
    for _ in range(count):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)
        try:
            client.connect(path)
        except OSError:
            client.close()
            time.sleep(0.001)
            continue
        held.append(client)
    time.sleep(seconds)
    alive = 0
    for client in held:
        try:
            if client.recv(1):
                pass
        except BlockingIOError:
            alive += 1
        except OSError:
            pass
    return len(held), alive


def in_background(function, *arguments, timeout=60):
    pid = os.fork()
    if pid == 0:
        try:
            in_child(function, *arguments, timeout=timeout)
        finally:
            os._exit(0)
    return pid


def test_silent_connections(make_warden):
    warden = make_warden(allow("true"), jails=JAILS)
    pid = in_background(connect_silently, warden.socket_path("flood"), 3000, 4)
    time.sleep(1)
    calm_works(warden)
    door = next(pid for role, pid in warden.processes().items() if role.startswith("door/flo"))
    assert len(os.listdir(f"/proc/{door}/fd")) < 150
    os.waitpid(pid, 0)
    wait_for(lambda: warden.shim("true", jail="flood").code == 0, 30, "the jail works again")


def test_silent_connections_are_counted(make_warden):
    warden = make_warden(allow("true"), jails=JAILS)
    held, alive = in_child(connect_silently, warden.socket_path("flood"), 400, 2, timeout=60)
    assert held >= 50 and alive <= 51


def test_silence_ends(make_warden):
    """A connection that says nothing is closed after a while (30 s at most)."""
    warden = make_warden(allow("true"), jails=JAILS)

    def wait_silently(path):
        raw = Raw(path, timeout=45)
        start = time.monotonic()
        raw.answer()
        return time.monotonic() - start

    assert in_child(wait_silently, warden.socket_path("flood"), timeout=60) < 40


def test_a_flood_of_questions(make_warden):
    warden = make_warden(ask("touch"), allow("true"), jails=JAILS)
    running = [warden.spawn("touch", f"mark-{i}", jail="flood", stdin=subprocess.DEVNULL) for i in range(30)]
    wait_for(lambda: sum(process.poll() is not None for process in running) >= 25,
             what="the refusal of all but five")
    codes = [process.poll() for process in running if process.poll() is not None]
    assert set(codes) <= {125, 126}, codes
    assert len(warden.queue()) <= 5
    refused = next(process for process in running if process.poll() is not None)
    assert b"clawrden: " in refused.stderr.read()
    # Another jail may ask.
    other = warden.spawn("touch", "other", jail="calm")
    wait_for(lambda: any("other" in str(entry) for entry in warden.queue()), what="the other jail's question")
    calm_works(warden, 3)
    for entry in warden.queue():
        warden.cli("deny", entry["id"])
    assert other.wait(20) == 126
    assert not [name for name in os.listdir(warden.work) if name.startswith("mark")]
    warden.verify()


def hold_large_requests(path, seconds):
    held = []
    for _ in range(60):
        raw = Raw(path)
        message = request(["true"], env=["X=" + "y" * 5_000_000], flags=15)
        try:
            opened = [os.open("/dev/null", os.O_RDWR) for _ in range(3)] + [os.open("/tmp", os.O_PATH)]
            raw.socket.settimeout(2)
            raw.send(message[:-1], opened)
        except OSError:
            pass
        for fd in opened:
            os.close(fd)
        held.append(raw)
    time.sleep(seconds)
    return True


def hold_empty_strings(path, count):
    """Requests that wait for a human, each of 300,000 empty strings; the answers that came at once."""
    held, answers = [], []
    message = request(["touch"], env=[""] * 300_000, flags=15)
    for _ in range(count):
        raw = Raw(path, timeout=10)
        opened = [os.open("/dev/null", os.O_RDWR) for _ in range(3)] + [os.open("/tmp", os.O_PATH)]
        try:
            raw.send(message, opened)
        except OSError:
            pass
        for fd in opened:
            os.close(fd)
        held.append(raw)
        first = raw.read(1)[0]
        answers.append(raw.frame()[1].decode() if first == ACK_DENIED else first)
    return answers


def test_empty_strings_are_charged_what_they_cost(make_warden):
    """300,000 empty strings are 0.3 MB on the wire and 2.7 MB once they are decoded."""
    warden = make_warden(ask("touch"), jails={"flood": {"limits": {"bytes": 6_000_000}},
                                              "calm": {"commands": ["true"]}})
    answers = in_child(hold_empty_strings, warden.socket_path("flood"), 4, timeout=60)
    assert answers[:2] == [ACK_PENDING] * 2
    assert all('limit "bytes"' in answer for answer in answers[2:]), answers


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.release_only
def test_large_requests_are_limited(make_warden):
    warden = make_warden(allow("true"), jails=JAILS)
    pid = in_background(hold_large_requests, warden.socket_path("flood"), 3, timeout=200)
    end = time.monotonic() + 4
    most = 0
    while time.monotonic() < end:
        for role, process in warden.processes().items():
            if role.startswith("door/flo"):
                most = max(most, resident(process))
        calm_works(warden, 1)
    assert most < 200 * 1024 * 1024
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def test_a_flood_of_commands(make_warden):
    """One jail in a loop; another is served meanwhile."""
    warden = make_warden(allow("true"), jails=JAILS)
    warden.stand_in("true")
    script = f"for i in $(seq 8); do (while :; do {warden.bin}/true; done) & done; sleep 4; kill 0"
    process = subprocess.Popen(["/bin/sh", "-c", script], env=warden.shim_env("flood"), cwd=warden.work,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True,
                               **as_user(PRISONER))
    warden.started.append(process)
    time.sleep(0.5)
    calm_works(warden)
    process.wait(30)


def test_many_running_commands(make_warden):
    warden = make_warden(allow("sleep", "true"), jails=JAILS)
    running = [warden.spawn("sleep", "5", jail="flood", stdin=subprocess.DEVNULL) for _ in range(70)]
    time.sleep(2)
    calm_works(warden)
    codes = [process.wait(60) for process in running]
    assert codes.count(0) >= 40 and set(codes) <= {0, 125}, codes


STUBBORN = "trap '' TERM; : > $0; while :; do sleep 1; done"


def start_stubborn(warden, jail, count):
    """Commands that ignore TERM and have said so by a file of their own each."""
    marks = [os.path.join(warden.work, f"{jail}-{i}") for i in range(count)]
    running = [warden.spawn("sh", "-c", STUBBORN, mark, jail=jail, stdin=subprocess.DEVNULL) for mark in marks]
    wait_for(lambda: all(map(os.path.exists, marks)), what="they all run")
    for mark in marks:
        os.unlink(mark)
    return running


def test_a_jail_has_its_share_of_commands(make_warden):
    jails = {"flood": {"limits": {"commands": 5}}, "calm": {"commands": ["true"]}}
    warden = make_warden(allow("sh", "true", "sleep"), jails=jails)
    running = start_stubborn(warden, "flood", 5)
    for _ in range(3):
        result = warden.shim("true", jail="flood")
        assert result.code == 125 and b'limit "commands"' in result.err, result
    assert "commands" in warden.recorded(event="refused", jail="flood")["reason"]
    calm_works(warden, 5)

    # A limit that grows is in force at once.
    jails["flood"]["limits"]["commands"] = 6
    warden.write_policy(policy(*allow("sh", "true", "sleep"), jails=jails))
    wait_for(lambda: warden.shim("true", jail="flood").code == 0, what="room for one more")
    for process in running:
        process.kill()
        process.wait()
    wait_for(lambda: len(warden.journal(event="ended", jail="flood", signal=9)) == 5, what="their ends")


def test_who_has_left_makes_room(make_warden):
    """Callers that leave their commands behind, again and again: no wait for the grace of any."""
    warden = make_warden(allow("sh", "true"), jails={"flood": {"limits": {"commands": 5}},
                                                     "calm": {"commands": ["true"]}})
    for _ in range(3):
        for process in start_stubborn(warden, "flood", 5):
            process.kill()
            process.wait()
        wait_for(lambda: warden.shim("true", jail="flood").code == 0, 20 if SANITIZED else 4,
                 "the jail's own room")
        calm_works(warden, 2)
    warden.verify()


def test_a_door_that_is_killed_comes_back(make_warden):
    warden = make_warden(allow("true"), jails=JAILS)
    calm_works(warden, 1)
    door = next(pid for role, pid in warden.processes().items() if role.startswith("door") and "flo" in role)
    os.kill(door, 9)
    calm_works(warden, 3)
    wait_for(lambda: warden.shim("true", jail="flood").code == 0, 30, "the door is back")


def test_many_descriptors_in_flight(make_warden):
    warden = make_warden(allow("true"), jails=JAILS)

    def flood(path):
        null = os.open("/dev/null", os.O_RDWR)
        clients = []
        for _ in range(100):
            try:
                raw = Raw(path, timeout=2)
                raw.send(b"C", [null] * 250)
                clients.append(raw)
            except OSError:
                pass
        time.sleep(2)
        return True

    pid = in_background(flood, warden.socket_path("flood"))
    time.sleep(0.5)
    calm_works(warden)
    os.waitpid(pid, 0)
    wait_for(lambda: warden.shim("true", jail="flood").code == 0, 30, "the jail works again")


def hold_in_flight(uid, count, mark):
    """Descriptors that are sent and not received, as the user `uid`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.setresuid(uid, uid, uid)
    pairs, sent = [], 0
    while sent < count:
        pairs.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        socket.send_fds(pairs[-1][0], [b"x"], [0] * 250)
        sent += 250
    mark.send(b"x")
    time.sleep(60)


@pytest.mark.root
@pytest.mark.parametrize("user", ["door", "api"])
def test_descriptors_in_flight_of_the_same_user(make_warden, user):
    """Root in a container can be any user of the machine, those of the warden's processes too."""
    warden = make_warden(allow("true"), jails=JAILS)
    role = next(role for role in warden.processes() if role.split("/")[0] == user)
    with open(f"/proc/{warden.processes()[role]}/status", encoding="ascii") as file:
        uid = int(next(line for line in file if line.startswith("Uid:")).split()[1])
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            hold_in_flight(uid, 8000, theirs)
        finally:
            os._exit(1)
    try:
        ours.settimeout(30)
        assert ours.recv(1) == b"x"
        calm_works(warden)
        assert warden.cli("status").code == 0 and warden.cli("queue").code == 0
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        ours.close()
        theirs.close()
