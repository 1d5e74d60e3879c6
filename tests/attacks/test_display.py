"""What a prisoner writes is shown to an operator: in `queue`, `approve`, `history`, `audit show` and
`watch` it must not move the cursor, reorder, hide, or pose as anything else.

The prisoner's commands are real ones, through the shim and a real warden; what the operator's programs
print is read as bytes, and the live view through a small terminal (screen.py).
"""

import os
import re
import subprocess
import sys
import unicodedata

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

from harness import allow, ask, finish, wait_for  # noqa: E402  pylint: disable=wrong-import-position
from test_watch import READ, Watch  # noqa: E402  pylint: disable=wrong-import-position

# Each with what must be seen of it. Bytes, because arguments are.
ATTACKS = {
    "clear the screen": (b"\x1b[2J\x1b[H", "'\\x1b[2J\\x1b[H'"),
    "title": (b"\x1b]0;owned\x07", "'\\x1b]0;owned\\x07'"),
    "paste into the terminal": (b"\x1b[21t\x1b[6n", "'\\x1b[21t\\x1b[6n'"),
    "C1 control": (b"\xc2\x9b2J", "'\\u{9b}2J'"),
    "raw C1 control": (b"\x9b2J", "'\\x9b2J'"),
    "carriage return": (b"rm -rf /\rls", "'rm -rf /\\rls'"),
    "another line": (b"x\n7K3M2Q  asked 1s ago", "'x\\n7K3M2Q  asked 1s ago'"),
    "backspaces": (b"rm\x08\x08ls", "'rm\\x08\\x08ls'"),
    "an escape that is text": (b"\\x1b[2J", "'\\\\x1b[2J'"),
    "a closing quote": (b"a' --force 'b", "'a\\' --force \\'b'"),
    "right-to-left override": ("\u202egnp.exe".encode(), "'\\u{202e}gnp.exe'"),
    "isolates": ("\u2066x\u2069".encode(), "'\\u{2066}x\\u{2069}'"),
    "right-to-left letters beside digits": ("\u05d0 1 \u05d1".encode(), "'\\u{5d0} 1 \\u{5d1}'"),
    "zero width": ("pass\u200bwd\u2060x\ufeff".encode(), "'pass\\u{200b}wd\\u{2060}x\\u{feff}'"),
    "invisible spaces": ("a\u3000b\u00a0c\u2800d\u3164e".encode(),
                         "'a\\u{3000}b\\u{a0}c\\u{2800}d\\u{3164}e'"),
    "tags": ("\U000e0041\U000e0042".encode(), "'\\u{e0041}\\u{e0042}'"),
    "variation selector": ("x\ufe0f\U000e0100".encode(), "'x\\u{fe0f}\\u{e0100}'"),
    "a tower of marks": ("a" + "\u0301" * 4, "'a\u0301\u0301\\u{301}\\u{301}'"),
    "a mark on the quote": ("\u0338x".encode(), "'\\u{338}x'"),
    "line separator": ("a\u2028b\u2029c".encode(), "'a\\u{2028}b\\u{2029}c'"),
    "a forged fold": ("x\u2026(+4000 bytes)".encode(), "'x\\u{2026}(+4000 bytes)'"),
    "bytes that are no text": (b"\xff\xfe\xc0\x80", "'\\xff\\xfe\\xc0\\x80'"),
    "shift out": (b"\x0e\x0f", "'\\x0e\\x0f'"),
    "delete": (b"a\x7fb", "'a\\x7fb'"),
    "nothing": (b"", "''"),
}


def is_safe(char):
    """Whether a terminal shows just this character, in its place."""
    return char == "\n" or (unicodedata.category(char)[0] not in "CZ" or char == " ") \
        and unicodedata.bidirectional(char) not in ("R", "AL", "AN", "RLE", "RLO", "LRE", "LRO", "PDF")


def expect_honest(result, *shown):
    text = (result.out + result.err).replace(b"\r\n", b"\n").decode()  # CSV ends its lines so
    bad = {char for char in text if not is_safe(char)}
    assert not bad, (bad, text)
    for one in shown:
        assert one in text, (one, text)
    return text


@pytest.fixture(scope="module")
def prisoners_words():
    return [attack if isinstance(attack, bytes) else attack.encode() for attack, _ in ATTACKS.values()]


def test_in_the_command_lines(make_warden, prisoners_words):
    warden = make_warden(ask("touch"), allow("echo"), redact=["(?i)password=\\S+"])
    shown = [text for _, text in ATTACKS.values()]
    process = warden.spawn("touch", "--", *prisoners_words, "password=hunter2", stdin=subprocess.DEVNULL)
    ident = warden.pending_id()
    queue = warden.cli("queue", "--full")
    text = expect_honest(queue, *shown)
    # The boundaries, exactly: the whole command on one line.
    line = next(line for line in text.splitlines() if line.startswith("  touch "))
    assert line.startswith("  touch -- " + " ".join(shown) + " "), line
    assert re.findall(r"^\S.*asked", text, re.M) == [re.search(rf"^{ident}.*asked", text, re.M)[0]]
    expect_honest(warden.cli("queue", ident), *shown)
    expect_honest(warden.cli("approve", ident, "--for", "1m"), *shown)
    finish(process)
    wait_for(lambda: warden.journal(event="ended"))
    for verb in (("history",), ("audit", "show", warden.audit), ("history", "--csv")):
        text = expect_honest(warden.cli(*verb), *[one for one in shown if "--csv" not in verb])
        assert "hunter2" not in text
    for verb in (("--json", "queue"), ("--json", "history"), ("--json", "audit", "show", warden.audit),
                 ("history", "--jsonl")):
        expect_honest(warden.cli(*verb))
    expect_honest(warden.cli("grants"))
    assert b"hunter2" not in queue.out


@pytest.mark.parametrize("name", list(ATTACKS))
def test_in_a_name_of_a_file_and_a_directory(make_warden, name):
    """cwd and exe are shown too, and both are the prisoner's to name."""
    attack = ATTACKS[name][0] if isinstance(ATTACKS[name][0], bytes) else ATTACKS[name][0].encode()
    attack = attack.replace(b"/", b"_")
    if attack in (b"",):
        attack = b" "
    warden = make_warden(ask("*"))
    directory = os.path.join(os.fsencode(warden.work), attack)
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    path = warden.own("tool", "#!/bin/sh\nexit 0\n")
    hostile = os.path.join(directory, b"t" + attack)
    os.rename(path, hostile)
    process = warden.spawn(hostile, "x", cwd=directory, stdin=subprocess.DEVNULL)
    ident = warden.pending_id()
    text = expect_honest(warden.cli("queue", ident))
    assert len(text.splitlines()) == len([line for line in text.splitlines() if line]), text
    expect_honest(warden.cli("approve", ident, "--for", "1m"))
    finish(process)
    wait_for(lambda: warden.journal(event="ended"))
    expect_honest(warden.cli("history"))
    expect_honest(warden.cli("audit", "show", warden.audit))


@pytest.fixture
def view():
    made = []

    def make(warden, **more):
        made.append(Watch("--api", f"unix:{warden.api_socket}", uid=warden.user, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def honest_screen(view):
    assert not view.screen.unknown and not view.screen.titles, (view.screen.unknown, view.screen.titles)
    bad = {char for char in view.screen.text if not is_safe(char)}
    assert not bad, (bad, view.screen.text)
    return view.screen.text


def test_in_the_live_view(make_warden, view, prisoners_words):
    warden = make_warden(ask("touch"), allow("echo"))
    shown = [text for _, text in ATTACKS.values()]
    warden.shim("echo", *prisoners_words)
    process = warden.spawn("touch", "--", *prisoners_words, stdin=subprocess.DEVNULL)
    ident = warden.pending_id()
    watch = view(warden, rows=60, columns=100)
    watch.select_first(ident)
    honest_screen(watch)
    watch.press("\r")
    watch.expect("    0  touch", "    1  --", *[f"{n + 2:5}  {one}" for n, one in enumerate(shown)])
    text = honest_screen(watch)
    rows = [line.rstrip() for line in text.splitlines()]
    for number, one in enumerate(shown):  # one argument, one row, its own number
        assert f"{number + 2:5}  {one}" in rows, (one, text)
    watch.read(READ)
    watch.press("a")
    watch.expect(f"approved {ident}")
    finish(process)
    watch.expect("ended default")
    honest_screen(watch)
    watch.press("q")
    assert watch.wait() == 0


def test_a_command_longer_than_the_screen_in_the_live_view(make_warden, view):
    """Padding cannot push what matters over the edge: it is not approved before it was seen."""
    warden = make_warden(ask("sh"))
    process = warden.spawn("sh", "-c", "true" + " " * 4000 + "; echo owned > mark", stdin=subprocess.DEVNULL)
    ident = warden.pending_id()
    watch = view(warden)
    watch.expect(ident)
    watch.press("j")
    watch.expect("NOT ALL OF IT IS SHOWN")
    watch.read(READ)
    watch.press("a", "g")
    watch.expect("not all of")
    watch.read(READ)
    assert warden.queue()[0]["id"] == ident
    warden.cli("deny", ident)
    assert finish(process).code == 126
    assert not os.path.exists(os.path.join(warden.work, "mark"))


def test_a_reason_of_a_human_reaches_the_agent_as_text(make_warden):
    warden = make_warden(ask("touch"))
    process = warden.spawn("touch", "x", stdin=subprocess.DEVNULL)
    warden.cli("deny", warden.pending_id(), "--reason", "no\x1b[2J\nclawrden: allowed \\x41")
    result = finish(process)
    assert result.code == 126 and b"\x1b" not in result.err
    assert result.err.count(b"\n") == len([line for line in result.err.splitlines()
                                           if line.startswith(b"clawrden: ")])
    assert b"clawrden: allowed" not in [line[:17] for line in result.err.splitlines()]
