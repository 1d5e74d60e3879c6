"""One decision per request."""

import os
import subprocess
import threading
import time

from harness import allow, ask, finish, wait_for


def decide_at_once(warden, request, verbs):
    """Several operators at the same moment; their exit codes."""
    codes, barrier = [None] * len(verbs), threading.Barrier(len(verbs))

    def decide(index, verb):
        barrier.wait(10)
        codes[index] = warden.cli(verb, request).code

    threads = [threading.Thread(target=decide, args=item) for item in enumerate(verbs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return codes


def test_two_deciders(make_warden):
    warden = make_warden(ask("sh"))
    for turn in range(5):
        process = warden.spawn("sh", "-c", f"echo x >>turn-{turn}", stdin=subprocess.DEVNULL)
        request = warden.pending_id()
        codes = decide_at_once(warden, request, ["approve", "deny", "approve", "deny"])
        assert sorted(codes) == [0, 1, 1, 1], codes
        approved = codes.index(0) % 2 == 0
        result = finish(process)
        assert (result.code == 0) == approved
        assert os.path.exists(os.path.join(warden.work, f"turn-{turn}")) == approved
        wait_for(lambda: len([record for record in warden.journal(event="late")
                              if request in record["message"]]) == 3,
                 what="the three late decisions are recorded")
        assert warden.events(request).count("decided") == 1
    warden.verify()


def test_a_decision_after_expiry(make_warden):
    warden = make_warden(ask("touch"), approval_timeout="1s")
    process = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    assert finish(process).code == 126
    assert warden.cli("approve", request).code == 1
    assert request in warden.recorded(event="late")["message"]
    time.sleep(0.5)
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    again = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    assert warden.pending_id() != request, "it must be asked anew"
    again.kill()


def test_a_decision_after_the_end(make_warden):
    warden = make_warden(ask("sh"))
    process = warden.spawn("sh", "-c", "echo x >>runs", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    warden.cli("approve", request)
    assert finish(process).code == 0
    assert warden.cli("approve", request).code == 1
    assert warden.cli("deny", request).code == 1
    time.sleep(0.3)
    with open(os.path.join(warden.work, "runs")) as file:
        assert file.read() == "x\n"


def test_a_denial_cannot_be_undone(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    assert warden.cli("deny", request).code == 0
    assert finish(process).code == 126
    assert warden.cli("approve", request).code == 1
    assert not os.path.exists(os.path.join(warden.work, "mark"))


def test_an_approval_at_the_moment_of_expiry(make_warden):
    """Either it was in time and the command runs once, or it was late and it does not."""
    warden = make_warden(ask("sh"), allow("true"), approval_timeout="1s")
    for turn in range(4):
        process = warden.spawn("sh", "-c", f"echo x >>turn-{turn}", stdin=subprocess.DEVNULL)
        request = warden.pending_id()
        time.sleep(0.85 + 0.03 * turn)
        code = warden.cli("approve", request).code
        result = finish(process)
        ran = os.path.exists(os.path.join(warden.work, f"turn-{turn}"))
        assert ran == (code == 0) == (result.code == 0), (code, result)
    warden.verify()


def test_an_old_id_after_a_restart(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    warden.restart()
    finish(process)
    assert warden.cli("approve", request).code == 1
    time.sleep(0.3)
    assert not os.path.exists(os.path.join(warden.work, "mark"))
