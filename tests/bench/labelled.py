"""How long a labelled container runs before its jail is ready: for scripts/bench."""

import json
import os
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "containers"))

import engine as engines  # noqa: E402  pylint: disable=wrong-import-position
import harness  # noqa: E402  pylint: disable=wrong-import-position

COUNT = 20
IMAGE = "debian:bookworm"


def measure(make_warden):
    """Milliseconds from the engine's own start time of a container until its jail is ready, as the
    journal has them, and from the return of `docker start` until then (0: it was ready before)."""
    engine = engines.Engine()
    try:
        engine.start()
        engine.image(IMAGE)
        with make_warden(options=["--engine", engine.url]) as warden:
            return measure_with(engine, warden)
    finally:
        engine.stop()


def measure_with(engine, warden):
    ungoverned, after_return = [], []
    for number in range(COUNT):
        created = engine.docker("create", "--network", "none", "--label", "clawrden.enabled=true", "--label",
                                "clawrden.cmds=git,npm", "--name", f"bench-{number}", IMAGE, "sleep", "600")
        container = created.stdout.strip()
        time.sleep(0.2)
        engine.docker("start", container)
        returned = time.time()
        record = warden.recorded(event="container", container=container)
        ready = time.mktime(time.strptime(record["ts"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone + \
            float("0" + record["ts"][19:-1])
        ungoverned.append(record["duration_ms"])
        after_return.append(max(0.0, (ready - returned) * 1000))
        engine.docker("rm", "-f", container)
        harness.wait_for(lambda container=container: container not in known(warden), what="its end")
    return statistics.median(ungoverned), max(ungoverned), statistics.median(after_return)


def known(warden):
    answer = json.loads(warden.cli("--json", "jails", "containers").out)
    return {entry["id"] for entry in answer["containers"]}
