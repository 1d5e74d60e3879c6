"""A prison for the validation checklist: one warden, two hardened prisoners, each in a jail of its own.

The image is made by scripts/harden-container.sh; the containers have no capability, no network, a
read-only root and no-new-privileges. Python is not locked in it: it is what the prisoner attacks with.
"""

import json
import os
import shutil
import tempfile

import harness
from api import Service
from test_harden import harden

BASE = "test:checklist-base"
IMAGE = "hardened/checklist"
LOCKED = ["bash", "env", "git", "id", "npm", "pip", "rootid", "sleep", "sort"]
LACKING = ["npm"]  # the image has no such program
PYTHON = "/usr/local/bin/python3"
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# A set-user-id program of root that is locked, and one that is not.
DOCKERFILE = """FROM python:3.11-slim
RUN printf '#!/bin/sh\\necho git of the test\\n' > /usr/local/bin/git && chmod 755 /usr/local/bin/git
RUN cp /usr/bin/id /usr/local/bin/rootid && cp /usr/bin/whoami /opt/rootwho && \\
    chmod 4755 /usr/local/bin/rootid /opt/rootwho
"""

RULES = [
    # Tells what was intercepted, and runs nothing.
    {"name": "interception", "command": ["*", "/**"], "argv": {"any": ["intercept-*"]}, "action": "deny"},
    {"name": "no-force-push", "command": "git", "argv": {"any": ["--force"], "after": "push"}, "action": "deny",
     "reason": "history rewrites need a human"},
    {"name": "not-in-etc", "command": "sort", "cwd": "/etc/*", "action": "deny"},
    {"name": "not-for-others", "command": "env", "jail": "other", "action": "deny"},
    {"name": "packages", "command": "pip", "action": "ask"},
    {"name": "a-human", "command": "env", "argv": {"any": ["human=*"]}, "action": "ask"},
    {"name": "quick-question", "command": "sort", "argv": ["--version"], "action": "ask", "approval_timeout": "1s"},
    {"name": "short", "command": "sleep", "argv": ["9999"], "action": "allow", "timeout": "1s"},
    *harness.allow("bash", "env", "id", "npm", "rootid", "sleep", "sort"),
]
LIMITS = {"commands": 400, "connections": 400, "pending": 200}
JAILS = {"main": {"commands": LOCKED, "limits": LIMITS}, "other": {"commands": LOCKED, "limits": LIMITS}}


def policy(rules=None, **top):
    return harness.policy(*(RULES if rules is None else rules), **{"jails": JAILS, **top})


def hardened_image(engine):
    """Made once for an engine."""
    if engine.docker("image", "inspect", IMAGE, check=False).code:
        engine.image("python:3.11-slim")
        engine.build(BASE, DOCKERFILE)
        result = harden(engine, BASE, IMAGE, ",".join(LOCKED), "--user", "1000:1000")
        assert result.code == 0, result.stdout + result.stderr
    return IMAGE


class Prisoner:
    """A hardened container, confined as docs/deployment.md says."""

    def __init__(self, engine, warden, workspace, jail="main", image=IMAGE, options=()):
        self.engine, self.warden, self.jail = engine, warden, jail
        self.container = engine.prisoner(
            warden, image, "tail", "-f", "/dev/null", jail=jail, shim=False,
            options=["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only",
                     "--tmpfs", "/tmp", "-v", f"{workspace}:/app", "-v", f"{TESTS}:/tests:ro", "-w", "/app",
                     "--hostname", jail, *options])
        self.id = self.container.id
        self.pid = self.container.pid

    def run(self, *command, options=(), **more):
        return self.container.exec(*command, options=options, **more)

    def start(self, *command, options=()):
        """The same, not waited for: for harness.finish."""
        return harness.subprocess.Popen(
            ["/usr/bin/docker", "-H", self.engine.url, "exec", *options, self.id, *command],
            stdin=harness.subprocess.DEVNULL, stdout=harness.subprocess.PIPE, stderr=harness.subprocess.PIPE,
            env=self.engine.environment())

    def python(self, text, *arguments, timeout=120, **more):
        """A program of the prisoner's own; what it prints as JSON, in its last line."""
        result = self.run(PYTHON, "-c", "import json, os, subprocess, sys, time\n" + text, *arguments,
                          timeout=timeout, **more)
        assert result.code == 0 and result.out.strip(), result
        return json.loads(result.stdout.splitlines()[-1])

    def inspect_mounts(self):
        return self.container.inspect()["Mounts"]

    def host_path(self, path):
        """A path in it, for root outside."""
        return f"/proc/{self.pid}/root{path}"

    def manifest(self):
        """[(original, the path that it came from)]"""
        with open(self.host_path("/usr/lib/clawrden/manifest"), encoding="utf-8") as file:
            return [tuple(line.rstrip("\n").split("\t")) for line in file]

    def locked_paths(self):
        """Every path at which a locked command can be called."""
        return sorted({path for _, path in self.manifest()} |
                      {f"/usr/local/{place}/{name}" for place in ("sbin", "bin") for name in LOCKED})


class Prison:
    def __init__(self, engine):
        hardened_image(engine)
        self.engine = engine
        self.workspace = tempfile.mkdtemp(prefix="clwd-app-", dir="/var/tmp")
        os.chmod(self.workspace, 0o755)
        os.chown(self.workspace, 1000, 1000)
        self.warden = harness.Warden(policy(), options=["--api", "127.0.0.1:0"])
        self.prisoners, self.service = [], Service(self.warden)
        try:
            self.main = self.prisoner("main")
            self.other = self.prisoner("other")
        except BaseException:
            self.close()
            raise

    def prisoner(self, jail, **more):
        self.prisoners.append(Prisoner(self.engine, self.warden, self.workspace, jail, **more))
        return self.prisoners[-1]

    def close(self):
        self.service.close()
        for prisoner in self.prisoners:
            prisoner.container.remove()
        try:
            self.warden.stop()
        finally:
            shutil.rmtree(self.workspace, ignore_errors=True)

    def ended(self, count, **wanted):
        """So many `ended` records, once they are there."""
        return harness.wait_for(lambda: len(found := self.warden.journal(event="ended", **wanted)) >= count
                                and found, 60, f"{count} records of an end with {wanted}")


def marked(records, mark):
    """Those whose last argument is the mark."""
    return [record for record in records if record.get("argv", [""])[-1] == mark]
