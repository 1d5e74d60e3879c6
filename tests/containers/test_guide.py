"""docs/docker-testing-guide.md as a reader follows it: every block that it marks is run, in its order."""

import os
import re
import shutil
import subprocess

import harness

GUIDE = os.path.join(harness.ROOT, "docs", "docker-testing-guide.md")
SCRATCH = "/tmp/clawrden-guide"


def test_every_block_of_the_guide_runs(engine, tmp_path):
    engine.image("python:3.11-slim")
    with open(GUIDE, encoding="utf-8") as file:
        blocks = re.findall(r"^```sh guide\n(.*?)^```", file.read(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 20
    script = "\n".join(f"echo '== block {n}'\n{block}" for n, block in enumerate(blocks))
    if os.path.basename(harness.BUILD) != "build":
        script = script.replace("build/bin", os.path.relpath(os.path.join(harness.BUILD, "bin"), harness.ROOT))
    shutil.rmtree(SCRATCH, ignore_errors=True)
    os.mkdir(SCRATCH, 0o755)
    log = tmp_path / "log"
    try:
        with open(log, "wb") as out:
            process = subprocess.Popen(["/bin/bash", "-eu", "-o", "pipefail", "-c", script], stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=out, cwd=harness.ROOT,
                                       env={**engine.environment(), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
            code = process.wait(280)
        text = log.read_text(errors="replace")
        assert code == 0, text[-6000:]
        assert "the change was found" in text and "    100 1000\n" in text, text[-6000:]
    finally:
        pid = os.path.join(SCRATCH, "pid")
        if os.path.exists(pid):  # it stopped half way
            with open(pid, encoding="utf-8") as file:
                harness.kill_quietly(int(file.read()), 15)
        shutil.rmtree(SCRATCH, ignore_errors=True)
