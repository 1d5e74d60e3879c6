"""Real agents, unmodified, as hardened prisoners: what their model makes them run is governed.

The model is a script (model.py), so that what an agent tries is known; everything else is the
agent's own: how it starts a shell, what it runs by itself, what it does with a refusal.
"""

import os
import subprocess
import sys

import pytest

import harness
from agents import AGENTS, MODEL, node
from test_harden import harden

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = ["git --version", "git init -q repository", "git -C repository push --force origin main",
          "echo made by an agent > made", "/usr/bin/git -C repository status"]
RULES = [
    {"name": "no-force-push", "command": "git", "argv": {"any": ["--force"], "after": "push"},
     "action": "deny", "reason": "history rewrites need a human; try a plain push"},
    *harness.allow("git"),
]
SHELL_RULES = [
    {"name": "no-force-push", "command": "bash", "argv": {"any": ["*push --force*"]},
     "action": "deny", "reason": "history rewrites need a human; try a plain push"},
    *harness.allow("bash"),
]


def hardened(engine, locked):
    image = f"hardened/agent-{locked}"
    engine.image("agent:shaped")
    result = harden(engine, "agent:shaped", image, locked, "--user", "1000:1000")
    assert result.code == 0, result.stdout + result.stderr
    return image


@pytest.fixture(scope="module")
def git_image(session_engine):
    return hardened(session_engine, "git")


class Session:
    """An agent in a container of its own, its home and workspace on the host, its model beside it."""

    def __init__(self, engine, warden, agent, image, tmp_path):
        self.agent, self.asked = agent, tmp_path / "asked"
        self.app, home = tmp_path / "app", tmp_path / "home"
        for path in (self.app, home):
            path.mkdir()
        for name, text in agent.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text)
        for directory, _, _ in os.walk(tmp_path):
            os.chown(directory, 1000, 1000)
        os.chmod(tmp_path, 0o755)
        self.container = engine.prisoner(
            warden, image, "/bin/sleep", "600", shim=False,
            options=["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only",
                     "--tmpfs", "/tmp", "-v", f"{self.app}:/app", "-v", f"{home}:/home/agent", "-w", "/app",
                     "-v", f"{agent.place()}:/opt/agent:ro", "-v", f"{node()}:/opt/node/bin/node:ro"])
        script = tmp_path / "script"
        script.write_text("\n".join(SCRIPT) + "\n")
        self.model = subprocess.Popen(  # in the prisoner's network, which has nothing but itself
            ["nsenter", "-n", "-t", str(self.container.pid), sys.executable, os.path.join(HERE, "model.py"),
             "--port", MODEL.rpartition(":")[2], "--script", str(script), "--log", str(self.asked)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.model.stdout.readline() == b"ready\n"

    def run(self):
        environment = {"HOME": "/home/agent", "TERM": "dumb", **self.agent.environment}
        options = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        return self.container.exec("/opt/node/bin/node", f"/opt/agent/node_modules/.bin/{self.agent.program}",
                                   *self.agent.arguments, options=options, timeout=180)

    def last_asked(self):
        """What the model was told in the end: the whole conversation, results of commands included."""
        lines = self.asked.read_text().splitlines()
        return max((line for line in lines if line.startswith("{")), key=len)

    def close(self):
        self.model.terminate()
        self.model.wait(10)
        self.model.stdout.close()


ATTEMPTS = 3


def work(engine, warden, agent, image, tmp_path):
    """Lets the agent work through the script; what came of it.

    Qwen takes what it has read for all of a command's output as soon as the process has ended, and on a
    busy machine that can be nothing, with a warden or without: it may try again.
    """
    os.chmod(tmp_path, 0o755)
    for attempt in range(ATTEMPTS):
        place, before = tmp_path / str(attempt), len(warden.journal())
        place.mkdir()
        session = Session(engine, warden, agent, image, place)
        try:
            result = session.run()
        finally:
            session.close()
        assert result.code == 0 and b"All commands have been run." in result.out, result
        told, records = session.last_asked(), warden.journal()[before:]
        # It saw what its commands printed, and why one was refused.
        if "git version 2." in told and "history rewrites need a human" in told:
            break
    else:
        raise AssertionError(f"the agent has not seen what its commands printed: {told}")
    assert (session.app / "made").read_text() == "made by an agent\n"
    assert (session.app / "made").stat().st_uid == 1000
    started = [record for record in records if record["event"] == "started"]
    assert {record["executor"] for record in started} == {"mirror"}
    assert {record["container"] for record in started} == {session.container.id}
    refused = [record for record in records if record["event"] == "denied"]
    assert [record["rule"] for record in refused] == ["no-force-push"]
    admitted = {record["request"]: record["argv"] for record in records if record["event"] == "judged"}
    return [admitted[record["request"]] for record in started], refused[0]["argv"]


@pytest.mark.parametrize("name", AGENTS)
def test_agent_is_governed(engine, make_warden, tmp_path, git_image, name):
    """What its shell starts is judged, by name and by absolute path."""
    started, refused = work(engine, make_warden(*RULES), AGENTS[name], git_image, tmp_path)
    assert ["git", "--version"] in started and ["git", "init", "-q", "repository"] in started
    assert any(argv[1:] == ["-C", "repository", "status"] for argv in started), started
    assert refused == ["git", "-C", "repository", "push", "--force", "origin", "main"]


def test_agents_shell_is_governed(engine, make_warden, tmp_path):
    """An agent that calls /bin/bash by its path: each of its tool calls is a command of the policy."""
    image = hardened(engine, "bash")
    started, refused = work(engine, make_warden(*SHELL_RULES), AGENTS["pi"], image, tmp_path)
    assert [argv[1] for argv in started] == ["-c"] * (len(SCRIPT) - 1)
    assert refused[1:] == ["-c", SCRIPT[2]]
