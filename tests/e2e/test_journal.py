"""What is recorded."""

import base64
import json
import os
import subprocess

import pytest

from harness import PRISONER, allow, ask, finish, wait_for

quick = pytest.mark.quick


@quick
def test_a_run_is_recorded_completely(make_warden):
    warden = make_warden({"name": "talk", "command": "sh", "action": "allow"})
    warden.shim("sh", "-c", "exit 4")
    ended = warden.recorded(event="ended")
    request = ended["request"]
    records = {record["event"]: record for record in warden.journal(request=request)}
    assert ["judged", "started", "ended"] == list(records), list(records)
    judged, started = records["judged"], records["started"]
    assert judged["jail"] == "default" and judged["uid"] == PRISONER and judged["pid"] > 0
    assert judged["command"] == "sh" and judged["argv"] == ["sh", "-c", "exit 4"]
    assert judged["cwd"] == warden.work
    assert judged["verdict"] == "allow" and judged["rule"] == "talk"
    assert started["executor"] == "local" and started["pid"] != judged["pid"]
    assert ended["exit_code"] == 4 and ended["duration_ms"] >= 0
    warden.verify()


def test_denied_is_recorded(make_warden):
    warden = make_warden({"name": "never", "command": "id", "action": "deny", "reason": "no"})
    warden.shim("id")
    record = warden.recorded(event="denied")
    assert record["rule"] == "never" and record["reason"] == "no"
    assert "started" not in warden.events(record["request"])


def test_the_record_comes_before_the_command(make_warden):
    warden = make_warden(allow("sh"))
    # The command itself looks: a world-readable copy is not needed, root looks for it.
    process = warden.spawn("sh", "-c", "read go; echo done")
    wait_for(lambda: warden.journal(event="started"), what="the record of the start")
    assert process.poll() is None
    assert finish(process, b"go\n").out == b"done\n"


def test_bytes_are_kept_losslessly(make_warden):
    warden = make_warden(allow("true"))
    odd = b"\xff\x00"[:1] + b"ab\x80"
    warden.shim("true", odd, "ü", "line\nbreak", "\x7f")
    argv = warden.recorded(event="judged")["argv"]
    assert argv[2:] == ["ü", "line\nbreak", "\x7f"]
    assert base64.b64decode(argv[1]["base64"]) == odd
    warden.verify()


def test_redaction_in_every_display(make_warden):
    secret = "hunter2hunter2"
    warden = make_warden(ask("printf"), redact=["(?i)(token|password|secret)=\\S+"])
    process = warden.spawn("printf", "%s ", f"password={secret}", "--token", secret, "kept")
    entry = warden.pending()[0]
    for shown in (json.dumps(warden.queue()), warden.cli("queue").stdout):
        assert secret not in shown and "redacted" in shown
        assert "--token" in shown and "kept" in shown
    warden.cli("approve", entry["id"])
    assert finish(process).stdout == f"password={secret} --token {secret} kept ", "the command has the original"
    warden.recorded(event="ended")
    assert secret not in b"".join(warden.lines()).decode()
    assert secret not in warden.log()
    assert secret not in warden.cli("audit", "show", warden.audit).stdout


def test_the_chain_goes_on_after_a_restart(make_warden):
    warden = make_warden(allow("true"))
    warden.shim("true")
    wait_for(lambda: warden.journal(event="ended"))
    first = warden.verify()
    warden.restart()
    warden.shim("true")
    wait_for(lambda: len(warden.journal(event="ended")) == 2)
    assert warden.verify() > first
    assert len(warden.journal(event="start")) == 2 and warden.journal(event="stop")


@pytest.mark.root
def test_permissions(make_warden):
    warden = make_warden(allow("true"))
    mode = os.stat(warden.audit).st_mode & 0o777
    assert mode & 0o027 == 0, oct(mode)
    assert os.stat(warden.audit).st_uid == 0
    denied = subprocess.run(["cat", warden.audit], capture_output=True, timeout=20,
                            user=PRISONER, group=PRISONER, extra_groups=[])
    assert denied.returncode != 0


def test_a_long_command_line_is_one_line(make_warden):
    warden = make_warden(allow("true"))
    warden.shim("true", *(["x" * 100_000] * 10))
    record = warden.recorded(event="judged")
    assert record["command"] == "true"
    warden.recorded(event="ended")
    warden.verify()


def test_dry_run_records_and_runs_nothing(make_warden):
    warden = make_warden(allow("touch"), warden_options={"options": ["--dry-run"]})
    result = warden.shim("touch", "mark")
    assert result.code == 126 and "dry" in result.stderr
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    assert warden.recorded(event="denied")["verdict"] == "allow"
    assert not warden.journal(event="started")


def test_ids_are_not_reused(make_warden):
    warden = make_warden(allow("true"))
    for _ in range(20):
        warden.shim("true")
    warden.restart()
    for _ in range(20):
        warden.shim("true")
    wait_for(lambda: len(warden.journal(event="ended")) == 40)
    requests = [record["request"] for record in warden.journal(event="judged")]
    assert len(set(requests)) == 40
