"""How long the kill switch takes: from the call until nothing of a hundred commands is alive."""

import statistics
import subprocess
import time

import harness

COMMANDS = 100
ROUNDS = 5
BAR_MS = 500


def alive(pids):
    return [pid for pid in pids if harness.is_alive(pid)]


def once(instance, mark):
    """(milliseconds until all are gone, milliseconds until the answer, survivors)"""
    before = len(instance.journal(event="started"))
    processes = [instance.spawn("sleep", mark, stdin=subprocess.DEVNULL) for _ in range(COMMANDS)]
    harness.wait_for(lambda: len(instance.journal(event="started")) == before + COMMANDS, 120, "a hundred commands")
    pids = [record["pid"] for record in instance.journal(event="started")[before:]]
    begun = time.monotonic()
    answer = subprocess.Popen([harness.program("clawrden-cli"), "--api", f"unix:{instance.api_socket}", "--json",
                               "kill", "--all"], stdout=subprocess.DEVNULL)
    while alive(pids) and time.monotonic() - begun < 30:
        time.sleep(0.005)
    gone = time.monotonic() - begun
    answer.wait(30)
    answered = time.monotonic() - begun
    survivors = len(alive(pids))
    for process in processes:
        process.wait(30)
    assert instance.cli("resume", "--all").code == 0
    return gone * 1000, answered * 1000, survivors


def measure(instance):
    """(median until gone, slowest until gone, median until answered, survivors of all rounds)"""
    found = [once(instance, f"{9000 + i}") for i in range(ROUNDS)]
    gone = [entry[0] for entry in found]
    return (statistics.median(gone), max(gone), statistics.median(entry[1] for entry in found),
            sum(entry[2] for entry in found))
