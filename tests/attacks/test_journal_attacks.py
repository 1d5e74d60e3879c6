"""The journal: tampering is seen, and a disk that fails stops new commands only."""

import os
import subprocess
import time

import pytest

from harness import PATIENCE, allow, ask, finish, wait_for


@pytest.fixture
def stopped(make_warden):
    """A warden that has written some records and stopped."""
    warden = make_warden(allow("true", "echo"))
    for word in ("one", "two", "three"):
        warden.shim("echo", word)
    wait_for(lambda: len(warden.journal(event="ended")) == 3)
    warden.terminate()
    assert warden.audit_verify().code == 0
    return warden


def rewrite(warden, change):
    with open(warden.audit, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    lines = change(lines)
    with open(warden.audit, "wb") as file:
        file.write(b"".join(lines))


def edited(lines):
    lines[4] = lines[4].replace(b'"echo"', b'"ecHo"', 1) if b'"echo"' in lines[4] else \
        lines[4].replace(b'"seq":5', b'"seq":6', 1)
    return lines


def edited_everywhere(lines):
    return [line.replace(b'"two"', b'"TWO"') for line in lines]


TAMPERING = {
    "a byte": edited,
    "a word": edited_everywhere,
    "a line cut": lambda lines: lines[:3] + lines[4:],
    "the first line cut": lambda lines: lines[1:],
    "two lines swapped": lambda lines: lines[:3] + [lines[4], lines[3]] + lines[5:],
    "a line twice": lambda lines: lines[:4] + [lines[3]] + lines[4:],
    "a line of one's own": lambda lines: lines[:4] + [b'{"seq":5,"event":"fake"}\n'] + lines[4:],
    "an empty line": lambda lines: lines[:4] + [b"\n"] + lines[4:],
    "a hash replaced": lambda lines: lines[:3] + [lines[3][:-10] + b'0000000"}\n'] + lines[4:],
    "binary rubbish": lambda lines: lines[:3] + [os.urandom(300).replace(b"\n", b"x") + b"\n"] + lines[3:],
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_seen(stopped, name):
    rewrite(stopped, TAMPERING[name])
    result = stopped.audit_verify()
    assert result.code == 1, result
    assert "audit.log:" in result.stdout + result.stderr, "it says where"


def test_a_tail_that_is_removed_is_seen(stopped):
    """The chain alone cannot show it; the head that was kept elsewhere does."""
    head = head_file(stopped)
    rewrite(stopped, lambda lines: lines[:-3])
    result = stopped.audit_verify("--head", head)
    assert result.code == 1, result


def head_file(warden):
    names = [name for name in os.listdir(warden.state_dir) if "head" in name]
    assert names, os.listdir(warden.state_dir)
    return os.path.join(warden.state_dir, names[0])


def test_an_untouched_journal_agrees_with_its_head(stopped):
    assert stopped.audit_verify("--head", head_file(stopped)).code == 0


def test_a_removed_tail_is_reported_at_the_next_start(stopped):
    rewrite(stopped, lambda lines: lines[:-3])
    stopped.start()
    record = stopped.recorded(event="recovery")
    assert record["message"]
    assert stopped.shim("true").code == 0


def test_a_removed_file_is_reported_at_the_next_start(stopped):
    os.unlink(stopped.audit)
    stopped.start()
    assert stopped.recorded(event="recovery")["message"]


def test_a_torn_last_line_is_cut_and_reported(stopped):
    with open(stopped.audit, "ab") as file:
        file.write(b'{"seq":99,"ts":"2026-01-01T00:0')
    stopped.start()
    record = stopped.recorded(event="recovery")
    assert "torn" in record["message"], record
    assert stopped.shim("true").code == 0
    stopped.recorded(event="ended")
    stopped.verify()


@pytest.mark.root
def test_a_journal_that_others_may_write_is_refused(make_warden):
    warden = make_warden(allow("true"), warden_options={"start": False})
    os.mkdir(os.path.dirname(warden.audit))
    os.chmod(os.path.dirname(warden.audit), 0o777)
    warden.launch()
    assert warden.process.wait(20) != 0 and warden.audit.rpartition("/")[0] in warden.log()


@pytest.mark.root
def test_a_journal_that_is_a_link_is_refused(make_warden):
    warden = make_warden(allow("true"), warden_options={"start": False})
    os.mkdir(os.path.dirname(warden.audit), 0o750)
    target = os.path.join(warden.base, "elsewhere")
    os.symlink(target, warden.audit)
    warden.launch()
    assert warden.process.wait(20) != 0
    assert not os.path.exists(target)


@pytest.fixture
def small_disk():
    """A file system of 256 KiB to keep a journal on."""
    import tempfile
    path = tempfile.mkdtemp(prefix="clwd-disk-", dir="/tmp")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs", path],
                          capture_output=True, timeout=20)
    assert done.returncode == 0, done
    yield path
    subprocess.run(["umount", "-l", path], timeout=20, check=False)
    os.rmdir(path)


def fill(path):
    with open(os.path.join(path, "filler"), "ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def on(disk):
    audit = os.path.join(disk, "audit")
    os.mkdir(audit, 0o750)
    return {"audit": os.path.join(audit, "audit.log")}


@pytest.mark.root
def test_a_full_disk(small_disk, make_warden):
    warden = make_warden(allow("sh", "true"), ask("touch"), warden_options=on(small_disk))
    assert warden.shim("true").code == 0
    running = warden.spawn("sh", "-c", "echo begin; read line; echo end:$line")
    wait_for(lambda: warden.journal(event="started"))
    fill(small_disk)

    # The last block may still have room for some records: then commands run, and are recorded.
    def refuses():
        result = warden.shim("sh", "-c", "echo x >>runs", timeout=40)
        return result if result.code == 125 else None

    result = wait_for(refuses, 60, "a refusal")
    assert result.stderr.startswith("clawrden: ") and "journal" in result.stderr, result
    runs = os.path.join(warden.work, "runs")
    before = open(runs).read() if os.path.exists(runs) else ""
    assert warden.shim("sh", "-c", "echo x >>runs", timeout=40).code == 125
    # A question is refused at once, or its approval cannot be recorded: it does not run either way.
    asked = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    wait_for(lambda: asked.poll() is not None or warden.queue())
    for entry in warden.queue():
        warden.cli("approve", entry["id"])
    assert finish(asked, timeout=40).code == 125
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    assert (open(runs).read() if os.path.exists(runs) else "") == before, "it ran unrecorded"
    assert running.poll() is None, "what runs is not disturbed"
    assert warden.cli("status").code == 0

    os.unlink(os.path.join(small_disk, "filler"))
    wait_for(lambda: warden.shim("true").code == 0, 2 * PATIENCE, "service resumes")
    assert finish(running, b"line\n").out == b"begin\nend:line\n"
    # Whatever ran is recorded.
    started = len(before.split())
    wait_for(lambda: len([r for r in warden.journal(event="ended")]) >= started + 2)
    warden.verify()


@pytest.mark.root
def test_an_approval_on_a_full_disk_does_not_run(small_disk, make_warden):
    warden = make_warden(ask("touch"), allow("true"), warden_options=on(small_disk))
    process = warden.spawn("touch", "mark", stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    fill(small_disk)
    for _ in range(60):  # fill what is left of the last block
        if warden.shim("true", timeout=40).code == 125:
            break
    warden.cli("approve", request, timeout=40)
    result = finish(process, timeout=60)
    assert result.code in (125, 126), result
    assert not os.path.exists(os.path.join(warden.work, "mark"))
    os.unlink(os.path.join(small_disk, "filler"))
    wait_for(lambda: warden.shim("true").code == 0, 2 * PATIENCE, "service resumes")
    warden.verify()


@pytest.mark.root
def test_a_read_only_disk_at_the_start(small_disk, make_warden):
    options = on(small_disk)
    warden = make_warden(allow("true"), warden_options={**options, "start": False})
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True, timeout=20)
    warden.launch()
    assert warden.process.wait(20) != 0
    assert "audit.log" in warden.log() or "Read-only" in warden.log()


@pytest.mark.root
def test_rotation_of_a_file_that_was_moved_away(make_warden):
    """Somebody renames the file under us: the chain goes on in what is open, and verifies."""
    warden = make_warden(allow("true"))
    warden.shim("true")
    warden.recorded(event="ended")
    time.sleep(0.2)
    moved = warden.audit + ".away"
    os.rename(warden.audit, moved)
    code = warden.shim("true").code
    assert code in (0, 125)
    warden.terminate()
    if code == 0:
        with open(moved, "rb") as file:
            content = file.read()
        if os.path.exists(warden.audit):
            with open(warden.audit, "rb") as file:
                content += file.read()
        assert content.count(b'"started"') == 2
