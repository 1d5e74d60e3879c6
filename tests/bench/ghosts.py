"""What a command in a container of its own takes, against the engine's own client: for scripts/bench."""

import json
import os
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "containers"))

import engine as engines  # noqa: E402  pylint: disable=wrong-import-position
import harness  # noqa: E402  pylint: disable=wrong-import-position

PAIRS = 20
IMAGE = "debian:bookworm"


def missing():
    """Why it cannot be measured here, or None."""
    return engines.missing()


def measure():
    """Medians in ms: (`docker run --rm`, the same by a shim and `executor: ghost`, of their ratios)."""
    engine = engines.Engine()
    try:
        engine.start()
        engine.image(IMAGE)
        policy = {"default_action": "deny", "ghost_images": {"true": IMAGE},
                  "rules": [{"command": "true", "action": "allow", "executor": "ghost"}]}
        warden = harness.Warden(json.dumps(policy), options=["--engine", engine.url], start=False)
        try:
            warden.write_policy(json.dumps({**policy, "allowed_paths": [warden.work + "/*"]}))
            warden.start()
            return measure_with(engine, warden)
        finally:
            warden.stop()
    finally:
        engine.stop()


def measure_with(engine, warden):
    user = f"{harness.PRISONER}:{harness.PRISONER}"
    pairs = []
    for _ in range(PAIRS + 2):
        begun = time.monotonic()
        engine.docker("run", "--rm", "--network", "none", "--memory", "2g", "--memory-swap", "2g", "--pids-limit", "512", "--cpus", "2",
                      "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", user,
                      "-v", f"{warden.work}:{warden.work}", "-w", warden.work, IMAGE, "true")
        between = time.monotonic()
        result = warden.shim("true", cwd=warden.work, timeout=120)
        ended = time.monotonic()
        if result.code != 0:
            raise RuntimeError(result.stderr[-500:])
        pairs.append(((between - begun) * 1000, (ended - between) * 1000))
    pairs = pairs[2:]
    return (statistics.median(bare for bare, _ in pairs), statistics.median(ghost for _, ghost in pairs),
            statistics.median(ghost / bare for bare, ghost in pairs))
