"""The command line of the operator, and of whoever writes a policy."""

import json
import os
import subprocess

import pytest

from harness import BUILD, Result, allow, as_user, ask, finish, policy, program

quick = pytest.mark.quick


def cli(*arguments, data=None, cwd="/"):
    process = subprocess.run([program("clawrden-cli"), *arguments], input=data or b"",
                             capture_output=True, timeout=60, cwd=cwd)
    return Result(process.returncode, process.stdout, process.stderr, 0)


@quick
def test_status(make_warden):
    warden = make_warden(allow("echo"), ask("touch"))
    warden.shim("echo", "x")
    result = warden.cli("status")
    assert result.code == 0 and result.out
    status = warden.status()
    assert status["version"] == "0.1.0"
    assert status["journal"]["seq"] >= 1 and len(status["journal"]["hash"]) == 64
    assert status["requests"]["allowed"] == 1


def test_json_is_one_document(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "mark")
    warden.pending_id()
    for verb in ("status", "queue"):
        result = warden.cli("--json", verb)
        assert result.code == 0
        json.loads(result.out)
    warden.cli("deny", warden.pending_id())
    finish(process)


@quick
def test_version():
    for name in ("clawrden-cli", "clawrden-warden", "clawrden-shim"):
        result = subprocess.run([program(name), "--version"], capture_output=True, timeout=20)
        assert result.returncode == 0 and result.stdout.startswith(f"{name} 0.1.0".encode()), result


def test_help():
    for name in ("clawrden-cli", "clawrden-warden", "clawrden-shim"):
        result = subprocess.run([program(name), "--help"], capture_output=True, timeout=20)
        assert result.returncode == 0 and b"usage" in result.stdout.lower(), result


def test_warden_unreachable():
    result = cli("--api", "unix:/nonexistent/api.sock", "status")
    assert result.code == 3 and result.stderr.startswith("clawrden-cli: ")


def test_usage_errors():
    for arguments in ((), ("nonsense",), ("--nonsense",), ("approve",), ("kill",), ("policy",),
                      ("policy", "nonsense"), ("audit",), ("audit", "nonsense")):
        result = cli(*arguments)
        assert result.code == 2 and result.err, arguments


@quick
def test_policy_init_check(tmp_path):
    target = tmp_path / "policy.yaml"
    result = cli("policy", "init", str(target))
    if result.code == 2:  # without an operand it writes to stdout
        target.write_bytes(cli("policy", "init").out)
    elif not target.exists():
        target.write_bytes(result.out)
    assert target.stat().st_size > 100
    assert cli("policy", "check", str(target)).code == 0


def test_policy_check_reports_every_mistake(tmp_path):
    target = tmp_path / "policy.yaml"
    target.write_text("version: 1\ndefault_action: maybe\nunknown_key: 1\nrules:\n"
                      "  - command: ls\n    action: alow\n    timeout: fast\n")
    result = cli("policy", "check", str(target))
    assert result.code == 1
    text = result.stderr + result.stdout
    for line, word in ((2, "maybe"), (3, "unknown_key"), (6, "alow"), (7, "fast")):
        assert any(f":{line}:" in entry and word in entry for entry in text.splitlines()), text


@pytest.mark.parametrize("text", [
    "", "nonsense", "version: 2\n", "version: 1\nrules: 5\n", "version: 1\nrules:\n  - action: allow\n",
    "version: 1\nversion: 1\n", "version: 1\nrules: [\n", "\x00", "version: 1\nrules: *nowhere\n",
    "version: 1\nrules:\n  - {command: ls, action: allow, argv: {any: [{regex: '('}]}}\n",
    "version: 1\ndefault_action: allow\nallowed_paths: [relative/*]\n",
])
def test_bad_policies_are_refused(tmp_path, text):
    target = tmp_path / "policy.yaml"
    target.write_text(text)
    result = cli("policy", "check", str(target))
    if text in ("", ):
        assert result.code in (0, 1)
    else:
        assert result.code == 1 and (result.out or result.err), result


def test_policy_test_and_explain(tmp_path):
    target = tmp_path / "policy.yaml"
    target.write_text(policy({"name": "no-force", "command": "git",
                              "argv": {"any": ["--force", "-f"], "after": "push"}, "action": "deny"},
                             {"name": "git", "command": "git", "action": "allow"}))
    for verb in ("test", "explain"):
        denied = policy_call(target, verb, "git", "push", "--force")
        assert "deny" in denied.stdout and "no-force" in denied.stdout, denied
        allowed = policy_call(target, verb, "git", "status")
        assert "allow" in allowed.stdout, allowed
    assert "no-force" in policy_call(target, "explain", "git", "status").stdout


def test_policy_check_waits_for_nothing(tmp_path):
    fifo = tmp_path / "policy.yaml"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, "/dev/zero"):
        result = cli("policy", "check", str(path))
        assert result.code == 1 and "no regular file" in result.stderr, result


def test_policy_explain_says_how_a_rule_asks(tmp_path):
    target = tmp_path / "policy.yaml"
    target.write_text(policy({"command": "git", "argv": {"after": "add"}, "action": "ask", "approvals": 2,
                              "approvers": ["alice", "uid:0"], "channels": ["cli", "slack"], "quiet": True,
                              "grant": ["subcommand", {"paths": "cwd"}], "rate": "30/m"},
                             {"command": "ls", "action": "allow", "rate": {"most": 5, "per": "10s"}}))
    words = policy_call(target, "explain", "git", "add", "x").stdout
    assert "2 approvals, by alice or uid:0, sent by cli or slack; quiet" in words
    assert "files beneath the working directory" in words and "above 30 in 1m: denied" in words
    found = json.loads(cli("--json", "policy", "test", "--policy", str(target), "--", "git", "add", "x").stdout)
    assert found["ask"] == {"approvals": 2, "approvers": ["alice", "uid:0"], "channels": ["cli", "slack"],
                            "quiet": True, "grant": ["subcommand", {"paths": "cwd"}]}
    assert found["rate"] == {"most": 30, "per_ms": 60000, "then": "deny"}
    found = json.loads(cli("--json", "policy", "test", "--policy", str(target), "--", "ls").stdout)
    assert "ask" not in found and found["rate"] == {"most": 5, "per_ms": 10000, "then": "ask"}


def policy_call(target, verb, *command):
    """The policy by option; the command after `--`."""
    return cli("policy", verb, "--policy", str(target), "--", *command)


@pytest.mark.parametrize("command", [
    "find . -exec rm {} ;", "find / -delete", "env rm -rf x", "xargs rm", "tar --to-command=sh -xf a.tar",
    "tar -xf a --checkpoint-action=exec=sh", "git -c core.sshCommand=x fetch", "git push --force",
    "rm -rf /", "bash -c ls", "sh", "python3 -c pass", "node -e 1", "perl -e 1", "nohup rm x", "nice rm x",
    "timeout 5 rm x", "sudo ls", "chroot / ls", "ssh host", "curl http://x", "sed -i e f", "sed 1e f",
    "awk BEGIN{system(\"id\")}", "git grep -O vi x", "sort --compress-program=sh", 
    "strace ls", "setsid ls", "git diff --ext-diff", "rg --pre sh x", "man -P sh ls", "vi", "less x",
    "git config alias.x !sh", "git rebase --exec sh", "zip a.zip f -T -TT sh", "rsync -e sh a b:",
])
def test_the_shipped_policy_does_not_let_it_slip(command, tmp_path):
    target = tmp_path / "policy.yaml"
    cli("policy", "init", str(target))
    if not target.exists():
        target.write_bytes(cli("policy", "init").out)
    words = command.split(" ")
    result = policy_call(target, "test", *words)
    assert "allow" not in result.stdout.splitlines()[0], result


@pytest.mark.parametrize("command", ["ls -la", "cat README.md", "git status", "git diff", "git log", "pwd",
                                     "echo hello", "head -n 5 x", "wc -l x"])
def test_the_shipped_policy_is_useful(command, tmp_path):
    target = tmp_path / "policy.yaml"
    cli("policy", "init", str(target))
    if not target.exists():
        target.write_bytes(cli("policy", "init").out)
    result = policy_call(target, "test", *command.split(" "))
    assert "allow" in result.stdout.splitlines()[0], result


def test_audit_show_and_export(make_warden):
    warden = make_warden(allow("echo"))
    warden.shim("echo", "two words", "\x1b[31m")
    warden.recorded(event="ended")
    shown = warden.cli("audit", "show", warden.audit)
    assert shown.code == 0 and "'two words'" in shown.stdout and "\x1b" not in shown.stdout
    exported = warden.cli("audit", "export", warden.audit)
    assert exported.code == 0
    for line in exported.stdout.splitlines():
        json.loads(line)


def test_audit_of_a_file_that_is_not_there():
    assert cli("audit", "verify", "/nonexistent/audit.log").code in (1, 3)


def test_programs_are_hardened():
    for name in ("clawrden-warden", "clawrden-cli"):
        path = os.path.join(BUILD, "bin", name)
        text = subprocess.run(["readelf", "-hld", path], capture_output=True, timeout=20).stdout.decode()
        assert "DYN" in text, "not position independent"
        assert "GNU_RELRO" in text and "NOW" in text
        stack = next(line for line in text.splitlines() if "GNU_STACK" in line)
        assert "RWE" not in stack


def test_the_operator_reads_policy_problems_of_a_running_warden(make_warden):
    warden = make_warden(allow("echo"))
    process = subprocess.run([program("clawrden-warden"), "--policy", warden.policy_path, "--check"],
                             capture_output=True, timeout=20, env={"HOME": warden.home},
                             **as_user(warden.user))
    assert process.returncode == 0, process
