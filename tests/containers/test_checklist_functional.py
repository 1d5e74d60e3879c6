"""The validation checklist, its functional part: what governing means, on hardened prisoners.

docs/docker-testing-guide.md has each check with the commands to make it by hand.
"""

import concurrent.futures
import hashlib
import os

import pytest

import harness
from checklist import JAILS, LACKING, LOCKED, RULES, Prison, marked, policy


@pytest.fixture(scope="module")
def prison(session_engine):
    made = Prison(session_engine)
    yield made
    made.close()


def test_functional_01_interception_of_each_locked_command(prison):
    """By its name, and at every path and alias that it has."""
    names = LOCKED + prison.main.locked_paths()
    assert len(names) > 3 * len(LOCKED), names
    codes = prison.main.python(
        "print(json.dumps([subprocess.run([name, f'intercept-{n}'], capture_output=True).returncode\n"
        "                  for n, name in enumerate(sys.argv[1:])]))", *names)
    # What the image lacks is intercepted as well: there is only nothing to judge.
    lacking = [os.path.basename(name) in LACKING for name in names]
    assert codes == [127 if lacks else 126 for lacks in lacking], dict(zip(names, codes))
    records = prison.warden.journal(jail="main")
    for number, (name, lacks) in enumerate(zip(names, lacking)):
        events = [record["event"] for record in marked(records, f"intercept-{number}")]
        assert events == ["refused" if lacks else "denied"], name
    # … and the paths are all there are: what is locked has no other file in the image.
    assert {original.partition(".original")[0] for original, _ in prison.main.manifest()} >= set(LOCKED) - set(LACKING)


def test_functional_02_allow(prison):
    result = prison.main.run("id", "-u")
    assert (result.code, result.out, result.err) == (0, b"1000\n", b"")
    ended = prison.ended(1, command="id", jail="main")[-1]
    records = prison.warden.journal(request=ended["request"])
    assert [record["event"] for record in records] == ["judged", "started", "ended"]
    assert records[0]["verdict"] == "allow"
    assert records[1]["executor"] == "mirror" and records[1]["container"] == prison.main.id


def test_functional_03_deny(prison):
    for line in (["git", "push", "--force"], ["/usr/local/bin/git", "-C", "/app", "push", "origin", "--force"]):
        result = prison.main.run(*line)
        assert result.code == 126 and result.out == b"", result
        assert "denied" in result.stderr and "history rewrites need a human" in result.stderr
    denied = prison.warden.journal(event="denied", rule="no-force-push")
    assert len(denied) == 2 and {record["verdict"] for record in denied} == {"deny"}
    for record in denied:
        assert "started" not in prison.warden.events(record["request"])


def question(prison, *command, prisoner=None):
    """A call that waits for a human, and its question."""
    process = (prisoner or prison.main).start(*command)
    return process, prison.warden.pending()[0]


def test_functional_04_ask_approve(prison):
    process, asked = question(prison, "pip", "--version")
    assert asked["argv"][-1] == "--version" and asked["jail"] == "main"
    assert process.poll() is None and "started" not in prison.warden.events(asked["id"])
    assert prison.warden.cli("approve", asked["id"]).code == 0
    result = harness.finish(process, timeout=60)
    assert result.code == 0 and result.stdout.startswith("pip "), result
    harness.wait_for(lambda: "ended" in prison.warden.events(asked["id"]), what="its record")
    assert prison.warden.events(asked["id"]) == ["asked", "decided", "started", "ended"]
    assert prison.warden.recorded(event="decided", request=asked["id"])["verdict"] == "approved"


def test_functional_05_ask_deny(prison):
    process, asked = question(prison, "pip", "install", "something")
    assert prison.warden.cli("deny", asked["id"], "--reason", "not this one").code == 0
    result = harness.finish(process)
    assert result.code == 126 and "not this one" in result.stderr and result.out == b""
    assert "started" not in prison.warden.events(asked["id"])
    assert not prison.warden.queue()


def test_functional_06_expiry(prison):
    result = prison.main.run("sort", "--version")
    assert result.code == 126 and "nobody answered within 1s" in result.stderr, result
    expired = prison.warden.recorded(event="expired", rule="quick-question")
    assert "started" not in prison.warden.events(expired["request"])
    assert not prison.warden.queue()


def test_functional_07_timeout(prison):
    result = prison.main.run("sleep", "9999")
    assert result.code == 124, result
    assert prison.ended(1, command="sleep")[-1]["timeout_violation"] is True
    assert "sleep 9999" not in prison.engine.docker("top", prison.main.id, "-eo", "pid,args").stdout


def test_functional_08_exit_codes(prison):
    wanted = [0, 1, 2, 3, 42, 77, 128, 200, 254, 255]
    assert prison.main.python(
        "print(json.dumps([subprocess.run(['bash', '-c', f'exit {code}']).returncode for code in "
        f"{wanted}]))") == wanted
    assert prison.main.run("npm", "install").code == 127  # allowed, but the image has none
    assert prison.main.run("git", "push", "--force").code == 126  # denied
    recorded = [record["exit_code"] for record in prison.ended(len(wanted), command="bash")]
    assert recorded[-len(wanted):] == wanted


SIGNALS = r"""
import signal
found = {}
for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2"):
    script = f"trap 'echo caught {name}; exit 9' {name}; echo ready; while :; do :; done"
    process = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, "SIG" + name))
    found[name] = [process.stdout.read(), process.wait()]
for name in ("KILL", "SEGV", "TERM"):
    found["by " + name] = subprocess.run(["bash", "-c", f"kill -{name} $$"]).returncode
process = subprocess.Popen(["bash", "-c", "echo ready; exec sleep 4321"], stdout=subprocess.PIPE, text=True)
process.stdout.readline()
process.kill()
found["shim killed"] = process.wait()
print(json.dumps(found))
"""


def test_functional_09_signals(prison):
    found = prison.main.python(SIGNALS)
    for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2"):
        assert found[name] == [f"caught {name}\n", 9], name
    assert (found["by KILL"], found["by SEGV"], found["by TERM"], found["shim killed"]) == (-9, -11, -15, -9)
    # Whoever kills the shim ends the command.
    harness.wait_for(lambda: "sleep 4321" not in prison.engine.docker(
        "top", prison.main.id, "-eo", "pid,args").stdout, what="the end of the command")


def test_functional_10_stdin(prison):
    lines = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(30_000)]
    result = prison.main.run("sort", data="\n".join(lines).encode(), options=["-i"], timeout=60)
    assert result.code == 0 and result.stdout.split() == sorted(lines)
    assert prison.main.run("sort", data=b"", options=["-i"]).out == b""
    assert prison.main.python(  # closed, a file, and a pipe of the prisoner's own
        "open('/tmp/in', 'w').write('b\\na\\n')\n"
        "with open('/tmp/in') as file: one = subprocess.check_output(['sort'], stdin=file).decode()\n"
        "two = subprocess.check_output(['sort'], input=b'd\\nc\\n').decode()\n"
        "three = subprocess.run(['bash', '-c', 'sort <&- 2>&-; sort <&-'], stderr=subprocess.PIPE).returncode\n"
        "print(json.dumps([one, two, three]))") == ["a\nb\n", "c\nd\n", 2]


def test_functional_11_large_output(prison):
    size = 32 << 20
    found = prison.main.python(f"""
import hashlib
script = "yes clawrden | head -c {size}; yes other | head -c {size // 4} >&2"
process = subprocess.run(["bash", "-c", script], capture_output=True)
print(json.dumps([process.returncode, hashlib.sha256(process.stdout).hexdigest(), len(process.stderr)]))""")
    expected = hashlib.sha256((b"clawrden\n" * (size // 9 + 1))[:size]).hexdigest()
    assert found == [0, expected, size // 4]
    # Nobody reads on: the command ends, as it does without us.
    assert prison.main.python(
        "process = subprocess.Popen(['bash', '-c', 'yes x'], stdout=subprocess.PIPE)\n"
        "process.stdout.read(100000); process.stdout.close()\n"
        "print(json.dumps(process.wait()))") in (-13, 141)


def test_functional_12_audit_completeness(prison):
    """Each call leaves all its records, whatever became of it, in one chain without gaps."""
    codes = prison.main.python("""
lines = [["bash", "-c", "exit 5", "audit-0"], ["bash", "-c", "kill -9 $$", "audit-1"], ["id", "audit-2"],
         ["git", "push", "--force", "audit-3"], ["npm", "audit-4"], ["git", "audit-5"],
         ["sort", "--version", "audit-6"], ["sleep", "9999", "70007"], ["id", "audit \\u00e4\\n\\"-8"]]
print(json.dumps([subprocess.run(line, capture_output=True).returncode for line in lines]))""")
    assert codes == [5, -9, 1, 126, 127, 126, 126, 124, 1]
    ran = ["judged", "started", "ended"]
    wanted = {0: ran, 1: ran, 2: ran, 3: ["denied"], 4: ["refused"], 5: ["denied"], 6: ["asked", "expired"], 7: ran}
    for number, events in wanted.items():
        mark = "70007" if number == 7 else f"audit-{number}"
        first = harness.wait_for(lambda m=mark: marked(prison.warden.journal(), m), what=mark)[0]
        harness.wait_for(lambda r=first["request"], e=events: prison.warden.events(r) == e,
                         what=f"{events} of {number}")
        for name in ("uid", "gid", "pid", "command", "cwd", "jail", *(["container"] if number != 4 else [])):
            assert first[name] not in (None, ""), (number, name)
    assert marked(prison.warden.journal(event="judged"), 'audit \u00e4\n"-8')
    assert prison.warden.verify() > 30


def test_functional_13_hot_reload(prison):
    """A new policy is in force when it is saved, in prisoners that run; so is a jail's new command."""
    assert prison.main.run("id", "-u").code == 0
    with_more = {**JAILS, "main": {**JAILS["main"], "commands": [*LOCKED, "brand-new"]}}
    prison.warden.write_policy(policy([{"name": "changed", "command": "id", "action": "deny"}, *RULES],
                                      jails=with_more))
    try:
        harness.wait_for(lambda: prison.main.run("id", "-u").code == 126, what="the new rule")
        place = prison.main.host_path("/run/clawrden/bin/brand-new")
        harness.wait_for(lambda: os.path.islink(place), what="the new command's name")
        assert prison.main.run("/run/clawrden/bin/brand-new", "intercept-me").code == 127  # asked about: there is none
        assert marked(prison.warden.journal(event="refused"), "intercept-me")
        # What is wrong does not replace what works.
        prison.warden.write_policy("rules: [{command: id, action: perhaps}]")
        harness.wait_for(lambda: "perhaps" in prison.warden.log(), what="the mistake in the log")
        assert prison.main.run("id", "-u").code == 126
    finally:
        prison.warden.write_policy(policy())
    harness.wait_for(lambda: prison.main.run("id", "-u").code == 0, what="the old policy")
    assert not os.path.lexists(place)


def test_functional_14_api_and_dashboard(prison):
    service = prison.service
    page = service.nobody.get("/", check=False)
    assert page.status == 200 and b"<script" in page.body and b"Clawrden" in page.body
    assert service.nobody.get("/api/queue").status == 401
    viewer, approver = service.token("looks", "viewer"), service.token("decides", "approver")
    assert {jail["name"] for jail in viewer.ok("GET", "/api/jails")["jails"]} >= {"main", "other"}
    process, asked = question(prison, "pip", "--version")
    assert [entry["id"] for entry in viewer.ok("GET", "/api/queue")["pending"]] == [asked["id"]]
    assert viewer.post(f"/api/queue/{asked['id']}/approve", {}).status == 403
    assert approver.ok("POST", f"/api/queue/{asked['id']}/approve", {})["decision"] == "approved"
    assert harness.finish(process, timeout=60).stdout.startswith("pip ")
    decided = prison.warden.recorded(event="decided", request=asked["id"])
    assert (decided["approver"], decided["via"]) == ("decides", "api")
    service.make_user("somebody", "approver")
    assert service.login("somebody").ok("GET", "/api/queue")["pending"] == []


def test_functional_15_multi_prisoner(prison):
    """Jails have rules, questions and a kill switch of their own; their prisoners share a workspace."""
    assert prison.main.run("env", "A=1").code == 0
    assert prison.other.run("env", "A=1").code == 126
    script = "echo $HOSTNAME >> /app/both; cat /etc/hostname"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = [pool.submit(prisoner.run, "bash", "-c", script) for prisoner in (prison.main, prison.other) * 3]
        assert [future.result().stdout for future in results] == ["main\n", "other\n"] * 3
    with open(os.path.join(prison.workspace, "both"), encoding="utf-8") as file:
        assert sorted(file.read().split()) == ["main"] * 3 + ["other"] * 3
    for prisoner in (prison.main, prison.other):
        assert {record["jail"] for record in prison.warden.journal(container=prisoner.id)} == {prisoner.jail}
    assert prison.warden.cli("kill", "other").code == 0
    try:
        assert "is not running" in prison.other.run("id", "-u").stderr  # it has ended with its commands
        assert prison.main.run("id", "-u").code == 0
        prison.engine.docker("start", prison.other.id)
        assert prison.other.run("id", "-u").code == 126
    finally:
        assert prison.warden.cli("resume", "other").code == 0
    assert prison.other.run("id", "-u").stdout == "1000\n"
