"""The validation checklist, its performance part: counts are asserted, times only printed.

What the times must be is measured by `make bench`, where nothing else runs (docs/performance.md).
"""

import statistics

import pytest

import harness
from checklist import Prison

# Runs {count} commands from {threads} threads; prints how they ended, and the milliseconds of each.
MANY = """
from concurrent.futures import ThreadPoolExecutor
mark, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def one(n):
    began = time.monotonic()
    done = subprocess.run(["env", f"{mark}={n}"], capture_output=True, text=True)
    return done.returncode, f"{mark}={n}" in done.stdout.split(), (time.monotonic() - began) * 1000
with ThreadPoolExecutor(threads) as pool:
    print(json.dumps(list(pool.map(one, range(count)))))
"""


@pytest.fixture(scope="module")
def prison(session_engine):
    made = Prison(session_engine)
    yield made
    made.close()


def many(prison, mark, count, threads=1):
    """All must have been answered as they should be; returns the milliseconds."""
    results = prison.main.python(MANY, mark, str(count), str(threads), timeout=240)
    assert len(results) == count
    assert [result for result in results if result[:2] != [0, True]] == []
    return sorted(result[2] for result in results)


def complete(prison, mark, count, events=("judged", "started", "ended")):
    """Each command has each record exactly once, and the journal's chain is whole."""
    prison.ended(count, command="env")
    records = [record for record in prison.warden.journal()
               if record.get("argv", [""])[-1].startswith(f"{mark}=")]
    requests = {record["request"] for record in records if record["event"] == events[0]}
    assert len(requests) == count

    def of_these():
        found = {}
        for record in prison.warden.journal():
            if record.get("request") in requests:
                found.setdefault(record["request"], []).append(record["event"])
        return found

    harness.wait_for(lambda: all(list_of[-1] == "ended" for list_of in of_these().values()), what="all ends")
    assert [found for found in of_these().values() if tuple(found) != events] == []
    words = {record["argv"][-1] for record in records if record["event"] == events[0]}
    assert words == {f"{mark}={n}" for n in range(count)}
    prison.warden.verify()


def test_performance_01_median_measured_and_printed(prison):
    times = many(prison, "median", 100)
    print(f"\nmedian of {len(times)} commands, one after the other: {statistics.median(times):.2f} ms")
    assert statistics.median(times) > 0
    complete(prison, "median", 100)


def test_performance_02_p99(prison):
    times = many(prison, "p99", 200)
    print(f"\np99 of {len(times)} commands: {times[int(len(times) * 0.99) - 1]:.2f} ms; the longest {times[-1]:.2f} ms")
    complete(prison, "p99", 200)


def test_performance_03_100_concurrent_requests_all_answered(prison):
    """All 100 are there at once: each waits until the last has begun."""
    results = prison.main.python("""
os.mkfifo("/tmp/gate")
jobs = [subprocess.Popen(["bash", "-c", f"echo here-{n}; exec 0< /tmp/gate; echo at-once={n}"],
                         stdout=subprocess.PIPE, text=True) for n in range(100)]
here = [job.stdout.readline().strip() for job in jobs]
gate = os.open("/tmp/gate", os.O_WRONLY)
print(json.dumps([[line, job.stdout.read().strip(), job.wait()] for line, job in zip(here, jobs)]))""")
    assert results == [[f"here-{n}", f"at-once={n}", 0] for n in range(100)]
    ended = prison.ended(100, command="bash")
    assert len({record["request"] for record in ended}) == 100
    assert prison.warden.status()["jails"]
    prison.warden.verify()


def test_performance_04_1000_commands_with_zero_lost_records(prison):
    times = many(prison, "record", 1000, threads=4)
    print(f"\n1,000 commands from 4 threads: median {statistics.median(times):.2f} ms")
    complete(prison, "record", 1000)


def test_performance_05_100_human_approvals(prison):
    process = prison.main.start("/usr/local/bin/python3", "-c", "import json, subprocess, sys, time\n" + MANY,
                                "human", "100", "100")
    approver = prison.service.token("a-human", "approver")
    prison.warden.pending(100)
    waiting = approver.ok("GET", "/api/queue")["pending"]
    assert len(waiting) == 100
    for entry in waiting:
        assert approver.ok("POST", f"/api/queue/{entry['id']}/approve", {})["ran"] == 1
    result = harness.finish(process, timeout=120)
    assert result.code == 0, result
    results = harness.json.loads(result.stdout)
    assert [entry[:2] for entry in results] == [[0, True]] * 100
    assert not prison.warden.queue()
    complete(prison, "human", 100, ("asked", "decided", "started", "ended"))
    decided = prison.warden.journal(event="decided", verdict="approved")
    assert len(decided) == 100 and {record["approver"] for record in decided} == {"a-human"}


def private_memory(warden):
    """{role: KiB that are this process's own}"""
    found = {}
    for role, pid in warden.processes().items():
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            found[role] = sum(int(line.split()[1]) for line in file if line.startswith("Private_"))
    return found


def test_performance_06_memory_flat(prison):
    """400 more commands leave every process of the warden as large as it was, and as many of them."""
    many(prison, "warm", 300, threads=4)
    before = private_memory(prison.warden)
    many(prison, "flat", 400, threads=4)
    complete(prison, "flat", 400)
    after = private_memory(prison.warden)
    print(f"\nKiB before and after 400 commands: {before} {after}")
    assert set(after) == set(before)
    for role, size in after.items():
        assert size - before[role] <= 512, (role, before, after)  # 1.3 KiB a command would be a leak
