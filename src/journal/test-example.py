"""The verifier in docs/journal.md works as it stands there: test-example.py DOCS EXAMPLE-CHAIN"""

import os
import re
import subprocess
import sys
import tempfile

docs, example_chain = sys.argv[1:]
program = re.search(r"```python\n(.*?)```", open(docs, encoding="utf-8").read(), re.S).group(1)


def verify(path):
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "audit.log")
    subprocess.run([example_chain, path], check=True)
    code, said = verify(path)
    assert code == 0 and said.startswith("intact up to 5:"), said
    lines = open(path, "rb").read().splitlines(keepends=True)
    attacks = {
        "changed": lines[:2] + [lines[2].replace(b"echo", b"true")] + lines[3:],
        "removed": lines[:2] + lines[3:],
        "moved": [lines[0], lines[2], lines[1]] + lines[3:],
        "repeated": lines[:3] + lines[2:],
        "cut": lines[:-1] + [lines[-1][:-5]],
    }
    for name, attacked in attacks.items():
        with open(path, "wb") as file:
            file.write(b"".join(attacked))
        code, said = verify(path)
        assert code == 1 and "not intact" in said, (name, said)
