"""Ways around what a rule says about asking: faster than its rate, by another channel, as another person."""

import subprocess
import time

import pytest

from api import PASSWORD, Service
from harness import allow, finish

DEVNULL = subprocess.DEVNULL
FETCH = "#!/bin/sh\necho fetched\n"


@pytest.fixture
def service(make_warden):
    made = []

    def make(*rules, **top):
        warden = make_warden(*rules, warden_options={"options": ["--api", "127.0.0.1:0"]}, **top)
        made.append(Service(warden))
        return made[-1]

    yield make
    for entry in made:
        entry.close()


def limited(then, **more):
    return {"name": "limited", "command": "fetch", "action": "allow",
            "rate": {"most": 3, "per": "1h", "then": then}, **more}


def test_a_rate_is_of_the_rule_however_it_is_called(make_warden):
    """Other arguments, directories, environments, and many at once are one rate."""
    warden = make_warden(limited("deny"))
    warden.tool("fetch", FETCH)
    ways = [{}, {"cwd": "/"}, {"env": {"LANG": "C"}}, {"env": {"CLAWRDEN_WAIT": "0"}}]
    processes = [warden.spawn("fetch", str(number), stdin=DEVNULL, **ways[number % len(ways)])
                 for number in range(12)]
    results = [finish(process) for process in processes]
    assert sorted(result.code for result in results) == [0] * 3 + [126] * 9
    refused = next(result for result in results if result.code == 126)
    assert "more than 3 calls" in refused.stderr and "wait" in refused.stderr
    assert len(warden.journal(event="started")) == 3


def test_above_the_rate_somebody_is_asked(make_warden):
    warden = make_warden(limited("ask"))
    warden.tool("fetch", FETCH)
    for _ in range(3):
        assert warden.shim("fetch", "x").out == b"fetched\n"
    asked = warden.spawn("fetch", "x", stdin=DEVNULL)
    assert warden.cli("approve", warden.pending_id()).code == 0
    assert finish(asked).out == b"fetched\n"
    again = warden.spawn("fetch", "x", stdin=DEVNULL)  # what was approved was one call
    assert warden.cli("deny", warden.pending_id()).code == 0
    assert finish(again).code == 126


def test_a_jail_uses_up_no_others_rate(make_warden):
    warden = make_warden(limited("deny"), jails={"other": {}})
    warden.tool("fetch", FETCH)
    assert [warden.shim("fetch").code for _ in range(4)] == [0, 0, 0, 126]
    assert [warden.shim("fetch", jail="other").code for _ in range(4)] == [0, 0, 0, 126]


def test_what_is_refused_does_not_prolong_the_rate(make_warden):
    """A prisoner that goes on trying does not lock itself out, and gets no more either."""
    warden = make_warden(limited("deny", rate={"most": 2, "per": "2s", "then": "deny"}))
    warden.tool("fetch", FETCH)
    start, ran = time.monotonic(), 0
    while time.monotonic() - start < 5:
        ran += warden.shim("fetch").code == 0
    windows = (time.monotonic() - start) / 2 + 1
    assert 4 <= ran <= 2 * windows, ran


def picky(**more):
    return {"name": "picky", "command": "touch", "action": "ask", **more}


def decide_as(client, ident, verb="approve", **headers):
    return client.post(f"/api/queue/{ident}/{verb}", {}, headers=headers)


@pytest.mark.parametrize("channel", ["cli", "api", "dashboard", "slack"])
def test_channels_hold_for_everybody(service, channel):
    """A decision comes by what vouches for it, not by what it says of itself."""
    api = service(picky(channels=[channel]), allow("echo"))
    api.make_user("alice", "admin", PASSWORD)
    by = {"api": api.token("plain", "admin"), "slack": api.token("bridge", "admin", via="slack"),
          "dashboard": api.login("alice"), "cli": None}
    process = api.warden.spawn("touch", "x", stdin=DEVNULL)
    ident = api.warden.pending_id()
    pretend = {"User-Agent": "clawrden-cli/0.1.0", "X-Clawrden-Via": channel}
    for name, client in by.items():
        if client and name != channel:
            for verb in ("approve", "deny"):
                refused = decide_as(client, ident, verb, **pretend)
                assert refused.status == 403 and refused.code == "not_yours", (name, refused)
    if channel != "cli":
        assert api.warden.cli("approve", ident).code == 1
    assert process.poll() is None and len(api.warden.queue()) == 1
    assert api.warden.recorded(event="refused", approver="plain" if channel != "api" else "bridge")
    if channel == "cli":
        assert api.warden.cli("approve", ident).code == 0
    else:
        assert decide_as(by[channel], ident).status == 200
    assert finish(process).code == 0


def test_approvers_are_names_not_looks(service):
    api = service(picky(approvers=["alice"]), allow("echo"))
    others = [api.token(name, "admin") for name in ("Alice", "alice.", "alice@x", "alicea", "ali")]
    process = api.warden.spawn("touch", "x", stdin=DEVNULL)
    ident = api.warden.pending_id()
    for client in others:
        assert decide_as(client, ident).code == "not_yours"
    assert api.warden.cli("approve", ident).code == 1, "root at the machine is not alice"
    assert process.poll() is None
    api.make_user("alice", "approver", PASSWORD)
    assert decide_as(api.login("alice"), ident).status == 200
    assert finish(process).code == 0


@pytest.mark.root
def test_two_approvals_are_of_two_people(service):
    """One person with a token and a session of the same name, and at the machine."""
    api = service(picky(approvals=2), allow("echo"))
    api.make_user("root", "admin", PASSWORD)
    process = api.warden.spawn("touch", "x", stdin=DEVNULL)
    ident = api.warden.pending_id()
    session = api.login("root")
    assert decide_as(session, ident).json["decision"] == "counted"
    assert decide_as(session, ident).code == "already_approved"
    assert decide_as(api.login("root"), ident).code == "already_approved"
    assert api.warden.cli("approve", ident).code == 1, "root (uid 0) has the same name"
    assert api.operator.post("/api/tokens", {"name": "root", "role": "admin"}).status == 409
    assert process.poll() is None
    assert decide_as(api.token("second", "approver"), ident).json["decision"] == "approved"
    assert finish(process).code == 0
