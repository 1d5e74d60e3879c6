"""The page against an api that says whatever hurts: hostile texts, old answers, lost connections."""

import base64
import os
import re

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from fakewarden import WEB, question
from harness import ROOT, wait_for

HTML = '<img src=x onerror="alert(1)"><script>alert(2)</script><b style="color:red">&amp;</b>'


def show(browser, fake, *questions):
    """Opens the page with these questions."""
    fake.ask(*questions)
    browser.open(fake.url)
    browser.connected()


def arguments(browser, name="AAAA01"):
    return browser.run("return [...document.querySelectorAll(`[data-id='${arguments[0]}'] .command .arg`)]"
                       ".map((box) => box.textContent)", name)


def marks(browser, name="AAAA01"):
    return browser.run("return [...document.querySelectorAll(`[data-id='${arguments[0]}'] .command .mark`)]"
                       ".map((mark) => mark.textContent)", name)


def entries(browser):
    """Ids of what waits, from top to bottom."""
    return browser.run("return [...document.querySelectorAll('.entry:not(.entry-ended)')]"
                       ".map((entry) => entry.dataset.id)")


# What a prisoner wrote.

def test_every_argument_has_a_box_of_its_own(browser, fake):
    fake = fake()
    show(browser, fake, question(argv=["git", "commit -m", "", "two  words ", " lead", "'a b'", "\\n"]))
    assert arguments(browser) == ["git", "commit -m", "''", "two  words ", " lead", "'a b'", "\\n"]
    assert browser.all(".arg-empty")[0].get_attribute("title") == "an empty argument"
    assert marks(browser) == []  # what only looks like an escape is none
    boxes = [box.rect for box in browser.all("[data-id=AAAA01] .command .arg")]
    assert all(box["width"] > 10 and box["height"] > 10 for box in boxes)
    assert all(left["x"] + left["width"] < right["x"] for left, right in zip(boxes, boxes[1:])
               if left["y"] == right["y"])


def test_terminal_sequences_and_controls_are_marks(browser, fake):
    fake = fake()
    show(browser, fake, question(argv=["echo", "\x1b[2J\x1b]0;pwned\x07", "a\nb\tc\rd\x00e\x7f\x9b"]))
    assert arguments(browser) == ["echo", "\\x1b[2J\\x1b]0;pwned\\x07",
                                  "a\\nb\\tc\\rd\\x00e\\x7f\\u{9b}"]
    assert marks(browser) == ["\\x1b", "\\x1b", "\\x07", "\\n", "\\t", "\\r", "\\x00", "\\x7f",
                              "\\u{9b}"]


def test_bidirectional_and_invisible_characters_are_marks(browser, fake):
    fake = fake()
    hidden = "\u202e\u2066\u200b\u200d\u2028\u00a0\u3000\ufeff\U000e0041\u00ad\u2800\u115f\ufe0f"
    show(browser, fake, question(argv=["rm", f"x{hidden}y"], rule="evil\u202erule",
                                 reason="r\u202ey", cwd="/tmp/\u202ex", jail="j\u2066",
                                 display="rm \u202e"))
    assert marks(browser) == [f"\\u{{{ord(one):x}}}" for one in hidden]
    whole = browser.run("return document.body.textContent + document.title")
    assert not set(whole) & set(hidden)
    for words in ("evil\\u{202e}rule", "r\\u{202e}y", "/tmp/\\u{202e}x", "j\\u{2066}"):
        assert words in whole, words


def test_right_to_left_letters_stand_in_their_order(browser, fake):
    fake = fake()
    show(browser, fake, question(argv=["rm", "א/ב.txt", "plain"]))
    boxes = browser.run("return [...document.querySelectorAll('.command .arg')].map((box) =>"
                        " [box.textContent, getComputedStyle(box).unicodeBidi])")
    assert boxes == [["rm", "isolate"], ["א/ב.txt", "isolate-override"], ["plain", "isolate"]]
    # The first letter is where the first letter is: left.
    places = browser.run("""
      const text = document.querySelectorAll('.command .arg')[1].firstChild;
      return [0, 1, 2].map((at) => {
        const range = document.createRange();
        range.setStart(text, at);
        range.setEnd(text, at + 1);
        return range.getBoundingClientRect().left;
      });""")
    assert places == sorted(places)


def test_letters_that_look_like_others_and_towers_of_marks(browser, fake):
    fake = fake()
    show(browser, fake, question(argv=["git", "m\u0430in", "пример", "Ωμέγα", "e\u0301",
                                       "a" + "\u0301" * 5, "-\u0301", "o\u0338"]))
    assert arguments(browser)[1:4] == ["m\u0430in", "пример", "Ωμέγα"]
    assert marks(browser) == ["\u0430", *["\\u{301}"] * 3, "\\u{301}", "\\u{338}"]


def test_bytes_that_are_not_utf8(browser, fake):
    fake = fake()
    raw = [b"\xff\xfe bad \xc3(", b"\xed\xa0\x80", b"ok \xe2\x82\xac \xf0\x9f\x98\x80", b"\xc0\x80\xf5",
           b"\xe2\x80\xae!\xff"]
    show(browser, fake, question(argv=["cat", *({"base64": base64.b64encode(one).decode()}
                                                for one in raw)]))
    assert arguments(browser)[1:] == ["\\xff\\xfe bad \\xc3(", "\\xed\\xa0\\x80", "ok € 😀",
                                      "\\xc0\\x80\\xf5", "\\u{202e}!\\xff"]


def test_markup_is_text_wherever_it_comes_from(browser, fake):
    fake = fake()
    fake.jails[0]["name"] = HTML
    fake.status["policy"].update(path=HTML, error=HTML)
    fake.status["journal"]["health"] = HTML
    fake.session["name"] = HTML
    grant = {"exact": HTML, "widened": HTML, "session": True, "why_not": None}
    fake.grants = [{"id": "G-AAAAAA", "covers": HTML, "approver": HTML, "rule": HTML, "used": 0,
                    "created_at": HTML, "expires_at": None, "session": True, "widened": True}]
    for event in ("judged", "decided", "ended", "denied", "config", "grant", "killed", "login"):
        fake.record(event, argv=[HTML, HTML], rule=HTML, reason=HTML, message=HTML, approver=HTML,
                    via=HTML, verdict=HTML, jail=HTML, executor=HTML, grant=HTML, exit_code=HTML)
    entry = question(argv=["git", HTML], display=HTML, cwd=HTML, exe=HTML, rule=HTML, reason=HTML,
                     script=HTML, jail=HTML, container=HTML, notes=[HTML], approved_by=[HTML],
                     needed=2, grant=grant, exe_digest=HTML)
    show(browser, fake, entry, question(2, may_decide=False, why_not=HTML))
    assert arguments(browser)[1] == HTML
    browser.click("[data-id=AAAA01] .remember")
    assert browser.text("dialog").count(HTML) >= 3
    assert browser.run("return document.querySelectorAll("
                       "'#page script, [onerror], [style], iframe, img:not([src=\"/icon.svg\"])').length") == 0
    assert browser.problems() == []


def test_a_long_argument_is_folded_and_can_be_read_whole(browser, fake):
    fake = fake()
    text = "".join(f"{number}," for number in range(200000))[:1 << 20]
    show(browser, fake, question(argv=["echo", text, "last"]))
    shown = arguments(browser)[1]
    assert len(shown) < 500 and shown.startswith(text[:200]) and shown.endswith(text[-60:])
    assert "show 1,048,256 more characters" in shown
    browser.click("[data-id=AAAA01] .fold")
    assert browser.run("return document.querySelectorAll('.command .arg')[1].firstChild.data") == text
    browser.click("[data-id=AAAA01] .fold")
    assert arguments(browser)[1] == shown


def test_a_text_of_many_lines_is_folded(browser, fake):
    fake = fake()
    script = "".join(f"line {number}\n" for number in range(40))
    show(browser, fake, question(argv=["sh", "-c", script]))
    shown = arguments(browser)[2]
    assert shown.startswith("line 0\\nline 1\\n") and "line 20" not in shown
    assert shown.endswith("line 39\\n")
    browser.click("[data-id=AAAA01] .fold")
    assert "line 20\\nline 21\\n" in arguments(browser)[2]


def test_many_arguments_and_those_that_were_not_sent(browser, fake):
    fake = fake()
    show(browser, fake, question(argv=["echo", *map(str, range(500))], argv_more=7, display="echo 0 …"))
    assert len(arguments(browser)) == 40
    assert "7 arguments are too long to be shown here" in browser.text("[data-id=AAAA01] .command")
    assert "echo 0 …" in browser.text("[data-id=AAAA01] .display")
    browser.click("[data-id=AAAA01] .fold")
    assert arguments(browser) == ["echo", *map(str, range(500))]


def test_history_shows_what_happened_in_words(browser, fake):
    fake = fake()
    fake.record("judged", argv=["ls"], verdict="allow", rule="look")
    browser.open(fake.url)
    browser.connected()
    fake.record("ended", argv=["ls"], exit_code=3, duration_ms=1500)
    fake.record("decided", argv=["rm", "x"], verdict="deny", approver="bob", via="cli", reason="no\x1b[m")
    fake.record("ended", argv=["ls"], signal=9, duration_ms=61000, timeout_violation=True)
    fake.record("judged", argv=["git", "push"], verdict="granted", grant="G-ABCDEF")
    browser.see(".record:nth-child(5)")
    lines = browser.run("return [...document.querySelectorAll('.record-words')].map((line) => line.textContent)")
    assert lines == ["allowed under grant G-ABCDEFgitpush", "timed out and was ended by signal 9 after 1:01ls",
                     "denied by bob (cli)rmxbecause: no\\x1b[m", "ended with 3 after 1.5 sls",
                     "allowedls (rule look)"]


def test_history_keeps_the_last_200(browser, fake):
    fake = fake()
    for number in range(150):
        fake.record("config", message=f"number {number}")
    browser.open(fake.url)
    browser.connected()
    for number in range(150, 350):
        fake.record("config", message=f"number {number}")
    browser.says(".record:first-child", "number 349")
    assert len(browser.all(".record")) == 200
    assert "number 150" in browser.text(".record:last-child")


# Answering.

def test_approve_denied_and_how_they_are_sent(browser, fake):
    fake = fake()
    show(browser, fake, question(1), question(2))
    assert browser.title == "(2) Clawrden"
    browser.click("[data-id=AAAA01] .approve")
    browser.says("[data-id=AAAA01] .outcome", "Approved by you.")
    browser.click("[data-id=AAAA02] .deny")
    browser.fill("dialog input", "not on a Friday")
    browser.click("dialog .danger")
    browser.says("[data-id=AAAA02] .outcome", "Denied by you.")
    assert fake.decided() == [("/api/queue/AAAA01/approve", {}),
                              ("/api/queue/AAAA02/deny", {"reason": "not on a Friday"})]
    assert all(csrf == "the-csrf-token" for method, _, _, csrf in fake.calls if method != "GET")
    wait_for(lambda: browser.title == "Clawrden", what="a title without a count")


def test_a_button_works_only_after_its_command_was_in_view(browser, fake):
    """Whoever clicks in the very moment in which an entry appears hits nothing."""
    fake = fake()
    show(browser, fake)
    browser.run("""
      window.clicks = 0;
      new MutationObserver((changes) => {
        for (const change of changes) for (const node of change.addedNodes) {
          node.querySelector('.approve').click();
          node.focus();
          node.dispatchEvent(new KeyboardEvent('keydown', {key: 'a', bubbles: true}));
          window.clicks += 1;
        }
      }).observe(document.querySelector('.queue .entries'), {childList: true});""")
    fake.ask(question(1))
    browser.until("window.clicks === 1 && document.querySelector('.approve').ariaDisabled === 'false'")
    assert fake.decided() == []
    browser.click("[data-id=AAAA01] .approve")
    browser.says("[data-id=AAAA01] .outcome", "Approved")


def test_what_moved_must_be_looked_at_again(browser, fake):
    fake = fake()
    show(browser, fake, question(1, argv=["sh", "-c", "line\n" * 40]), question(2))
    browser.until("document.querySelector('[data-id=AAAA02] .approve').ariaDisabled === 'false'")
    browser.run("""
      window.states = [];
      const button = document.querySelector('[data-id=AAAA02] .approve');
      new MutationObserver(() => {
        if (window.states.at(-1) !== button.ariaDisabled) window.states.push(button.ariaDisabled);
      }).observe(button, {attributes: true});""")
    browser.click("[data-id=AAAA01] .fold")  # pushes the second one down
    browser.until("window.states.length > 0")
    assert browser.run("return window.states[0]") == "true"
    browser.run("document.querySelector('[data-id=AAAA02]').scrollIntoView()")
    browser.until("window.states.join() === 'true,false'")


def test_new_questions_move_nothing_and_answered_ones_stay_under_the_pointer(browser, fake):
    fake = fake()
    show(browser, fake, question(1), question(2))
    places = "return [...document.querySelectorAll('.entry')].map((e) => [e.dataset.id, e.offsetTop])"
    before = browser.run(places)
    fake.ask(question(3))
    browser.see("[data-id=AAAA03]")
    assert browser.run(places)[:2] == before
    ActionChains(browser.driver).move_to_element(
        browser.driver.find_element(By.CSS_SELECTOR, "[data-id=AAAA02] .command")).perform()
    fake.questions = [entry for entry in fake.questions if entry["id"] != "AAAA01"]
    fake.record("decided", approval="AAAA01", request="R1", verdict="approved", approver="bob", via="cli")
    browser.says("[data-id=AAAA01] .outcome", "Approved by bob (cli)")
    assert browser.all("[data-id=AAAA01]")  # greyed, and in its place
    assert not browser.see("[data-id=AAAA02]").get_attribute("class").count("entry-ended")
    assert entries(browser) == ["AAAA02", "AAAA03"]
    ActionChains(browser.driver).move_to_element(
        browser.driver.find_element(By.CSS_SELECTOR, ".brand")).perform()
    browser.gone("[data-id=AAAA01]")


def test_an_entry_that_is_another_under_the_same_id_is_shown_anew(browser, fake):
    fake = fake()
    show(browser, fake, question(1, argv=["git", "status"]))
    browser.until("document.querySelector('.approve').ariaDisabled === 'false'")
    first = browser.driver.find_element(By.CSS_SELECTOR, "[data-id=AAAA01]")
    fake.questions[0]["argv"] = ["git", "push"]
    fake.record("asked", approval="AAAA01", request="R1")
    wait_for(lambda: arguments(browser) == ["git", "push"], what="the new command")
    with pytest.raises(StaleElementReferenceException):
        _ = first.text


def test_what_ended_elsewhere_says_how(browser, fake):
    fake = fake()
    show(browser, fake, *(question(number) for number in range(1, 5)))
    fake.questions.clear()
    fake.record("expired", approval="AAAA01", request="R1")
    fake.record("cancelled", approval="AAAA02", request="R2")
    fake.record("decided", approval="AAAA03", request="R3", verdict="deny", approver="bob")
    browser.run("document.querySelector('[data-id=AAAA01]').focus()")
    for name, words in (("AAAA01", "Nobody answered in time"), ("AAAA02", "withdrawn"),
                        ("AAAA03", "Denied by bob")):
        browser.says(f"[data-id={name}] .outcome", words)


def test_a_refused_decision_is_said_in_words(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    fake.answers["POST", "/api/queue/AAAA01/approve"] = (
        403, {"error": "this rule takes answers from slack only", "code": "channel"})
    browser.click("[data-id=AAAA01] .approve")
    browser.says("[data-id=AAAA01] .trouble", "Not approved: this rule takes answers from slack only.")
    fake.answers["POST", "/api/queue/AAAA01/deny"] = (409, {"error": "bob has approved it"})
    browser.click("[data-id=AAAA01] .deny")
    browser.click("dialog .danger")
    browser.says("dialog .trouble", "Not done: bob has approved it.")


def test_two_approvals(browser, fake):
    fake = fake()
    show(browser, fake, question(1, needed=2, waiters=3))
    assert "0 of 2 approvals" in browser.text("[data-id=AAAA01] .chip-votes")
    assert "×3 waiting" in browser.text("[data-id=AAAA01]")
    browser.click("[data-id=AAAA01] .approve")
    browser.says("[data-id=AAAA01] .chip-votes", "1 of 2 approvals (alice)")
    browser.says("[data-id=AAAA01] .why", "you have approved this already")
    assert [button.text for button in browser.all("[data-id=AAAA01] .actions button:enabled")] == [
        "Deny…"]  # whoever approved may think better
    browser.says("#announcer", "your approval counts")


def test_who_may_not_decide_is_told_why(browser, fake):
    fake = fake()
    show(browser, fake, question(1, may_decide=False, why_not="this rule wants one of: ops"))
    assert browser.text("[data-id=AAAA01] .why") == "this rule wants one of: ops"
    assert len(browser.all("[data-id=AAAA01] .actions button:disabled")) == 3
    browser.key("j", "a", "d", "r")
    assert browser.focused() == "AAAA01" and not browser.all("dialog")
    assert fake.decided() == []


def test_a_viewer_sees_and_has_no_buttons(browser, fake):
    fake = fake("viewer")
    fake.grants = [{"id": "G-AAAAAA", "covers": "git push", "approver": "bob", "rule": "r", "used": 1,
                    "created_at": "2026-11-24T08:00:00Z", "expires_at": None, "session": True,
                    "widened": False}]
    show(browser, fake, question(1, may_decide=False, why_not="you are a viewer"))
    assert arguments(browser) == ["git", "push", "origin", "main"]
    browser.says(".grant", "used once")
    assert [button.text for button in browser.all("button") if button.is_displayed()] == ["Password", "Log out"]
    browser.key("j", "a", "d", "r")
    assert not browser.all("dialog") and fake.decided() == []


def test_a_grant_says_what_it_covers_before_it_is_given(browser, fake):
    fake = fake()
    words = {"exact": "git push origin main, exactly", "widened": "git push with any operand beneath it",
             "session": False, "why_not": None}
    show(browser, fake, question(1, grant=words), question(
        2, grant={"exact": None, "widened": None, "session": False, "why_not": "its input can change"}))
    assert "cannot be remembered: its input can change" in browser.text("[data-id=AAAA02] .actions")
    assert browser.all("[data-id=AAAA02] .remember:disabled")
    browser.click("[data-id=AAAA01] .remember")
    text = browser.text("dialog")
    assert words["exact"] in text and words["widened"] in text
    assert browser.all("dialog input[value=session]:disabled")
    browser.click("dialog input[value=widened]")
    browser.click("dialog input[value='3600000']")
    browser.click("dialog .primary")
    browser.says("[data-id=AAAA01] .outcome", "Remembered as G-ABCDEF: git push with any operand")
    assert fake.decided() == [("/api/queue/AAAA01/approve", {"for_ms": 3600000, "widened": True})]


def test_a_session_grant(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    browser.click("[data-id=AAAA01] .remember")
    browser.click("dialog input[value=session]")
    browser.click("dialog .primary")
    browser.gone("dialog")
    assert fake.decided() == [("/api/queue/AAAA01/approve", {"session": True})]


def test_a_dialog_whose_question_has_ended(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    browser.click("[data-id=AAAA01] .deny")
    fake.questions.clear()
    fake.record("decided", approval="AAAA01", request="R1", verdict="approved", approver="bob")
    browser.says("dialog .trouble", "does not wait any more")
    assert browser.see("dialog .danger").get_attribute("aria-disabled") == "true"
    browser.type(Keys.ENTER)
    browser.key(Keys.ESCAPE)
    browser.gone("dialog")
    assert fake.decided() == []


def test_quiet_questions_are_one_line_for_each_rule(browser, fake):
    fake = fake()
    show(browser, fake, question(1), *(question(number, quiet=True, rule="git-read")
                                       for number in range(2, 6)), question(6, quiet=True, rule="other"))
    assert browser.title == "(1) Clawrden"
    lines = [element.text for element in browser.all(".group > summary")]
    assert lines == ["4 quiet questions of the rule git-read", "1 quiet question of the rule other"]
    assert not browser.run("return document.querySelector('[data-id=AAAA02]').checkVisibility()")
    fake.ask(question(7, quiet=True, rule="git-read"))
    browser.says(".group > summary", "5 quiet questions")
    assert browser.text("#announcer") == ""
    browser.click(".group > summary")
    browser.click("[data-id=AAAA02] .approve")
    browser.says("[data-id=AAAA02] .outcome", "Approved")


def test_more_than_a_page(browser, fake):
    fake = fake()
    fake.questions = [question(number, asked_at=f"2026-11-24T09:{number // 60:02d}:{number % 60:02d}Z")
                      for number in range(1, 251)]
    browser.open(fake.url)
    wait_for(lambda: browser.title == "(250) Clawrden", what="the count of all")
    assert len(entries(browser)) == 100
    assert browser.see(".more").text == "150 more wait: show the next 100"
    browser.click(".more")
    wait_for(lambda: len(entries(browser)) == 200, what="the second page")
    fetches = lambda: len([call for call in fake.calls if call[1] == "/api/queue"])  # noqa: E731
    fake.forgetful, before = True, fetches()
    fake.record("asked", approval="AAAA999", request="R999", jail="my-agent", argv=["x"])
    wait_for(lambda: fetches() >= before + 2, what="a page that is known and one that is not")
    assert len(entries(browser)) == 200 and browser.text("#connection") == "live"
    fake.forgetful = False
    fake.questions = fake.questions[240:]
    fake.record("killed", jail="my-agent")
    wait_for(lambda: browser.title == "(10) Clawrden", what="what is left")
    browser.gone(".entry:not(.entry-ended):not([data-id^=AAAA24]):not([data-id=AAAA250])")
    assert not browser.see(".queue").text.count("more wait")


def test_a_flood_of_records_is_few_calls(browser, fake):
    fake = fake()
    show(browser, fake)
    before = len(fake.calls)
    for number in range(3000):
        fake.record("killed", message=f"number {number}", grant="G-AAAAAA")
    browser.says(".record:first-child", "number 2999")
    assert len(browser.all(".record")) == 200
    assert len(fake.calls) - before < 300


# The rest of the page.

def test_a_lost_connection_is_seen_and_nothing_can_be_decided(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    browser.until("document.querySelector('.approve').ariaDisabled === 'false'")
    browser.click("[data-id=AAAA01] .deny")
    fake.broken = 503
    fake.drop_streams()
    browser.says(".banner", "Not connected: what you see may be old")
    assert browser.title == "⚠ (1) Clawrden"
    browser.says("dialog .trouble", "Not connected")
    assert browser.see("dialog .danger").get_attribute("aria-disabled") == "true"
    browser.key(Keys.ESCAPE)
    for selector in (".approve", ".remember", ".deny", ".jail button"):
        assert {button.get_attribute("aria-disabled") for button in browser.all(selector)} == {"true"}
    browser.run("document.querySelector('.approve').click()")
    fake.questions.append(question(2))
    fake.broken = None
    browser.connected()
    assert not browser.see(".top").text.count("may be old")
    assert entries(browser) == ["AAAA01", "AAAA02"]
    assert fake.decided() == []
    browser.click("[data-id=AAAA01] .approve")
    browser.says("[data-id=AAAA01] .outcome", "Approved")


def test_a_server_that_is_gone(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    fake.server.socket.close()
    fake.drop_streams()
    browser.says(".banner", "Not connected")
    assert browser.see(".approve").get_attribute("aria-disabled") == "true"


def test_a_stream_that_is_silent_while_the_warden_is_away(browser, fake):
    """The stream stands, the warden does not answer: found out by asking."""
    fake = fake()
    show(browser, fake, question(1))
    fake.broken = 504
    browser.says(".banner", "Not connected")
    fake.broken = None
    browser.connected()


def test_events_that_were_missed_come_after_a_reconnection(browser, fake):
    fake = fake()
    show(browser, fake)
    fake.broken = 503
    fake.drop_streams()
    browser.see(".banner")
    fake.record("config", message="while you were away")
    fake.broken = None
    browser.connected()
    browser.says(".records", "while you were away")


def test_a_session_that_ended(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    browser.until("document.querySelector('.approve').ariaDisabled === 'false'")
    browser.click("[data-id=AAAA01] .deny")
    for path in ("/api/session", "/api/queue", "/api/status", "/api/grants", "/api/history"):
        fake.answers["GET", path] = (401, {"error": "log in", "code": "unauthorized"})
    fake.record("asked", approval="AAAA02", request="R2")
    browser.says("form.login .trouble", "Your session has ended")
    assert not browser.all(".entry, dialog") and browser.title == "Log in · Clawrden"


def test_log_in_and_out(browser, fake):
    fake = fake()
    fake.answers["GET", "/api/session"] = (401, {"error": "log in", "code": "unauthorized"})
    fake.answers["POST", "/api/login"] = (401, {"error": "wrong", "code": "wrong"})
    browser.open(fake.url)
    browser.log_in("alice", "wrong")
    browser.says("form.login .trouble", "The user or the password is wrong.")
    assert browser.focused() == "password"
    fake.answers["POST", "/api/login"] = (429, {"error": "too many attempts", "code": "throttled"})
    browser.log_in("alice", "wrong")
    browser.says("form.login .trouble", "too many attempts")
    del fake.answers["POST", "/api/login"]
    browser.log_in("alice", "right")
    browser.connected()
    assert [body for method, path, body, _ in fake.calls if path == "/api/login"][-1] == {
        "user": "alice", "password": "right"}
    browser.click("#logout")
    browser.says("form.login .trouble", "You are logged out.")


STOPPED = {"state": "killed", "scope": "jail", "jail": "my-agent", "by": "alice", "via": "dashboard",
           "reason": "<b>enough</b>", "since": "2026-11-24T08:00:00Z", "until": None}


def test_kill_asks_first(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    browser.click("[data-jail-name] .danger")
    browser.says("dialog", "Kill everything in my-agent?")
    browser.key(Keys.ESCAPE)
    browser.gone("dialog")
    assert not [path for _, path, _, _ in fake.calls if path == "/api/kill"]
    browser.click("[data-jail-name] .danger")
    fake.jails = [{**fake.jails[0], "paused": True, "stopped": STOPPED}]
    browser.click("dialog .danger")
    browser.says(".jail", "killed")
    browser.says(".jail", "by alice (dashboard): <b>enough</b>")
    assert [body for _, path, body, _ in fake.calls if path == "/api/kill"] == [{"jail": "my-agent"}]
    browser.click("[data-jail-name] button:not(.danger)")
    browser.click("dialog .primary")
    browser.gone("dialog")
    assert [body for _, path, body, _ in fake.calls if path == "/api/resume"] == [{"jail": "my-agent"}]


def test_pause_says_why_and_for_how_long(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    browser.click("[data-jail-name] button:not(.danger)")
    browser.says("dialog", "Pause everything in my-agent?")
    browser.click("dialog input[name=reason]")
    for key in "a d k":  # what would decide elsewhere is only typed here
        browser.key(key)
    browser.click("dialog select[name=for]")
    browser.key(Keys.ARROW_DOWN)
    browser.key(Keys.ENTER)
    browser.click("dialog .danger")
    browser.gone("dialog")
    assert [body for _, path, body, _ in fake.calls if path == "/api/pause"] == [
        {"jail": "my-agent", "reason": "a d k", "for_ms": 600000}]
    assert not [path for method, path, _, _ in fake.calls if method == "POST" and "/queue/" in path]


def test_what_is_not_as_it_should_be_is_said(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    fake.answers["POST", "/api/kill"] = (200, {
        "state": "killed", "jails": ["my-agent"], "killed": 1, "cancelled": 0, "frozen": 0, "resumed": 0,
        "until": None, "alive": 1, "saved": False, "problem": "No space left on device"})
    browser.click("[data-jail-name] .danger")
    browser.click("dialog .danger")
    browser.gone("dialog")
    browser.says("body", "1 are still there")
    browser.says("body", "its next start will not know it")


def test_status_warns(browser, fake):
    fake = fake()
    fake.status.update(mode="unprivileged", dry_run=True)
    fake.status["policy"]["error"] = "policy.yaml:3:1: unknown key"
    fake.status["journal"]["health"] = "No space left on device"
    show(browser, fake)
    browser.says(".warnings", "no security boundary")
    for words in ("nothing is stopped", "policy.yaml:3:1: unknown key", "No space left on device"):
        assert words in browser.text(".warnings")


def test_revoke(browser, fake):
    fake = fake()
    fake.grants = [{"id": f"G-AAAAA{number}", "covers": "git push", "approver": "bob", "rule": "r",
                    "used": 0, "created_at": "2026-11-24T08:00:00Z", "expires_at": None,
                    "session": True, "widened": False} for number in range(2)]
    show(browser, fake)
    browser.says("#grants-title", "Grants (2)")
    browser.click("[data-revoke=G-AAAAA0]")
    browser.gone("[data-revoke=G-AAAAA0]")
    assert browser.all("[data-revoke=G-AAAAA1]")
    assert ("DELETE", "/api/grants/G-AAAAA0", None, "the-csrf-token") in fake.calls


# Keyboard, eyes and ears.

def test_everything_by_keyboard(browser, fake):
    fake = fake()
    fake.answers["GET", "/api/session"] = (401, {"error": "log in", "code": "unauthorized"})
    fake.ask(question(1), question(2), question(3))
    browser.open(fake.url)
    browser.see("#user")
    browser.key("alice", Keys.TAB, "secret", Keys.ENTER)
    browser.connected()
    browser.until("document.querySelector('[data-id=AAAA01] .approve').ariaDisabled === 'false'")
    browser.key("a", "d")  # nothing has the focus: nothing happens
    assert fake.decided() == [] and not browser.all("dialog")
    browser.key("j", "j", "k")
    assert browser.focused() == "AAAA01"
    outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    browser.key("a")
    browser.says("[data-id=AAAA01] .outcome", "Approved")
    assert browser.focused() == "AAAA01"  # not on the next one: a second "a" approves nothing
    browser.key("a", "j")
    assert browser.focused() == "AAAA02"
    browser.until("document.querySelector('[data-id=AAAA02] .approve').ariaDisabled === 'false'")
    browser.key("d")
    browser.see("dialog input")
    browser.key("jkard")  # letters, not commands
    browser.until("document.querySelector('dialog .danger').ariaDisabled === 'false'")
    browser.key(Keys.ENTER)
    browser.says("[data-id=AAAA02] .outcome", "Denied")
    browser.key("j")
    browser.until("document.querySelector('[data-id=AAAA03] .approve').ariaDisabled === 'false'")
    browser.key("r")
    browser.see("dialog fieldset")
    browser.until("document.querySelector('dialog .primary').ariaDisabled === 'false'")
    browser.key(Keys.ENTER)
    browser.says("[data-id=AAAA03] .outcome", "Remembered")
    assert fake.decided() == [("/api/queue/AAAA01/approve", {}),
                              ("/api/queue/AAAA02/deny", {"reason": "jkard"}),
                              ("/api/queue/AAAA03/approve", {"for_ms": 900000})]


def test_tab_reaches_every_control(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    browser.until("document.querySelector('.approve').ariaDisabled === 'false'")
    reached = []
    while len(reached) < 30:
        browser.key(Keys.TAB)
        reached.append(browser.run("return document.activeElement.textContent.slice(0, 30)"))
        if reached.count(reached[0]) > 1:
            break
    for words in ("Skip to the queue", "Log out", "Approve", "Approve and remember…", "Deny…", "Kill…"):
        assert words in reached, (words, reached)


def test_new_questions_are_announced(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    assert browser.text("#announcer") == ""
    fake.ask(question(2, display="git push \u202e", argv=["git", "push"]))
    browser.says("#announcer", "New question from my-agent: git push \\u{202e}")
    assert browser.run("return document.querySelector('#announcer').ariaLive") == "polite"


NAMELESS = """
  return [...document.querySelectorAll('button, input, article, section, dialog, ul.argv')]
    .filter((element) => !(element.ariaLabel || element.labels?.length
      || element.tagName === 'BUTTON' && element.textContent.trim()
      || document.getElementById(element.getAttribute('aria-labelledby'))?.textContent))
    .map((element) => element.outerHTML.slice(0, 100));"""


def test_everything_has_a_name_and_every_id_is_used_once(browser, fake):
    fake = fake()
    show(browser, fake, question(1), question(2, quiet=True))
    browser.click("[data-id=AAAA01] .remember")
    assert browser.run(NAMELESS) == []
    browser.key(Keys.ESCAPE)
    browser.click("[data-id=AAAA01] .deny")
    assert browser.run(NAMELESS) == []
    ids = browser.run("return [...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))
    assert browser.run("return document.documentElement.lang") == "en"
    assert browser.run("return [...document.querySelectorAll('h1')].length") == 1


CONTRASTS = """
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return arguments[0].map(([front, back]) => {
    const [one, two] = [light(front), light(back)].sort((a, b) => b - a);
    return [front, back, (one + 0.05) / (two + 0.05)];
  });"""


def test_colours_can_be_told_apart_in_light_and_dark(browser, fake):
    fake = fake()
    show(browser, fake)
    pairs = [[f"--{front}", f"--{back}"] for front, back in (
        ("text", "ground"), ("text", "surface"), ("text", "sunken"), ("muted", "ground"),
        ("muted", "surface"), ("muted", "sunken"), ("accent", "surface"), ("accent-text", "accent"),
        ("good", "surface"), ("good", "good-soft"), ("good", "ground"), ("bad", "surface"),
        ("bad", "bad-soft"), ("bad", "ground"), ("surface", "bad"), ("warn", "surface"),
        ("warn", "warn-soft"))]
    grounds = []
    for dark in (False, True):
        browser.emulate(dark=dark)
        for front, back, ratio in browser.run(CONTRASTS, pairs):
            assert ratio >= 4.5, (front, back, ratio, dark)
        grounds.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_it_fits_a_narrow_screen(browser, fake):
    fake = fake()
    fake.record("denied", argv=["x" * 400, "y"], rule="r" * 200, reason="z" * 300, jail="j" * 60)
    fake.jails.append({"name": "j" * 63, "paused": True, "serving": True, "running": 1, "pending": 2})
    fake.session["name"] = "n" * 60
    show(browser, fake, question(1, argv=["sh", "-c", "w" * 3000], cwd="/" + "c" * 500,
                                 rule="r" * 200, reason="s" * 500, exe="/" + "e" * 300,
                                 container="k" * 64, jail="j" * 63))
    browser.until("document.querySelector('.approve').ariaDisabled === 'false'")
    browser.size(360, 740)
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    wide = browser.run("return [...document.querySelectorAll('button, .arg, .entry, section')]"
                       ".filter((e) => e.getBoundingClientRect().right > 360.5).map((e) => e.className)")
    assert wide == []
    browser.run("document.querySelector('.approve').scrollIntoView({block: 'center'})")
    browser.click("[data-id=AAAA01] .deny")
    box = browser.see("dialog").rect
    assert box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_nothing_moves_for_those_who_do_not_want_it(browser, fake):
    fake = fake()
    show(browser, fake, question(1))
    browser.emulate(still=True)
    moving = browser.run("return [...document.querySelectorAll('*')].filter((e) => "
                         "parseFloat(getComputedStyle(e).transitionDuration) > 0 || "
                         "getComputedStyle(e).animationName !== 'none').length")
    assert moving == 0


# The sources.

def sources():
    for name in sorted(os.listdir(WEB)):
        if name.endswith((".js", ".html", ".css")):
            with open(os.path.join(WEB, name), encoding="utf-8") as file:
                yield name, file.read()


def test_the_sources_make_no_markup_and_no_code_from_strings():
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|"
                           r"DOMParser|createContextualFragment|setHTML|srcdoc|javascript:|"
                           r"set(?:Timeout|Interval)\(\s*[\"'`]")
    for name, text in sources():
        assert not forbidden.search(text), (name, forbidden.search(text))
        assert not re.search(r"https?://", text), name  # nothing from elsewhere
        if name.endswith(".html"):
            assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=", text), name


def test_the_page_listens_to_every_event_of_the_journal():
    with open(os.path.join(ROOT, "src/journal/line.c"), encoding="utf-8") as file:
        table = re.search(r"event_names\[JOURNAL_EVENT_MAX_\] = \{(.*?)\};", file.read(), re.S).group(1)
    known = set(re.findall(r'= "([a-z]+)"', table))
    with open(os.path.join(WEB, "live.js"), encoding="utf-8") as file:
        listened = set(re.findall(r'"([a-z]+)"', re.search(r"EVENTS = \[(.*?)\]", file.read(), re.S).group(1)))
    assert known == listened
    with open(os.path.join(WEB, "history.js"), encoding="utf-8") as file:
        sentences = re.search(r"SENTENCES = \{(.*?)\n\};", file.read(), re.S).group(1)
    assert known == set(re.findall(r"^  ([a-z]+):", sentences, re.M))
