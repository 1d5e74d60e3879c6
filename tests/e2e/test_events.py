"""Live views and history: nothing missing, nothing twice, nothing of other jails."""

import csv
import io
import json
import os
import threading

import pytest

import harness
from api import Events, Service
from harness import allow, ask, wait_for


@pytest.fixture
def service(make_warden):
    made = []

    def make(*rules, **top):
        warden = make_warden(*rules, warden_options={"options": ["--api", "127.0.0.1:0"]},
                             **{"jails": {"default": {}, "other": {}}, **top})
        made.append(Service(warden))
        return made[-1]

    yield make
    for entry in made:
        entry.close()


def last_seq(api):
    return api.operator.ok("GET", "/api/status")["journal"]["seq"]


@pytest.mark.quick
def test_a_view_shows_what_the_journal_gets(service):
    api = service(allow("echo"))
    view = Events(api.token("viewer"))
    api.warden.shim("echo", "one")
    seen = view.until(lambda event: event[1] == "ended")
    records = {record["seq"]: record for record in api.warden.journal()}
    for seq, event, data in seen:
        assert data == records[seq] and event == data["event"]
    assert [event for _, event, data in seen if "request" in data] == ["judged", "started", "ended"]
    view.close()


def test_what_was_missed_comes_again(service):
    """From the ring, and from segments, by the header and by the query; for several at once."""
    api = service(allow("echo"))
    viewer = api.token("viewer")
    for number in range(10):
        api.warden.shim("echo", str(number))
    head = last_seq(api)
    for last in (0, 1, head - 5, head):
        for view in (Events(viewer, last=last), Events(viewer, query=f"?last_event_id={last}")):
            api.warden.shim("echo", "more")
            now = last_seq(api)
            seen = view.until(lambda event, now=now: event[0] >= now)
            assert [event[0] for event in seen] == list(range(last + 1, seen[-1][0] + 1)), last
            view.close()


def test_a_place_that_was_never_there(service):
    api = service(allow("echo"))
    view = Events(api.token("viewer"), last=10 ** 12)
    api.warden.shim("echo", "x")
    assert view.until(lambda event: event[1] == "ended")[-1][0] <= last_seq(api)
    view.close()


def test_views_go_on_after_the_warden_was_replaced(service):
    api = service(allow("echo"))
    token = api.make_token("viewer")["token"]
    view = Events(api.bearer(token), last=0)
    api.warden.shim("echo", "before")
    seen = view.until(lambda event: event[1] == "ended")
    harness.kill_quietly(api.warden.process_of("warden"))
    while True:  # the api ends with it, and the stream with the api
        event = view.next()
        if not event:
            break
        seen.append(event)

    def again():
        try:
            return Events(api.bearer(token), last=seen[-1][0])
        except OSError:
            return None

    view = wait_for(lambda: (found := again()) and found.status == 200 and found, what="the api again")
    wait_for(lambda: api.warden.shim("echo", "after").code == 0, what="the warden again")
    now = last_seq(api)
    seen += view.until(lambda event: event[0] >= now)
    assert [event[0] for event in seen] == list(range(1, seen[-1][0] + 1))
    view.close()


def test_a_flood_is_complete_for_everybody(service):
    """More records than any buffer on the way holds, while views come and go."""
    api = service(allow("true"))
    token = api.make_token("viewer")["token"]
    views = [Events(api.bearer(token), last=0) for _ in range(5)]
    filler = "x" * 60000

    api.warden.stand_in("true")

    def flood():
        for number in range(60):
            assert api.warden.shim("true", str(number), filler).code == 0

    threads = [threading.Thread(target=flood) for _ in range(2)]
    for thread in threads:
        thread.start()
    late = Events(api.bearer(token), last=3)
    for thread in threads:
        thread.join()
    head = last_seq(api)
    for view, first in [*((view, 1) for view in views), (late, 4), (Events(api.bearer(token), last=0), 1)]:
        seen = view.until(lambda event: event[0] >= head)
        assert [event[0] for event in seen] == list(range(first, seen[-1][0] + 1))
        view.close()


def test_a_record_that_is_too_large_is_named(service):
    api = service(allow("true"))
    view = Events(api.token("viewer"), last=0)
    assert api.warden.shim("true", *["y" * 100000] * 4).code == 0
    seen = view.until(lambda event: event[1] == "ended")
    judged = next(data for _, event, data in seen if event == "judged")
    assert judged["oversize"] > 400000 and set(judged) == {"seq", "event", "jail", "oversize"}
    view.close()


def test_a_view_of_one_jail(service):
    api = service(allow("echo"))
    view = Events(api.token("jailed", jails=["other"]), last=0)
    api.warden.shim("echo", "theirs")
    api.warden.shim("echo", "mine", jail="other")
    api.warden.shim("echo", "theirs")
    api.warden.shim("echo", "mine", jail="other")
    seen = view.until(lambda event: event[1] == "ended") + view.until(lambda event: event[1] == "ended")
    assert all(data["jail"] == "other" for _, _, data in seen)
    assert not [data for _, _, data in seen if "theirs" in json.dumps(data)]
    view.close()
    again = Events(api.token("jailed2", jails=["other"]), last=0)
    assert [event[0] for event in again.until(lambda event: event[0] >= seen[-1][0])] == [event[0] for event in seen]
    again.close()


# History.


@pytest.fixture
def written(service):
    api = service(allow("echo", "true"), ask("touch"))
    warden = api.warden
    for number in range(20):
        warden.shim("echo", f"number {number}")
    warden.shim("true", "Needle", 'with "quotes"', "and\nlines", jail="other")
    warden.shim("nosuch")
    api.viewer = api.token("viewer")
    return api


def every(api, query=""):
    found, before = [], None
    while True:
        page = api.viewer.ok("GET", f"/api/history?limit=7{query}" + (f"&before={before}" if before else ""))
        assert len(page["records"]) <= 7
        found += page["records"]
        before = page["next"]
        if before is None:
            return found


def test_pages_are_the_journal_backwards(written):
    records = written.warden.journal()
    assert every(written) == records[::-1]
    assert written.viewer.ok("GET", "/api/history?limit=1000")["records"] == records[::-1]
    assert written.viewer.ok("GET", "/api/history?limit=3&before=3")["records"] == records[1::-1]
    assert written.viewer.ok("GET", "/api/history?before=1") == {"records": [], "next": None}


def test_filters(written):
    records = written.warden.journal()[::-1]
    some = records[15]["ts"]
    for query, fits in (
            ("&jail=other", lambda record: record.get("jail") == "other"),
            ("&event=ended", lambda record: record["event"] == "ended"),
            ("&event=ended&command=true", lambda record: record["event"] == "ended" and record["command"] == "true"),
            ("&command=ech", lambda record: False),
            ("&q=needle", lambda record: "Needle" in json.dumps(record.get("argv"))),
            ("&q=QUOTES+Needle", lambda record: "Needle" in json.dumps(record.get("argv"))),
            ("&q=with+%22quotes%22", lambda record: "Needle" in json.dumps(record.get("argv"))),
            ("&q=number+7", lambda record: "number" in json.dumps(record) and "7" in json.dumps(
                {name: value for name, value in record.items() if name not in ("prev", "hash")})),
            ("&q=" + records[5]["hash"][:20], lambda record: False),
            (f"&since={some}", lambda record: record["ts"] >= some),
            (f"&until={some}", lambda record: record["ts"] < some),
            (f"&since={some}&until={records[3]['ts']}", lambda record: some <= record["ts"] < records[3]["ts"]),
            ("&since=2000-01-01T00:00:00Z", lambda record: True),
            ("&since=2100-01-01T00:00:00Z", lambda record: False)):
        assert every(written, query) == [record for record in records if fits(record)], query


def test_files(written):
    records = written.warden.journal()[::-1]
    answer = written.viewer.get("/api/history?format=jsonl")
    assert [json.loads(line) for line in answer.body.splitlines()] == records
    assert answer.headers["Content-Disposition"] == 'attachment; filename="clawrden-history.jsonl"'
    answer = written.viewer.get("/api/history?format=csv&jail=other")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    wanted = [record for record in records if record.get("jail") == "other"]
    assert [int(row["seq"]) for row in rows] == [record["seq"] for record in wanted]
    judged = next(row for row in rows if row["event"] == "judged")
    assert judged["argv"] == "true Needle 'with \"quotes\"' 'and\\nlines'" and judged["uid"] == str(harness.PRISONER)
    assert len(written.viewer.get("/api/history?format=jsonl&limit=5").body.splitlines()) == 5


def test_cells_are_no_formulas(service):
    api = service(allow("*"), default_action="allow")
    for word in ("=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", '"=1', "a,b\r\n=2"):
        api.warden.shim("echo", word)
        path = api.warden.own(word.replace("/", "").replace("\n", "").replace("\r", ""), "#!/bin/sh\n")
        api.warden.shim(path)
    answer = api.token("viewer").get("/api/history?format=csv")
    text = answer.body.decode()
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert len({len(row) for row in rows}) == 1 and len(rows) > 15
    for row in rows:
        for cell in row:
            assert not cell or cell[0] not in "=+@\t\r\n", row
            assert not cell.startswith("-"), row
    assert any(cell.startswith("'=") for row in rows for cell in row)


def test_history_through_segments(service):
    """A journal that was rotated is read as one, in both directions; its numbers are found quickly."""
    api = service(allow("echo"))
    viewer = api.token("viewer")
    api.warden.terminate()
    for number in range(3):
        api.warden.start()
        for word in range(5):
            api.warden.shim("echo", f"{number}.{word}")
        api.warden.terminate()
        with open(api.warden.audit, "rb") as file:
            oldest = json.loads(file.readline())["seq"]
        os.rename(api.warden.audit, f"{api.warden.audit}.{oldest:020}")
    # The chain goes on in a new file when there is none: the head is kept beside it.
    api.warden.start()
    viewer = api.viewer = api.client(api.warden.url, viewer.headers)
    api.warden.shim("echo", "last")
    records = api.warden.journal()
    assert every(api) == records[::-1]
    view = Events(viewer, last=0)
    head = records[-1]["seq"]
    assert [event[0] for event in view.until(lambda event: event[0] >= head)] == [record["seq"] for record in records]
    view.close()
    for before in (records[3]["seq"], records[len(records) // 2]["seq"], head + 5):
        page = viewer.ok("GET", f"/api/history?limit=4&before={before}")["records"]
        assert page == [record for record in records[::-1] if record["seq"] < before][:4]
