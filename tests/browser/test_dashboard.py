"""The page that the warden serves, a person in front of it, an agent behind it."""

import contextlib
import http.client
import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from subprocess import DEVNULL

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from fakewarden import CONTENT_POLICY
from harness import ACK_DENIED, PATIENCE, Raw, allow, ask, finish, in_child, wait_for

PASSWORD = "correct horse battery"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def call(warden, method, path, body=None):
    """As the operator at the unix socket, who may do everything."""
    connection = UnixConnection(warden.api_socket)
    with contextlib.closing(connection):
        connection.request(method, path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"} if body is not None else {})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (method, path, answer.status, text)
        return json.loads(text) if text else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def dashboard(make_warden):
    """dashboard(rule…) → a warden with users alice (approver), bob (approver) and vera (viewer)."""
    def make(*rules, **top):
        port = free_port()
        warden = make_warden(*rules, warden_options={"options": ["--api", f"127.0.0.1:{port}"]}, **top)
        warden.page = f"http://127.0.0.1:{port}/"
        for name, role in (("alice", "approver"), ("bob", "approver"), ("vera", "viewer")):
            call(warden, "POST", "/api/users", {"name": name, "password": PASSWORD, "role": role})
        return warden
    return make


def enter(browser, warden, user="alice"):
    browser.open(warden.page)
    browser.log_in(user, PASSWORD)
    browser.connected()


def entry_of(browser):
    """The id of the one entry that waits."""
    element = browser.see(".entry:not(.entry-ended)")
    return element.get_attribute("data-id")


def arguments(browser):
    return browser.run("return [...document.querySelectorAll('.entry:not(.entry-ended) .command .arg')]"
                       ".map((box) => box.textContent)")


def is_over(process):
    return wait_for(lambda: process.poll() is not None, what="the command's end")


def test_what_the_page_is_served_with(dashboard):
    warden = dashboard(ask("touch"))
    connection = http.client.HTTPConnection(warden.page.split("/")[2], timeout=30)
    with contextlib.closing(connection):
        for path, kind in (("/", "text/html; charset=utf-8"), ("/main.js", "text/javascript; charset=utf-8"),
                           ("/style.css", "text/css; charset=utf-8")):
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200 and answer.getheader("Content-Type") == kind and body
            assert answer.getheader("Content-Security-Policy") == CONTENT_POLICY
            assert answer.getheader("X-Content-Type-Options") == "nosniff"
            connection.request("GET", path, headers={"If-None-Match": answer.getheader("ETag")})
            again = connection.getresponse()
            assert (again.status, again.read()) == (304, b"")


def test_log_in_wrong_and_right_and_out(browser, dashboard):
    warden = dashboard(ask("touch"))
    browser.open(warden.page)
    browser.log_in("alice", "wrong")
    browser.says("form.login .trouble", "The user or the password is wrong.")
    browser.log_in("nobody", "wrong")
    browser.says("form.login .trouble", "The user or the password is wrong.")
    browser.log_in("alice", PASSWORD)
    browser.connected()
    assert "alice · approver" in browser.text(".who")
    browser.open(warden.page)  # the session goes on
    browser.connected()
    browser.click("#logout")
    browser.says("form.login .trouble", "You are logged out.")
    browser.open(warden.page)
    browser.see("#user")
    assert not browser.driver.get_cookies()


def test_the_session_is_no_business_of_scripts(browser, dashboard):
    warden = dashboard(ask("touch"))
    enter(browser, warden)
    assert browser.run("return document.cookie + JSON.stringify({...localStorage, ...sessionStorage})") == "{}"
    cookies = browser.driver.get_cookies()
    assert cookies and all(cookie["httpOnly"] and cookie["sameSite"] == "Strict" for cookie in cookies)


def test_approve_while_the_agent_waits(browser, dashboard):
    warden = dashboard(ask("touch"))
    enter(browser, warden)
    assert browser.title == "Clawrden"
    process = warden.spawn("touch", "mark", stdin=DEVNULL)
    name = entry_of(browser)
    assert arguments(browser) == ["touch", "mark"]
    assert warden.work in browser.text(f"[data-id='{name}'] .facts")
    wait_for(lambda: browser.title == "(1) Clawrden", what="the count in the title")
    browser.click(f"[data-id='{name}'] .approve")
    assert finish(process).code == 0
    assert os.path.exists(os.path.join(warden.work, "mark"))
    browser.says(f"[data-id='{name}'] .outcome", "Approved by you.")
    decided = warden.recorded(event="decided", verdict="approved")
    assert decided["approver"] == "alice" and decided["via"] == "dashboard"
    browser.says(".records", "approved by alice (dashboard)")
    browser.says(".records", "ended with 0")
    wait_for(lambda: browser.title == "Clawrden", what="a title without a count")


def test_deny_tells_the_agent_why(browser, dashboard):
    warden = dashboard(ask("touch"))
    enter(browser, warden)
    process = warden.spawn("touch", "mark", stdin=DEVNULL)
    name = entry_of(browser)
    browser.click(f"[data-id='{name}'] .deny")
    browser.fill("dialog input", "not on a <Friday>")
    browser.click("dialog .danger")
    result = finish(process)
    assert result.code == 126 and "not on a <Friday>" in result.stderr
    browser.says(f"[data-id='{name}'] .outcome", "Denied by you.")
    browser.says(".records", "not on a <Friday>")
    assert not os.path.exists(os.path.join(warden.work, "mark"))


def test_a_grant_from_its_words_to_its_end(browser, dashboard):
    warden = dashboard(ask("touch"))
    enter(browser, warden)
    process = warden.spawn("touch", "mark", stdin=DEVNULL)
    name = entry_of(browser)
    browser.click(f"[data-id='{name}'] .remember")
    words = browser.text("dialog .choice .text")
    assert warden.work in words
    browser.click("dialog .primary")
    assert finish(process).code == 0
    browser.says("#grants-title", "Grants (1)")
    assert browser.text(".grant-covers") == words
    assert words in browser.text(f"[data-id='{name}'] .outcome")

    assert warden.shim("touch", "mark").code == 0  # nobody is asked
    assert not warden.queue()
    browser.says(".grant-by", "used once")
    browser.says(".records", "under grant G-")

    other = warden.spawn("touch", "other", stdin=DEVNULL)  # not what was granted
    second = entry_of(browser)
    browser.click(".grant button")
    browser.says("#grants-title", "Grants")
    browser.says("#grants .empty", "Nothing is remembered")
    wait_for(lambda: not call(warden, "GET", "/api/grants")["grants"], what="no grant")
    browser.click(f"[data-id='{second}'] .deny")
    browser.click("dialog .danger")
    assert finish(other).code == 126

    again = warden.spawn("touch", "mark", stdin=DEVNULL)
    browser.click(f"[data-id='{entry_of(browser)}'] .approve")
    assert finish(again).code == 0


def test_a_wider_grant_as_its_rule_says(browser, dashboard):
    warden = dashboard({"name": "touches", "command": "touch", "action": "ask", "grant": [{"paths": "cwd"}]})
    enter(browser, warden)
    process = warden.spawn("touch", "one", stdin=DEVNULL)
    name = entry_of(browser)
    browser.click(f"[data-id='{name}'] .remember")
    browser.click("dialog input[value=widened]")
    browser.click("dialog .primary")
    assert finish(process).code == 0
    browser.says(".grant .chip", "wider")
    assert warden.shim("touch", "two").code == 0
    outside = warden.spawn("touch", "/tmp/outside", stdin=DEVNULL)
    browser.click(f"[data-id='{entry_of(browser)}'] .deny")
    browser.click("dialog .danger")
    assert finish(outside).code == 126


def test_a_viewer_sees_and_cannot(browser, dashboard):
    warden = dashboard(ask("touch"))
    enter(browser, warden, "vera")
    process = warden.spawn("touch", "mark", stdin=DEVNULL)
    name = entry_of(browser)
    assert arguments(browser) == ["touch", "mark"]
    assert not browser.all(".entry button")
    assert [button.text for button in browser.all("button") if button.is_displayed()] == ["Password", "Log out"]
    # Not even when the page is told to.
    status = browser.run("""
      const {csrf} = await (await fetch('/api/session')).json();
      const answers = [];
      for (const verb of ['approve', 'deny']) {
        answers.push((await fetch(`/api/queue/${arguments[0]}/${verb}`, {method: 'POST', body: '{}',
          headers: {'Content-Type': 'application/json', 'X-Clawrden-CSRF': csrf}})).status);
      }
      return answers;""", name)
    assert status == [403, 403]
    call(warden, "POST", f"/api/queue/{name}/deny", {})
    assert finish(process).code == 126
    browser.says(".records", "denied by")


def test_two_people_must_agree(browser, dashboard):
    warden = dashboard({"name": "touches", "command": "touch", "action": "ask", "approvals": 2})
    enter(browser, warden)
    process = warden.spawn("touch", "mark", stdin=DEVNULL)
    name = entry_of(browser)
    browser.click(f"[data-id='{name}'] .approve")
    browser.says(f"[data-id='{name}'] .chip-votes", "1 of 2 approvals (alice)")
    browser.says(f"[data-id='{name}'] .why", "another person must, too")
    assert process.poll() is None
    browser.click("#logout")
    browser.see("#user")
    browser.log_in("bob", PASSWORD)
    browser.connected()
    browser.click(f"[data-id='{name}'] .approve")
    assert finish(process).code == 0


def test_who_may_not_decide_is_told_why(browser, dashboard):
    warden = dashboard({"name": "touches", "command": "touch", "action": "ask", "approvers": ["bob"]})
    enter(browser, warden)
    process = warden.spawn("touch", "mark", stdin=DEVNULL)
    name = entry_of(browser)
    assert "bob" in browser.text(f"[data-id='{name}'] .why")
    assert not browser.all(".entry .actions button:enabled")
    call(warden, "POST", "/api/kill", {"all": True})
    is_over(process)
    browser.gone(".entry:not(.entry-ended)")


def test_quiet_rules_are_one_line(browser, dashboard):
    warden = dashboard({"name": "look", "command": "cat", "action": "ask", "quiet": True}, ask("touch"))
    enter(browser, warden)
    processes = [warden.spawn("cat", f"file{number}", stdin=DEVNULL) for number in range(3)]
    browser.says(".group > summary", "3 quiet questions of the rule look")
    assert browser.title == "Clawrden"
    browser.click(".group > summary")
    for number in range(3):
        browser.click(".entry:not(.entry-ended) .deny")
        browser.click("dialog .danger")
        browser.gone("dialog")
        wait_for(lambda count=number: sum(process.poll() is not None for process in processes) > count,
                 what="an answer")


def test_the_kill_switch(browser, dashboard):
    warden = dashboard(allow("sleep"), ask("touch"))
    enter(browser, warden)
    running = warden.spawn("sleep", "600", stdin=DEVNULL)
    waiting = warden.spawn("touch", "mark", stdin=DEVNULL)
    browser.says(".records", "started")
    name = entry_of(browser)
    browser.click("[data-jail-name] .danger")
    browser.click("dialog .danger")
    assert finish(running).code == -signal.SIGKILL or running.returncode != 0
    assert finish(waiting).code == 126
    browser.says("[data-jail-name]", "killed")
    browser.see(f"[data-id='{name}'].entry-ended")
    browser.click("[data-jail-name] button:not(.danger)")
    browser.click("dialog .primary")
    wait_for(lambda: "killed" not in browser.text("[data-jail-name]"), what="a jail that is resumed")
    assert warden.shim("sleep", "0").code == 0


def test_pause_and_resume(browser, dashboard):
    warden = dashboard(allow("sleep"))
    enter(browser, warden)
    running = warden.spawn("sleep", "600", stdin=DEVNULL)
    browser.says(".records", "started")
    browser.click("[data-jail-name] button:not(.danger)")
    browser.click("dialog .danger")
    browser.says("[data-jail-name]", "paused")
    browser.says(".records", "paused")
    assert warden.shim("sleep", "0").code == 126 and running.poll() is None
    browser.click("[data-jail-name] button:not(.danger)")
    browser.click("dialog .primary")
    wait_for(lambda: "paused" not in browser.text("[data-jail-name]"), what="a jail that is resumed")
    assert warden.shim("sleep", "0").code == 0


def test_another_password(browser, dashboard):
    enter(browser, dashboard(ask("touch")))

    def change(now, wanted, again):
        for field, words in (("now", now), ("new", wanted), ("again", again)):
            browser.fill(f"#password-{field}", words)
        browser.click("dialog button[type=submit]")

    browser.click("#password")
    change(PASSWORD, "another horse battery", "another horse")
    browser.says("dialog .trouble", "not the same")
    change("wrong horse battery", "another horse battery", "another horse battery")
    browser.says("dialog .trouble", "the current password is wrong")
    change(PASSWORD, "another horse battery", "another horse battery")
    browser.says("form.login .trouble", "Your password was changed")
    browser.log_in("alice", PASSWORD)
    browser.says("form.login .trouble", "wrong")
    browser.log_in("alice", "another horse battery")
    browser.connected()


def test_a_user_who_is_deleted_is_out(browser, dashboard):
    warden = dashboard(ask("touch"))
    enter(browser, warden)
    process = warden.spawn("touch", "mark", stdin=DEVNULL)
    entry_of(browser)
    call(warden, "DELETE", "/api/users/alice")
    browser.see("#user")
    assert not browser.all(".entry")
    browser.log_in("alice", PASSWORD)
    browser.says("form.login .trouble", "wrong")
    assert process.poll() is None


def test_the_warden_is_restarted(browser, dashboard):
    warden = dashboard(ask("touch"))
    enter(browser, warden)
    warden.terminate()
    browser.says(".banner", "Not connected")
    assert browser.title.startswith("⚠")
    warden.start()
    # A session may live in memory only: then the page asks who is there.
    wait_for(lambda: browser.text("#connection") == "live" or browser.all("#user"), what="the page again")
    if browser.all("#user"):
        browser.says("form.login .trouble", "Your session has ended")
        browser.log_in("alice", PASSWORD)
        browser.connected()
    process = warden.spawn("touch", "mark", stdin=DEVNULL)
    browser.click(f"[data-id='{entry_of(browser)}'] .approve")
    assert finish(process).code == 0
    browser.says(".records", "the warden started")


def test_the_warden_process_dies(browser, dashboard):
    warden = dashboard(ask("touch"))
    enter(browser, warden)
    os.kill(warden.process_of("warden"), signal.SIGKILL)
    wait_for(lambda: "Not connected" in browser.text(".banner"), what="a lost connection")
    warden.notice()
    wait_for(lambda: browser.text("#connection") == "live" or browser.all("#user"), what="the page again")


HOSTILE = ["\x1b[2J\x1b]0;x\x07", "\u202egnp.exe\u202c", "z\u200bw\ufeff", "<script>alert(1)</script>",
           "<img src=x onerror=alert(1)>", "a\nb", "", "two words", b"\xff\xfe bad \xc3(", "javascript:alert(1)"]
SHOWN = ["\\x1b[2J\\x1b]0;x\\x07", "\\u{202e}gnp.exe\\u{202c}", "z\\u{200b}w\\u{feff}",
         "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a\\nb", "''", "two words",
         "\\xff\\xfe bad \\xc3(", "javascript:alert(1)"]


def test_hostile_words_are_shown_as_they_are(browser, dashboard):
    warden = dashboard(ask("touch"))
    directory = os.path.join(warden.work, "<b>\u202edir\x1b[31m")
    os.mkdir(directory)
    os.chmod(directory, 0o777)
    enter(browser, warden)
    process = warden.spawn("touch", *HOSTILE, cwd=directory, stdin=DEVNULL)
    name = entry_of(browser)
    assert arguments(browser) == ["touch", *SHOWN]
    assert "<b>\\u{202e}dir\\x1b[31m" in browser.text(f"[data-id='{name}'] .facts")
    browser.click(f"[data-id='{name}'] .remember")
    assert "\\u{202e}dir" in browser.text("dialog")
    browser.key(Keys.ESCAPE)
    browser.gone("dialog")
    browser.click(f"[data-id='{name}'] .deny")
    browser.fill("dialog input", "<script>alert(2)</script>")
    browser.click("dialog .danger")
    assert "<script>alert(2)</script>" in finish(process).stderr
    browser.says(".records", "<script>alert(2)</script>")
    browser.says(".records", "\\u{202e}gnp.exe\\u{202c}")
    assert browser.run("return document.querySelectorAll('#page script, #page b b, [onerror]').length") == 0
    assert not set(browser.run("return document.body.textContent")) & set("\u202e\u202c\u200b\ufeff\x1b\x07")
    assert browser.problems() == []


def test_an_argument_of_a_megabyte(browser, dashboard):
    warden = dashboard(ask("echo"))
    enter(browser, warden)

    def agent():
        raw = Raw(warden.socket_path())
        with contextlib.closing(raw):
            raw.ask(["echo", "A" * (1 << 20), "last"])
            return raw.answer()[0]

    with ThreadPoolExecutor() as pool:
        acknowledged = pool.submit(in_child, agent, timeout=3 * PATIENCE)
        name = entry_of(browser)
        shown = browser.text(f"[data-id='{name}'] .command")
        assert len(shown) < 20000 and ("too long to be shown" in shown or "more characters" in shown)
        assert len(browser.text(".records")) < 20000
        browser.click(f"[data-id='{name}'] .deny")
        browser.click("dialog .danger")
        assert acknowledged.result() == ACK_DENIED
    browser.says(f"[data-id='{name}'] .outcome", "Denied by you.")


def test_a_person_with_a_keyboard_alone(browser, dashboard):
    warden = dashboard(ask("touch"))
    browser.open(warden.page)
    browser.see("#user")
    browser.key("alice", Keys.TAB, PASSWORD, Keys.ENTER)
    browser.connected()
    first = warden.spawn("touch", "one", stdin=DEVNULL)
    name = entry_of(browser)
    browser.until(f"document.querySelector('[data-id=\"{name}\"] .approve').ariaDisabled === 'false'")
    browser.key("j")
    assert browser.focused() == name
    browser.key("a")
    assert finish(first).code == 0
    second = warden.spawn("touch", "two", stdin=DEVNULL)
    other = entry_of(browser)
    browser.until(f"document.querySelector('[data-id=\"{other}\"] .approve').ariaDisabled === 'false'")
    browser.key("j")
    assert browser.focused() == other
    browser.key("d")
    browser.see("dialog input")
    browser.key("no, thanks")
    browser.until("document.querySelector('dialog .danger').ariaDisabled === 'false'")
    browser.key(Keys.ENTER)
    result = finish(second)
    assert result.code == 126 and "no, thanks" in result.stderr


def test_two_pages_one_decision(browser, dashboard):
    """Decided elsewhere: the page says by whom, and nothing is decided twice."""
    warden = dashboard(ask("touch"))
    enter(browser, warden)
    process = warden.spawn("touch", "mark", stdin=DEVNULL)
    name = entry_of(browser)
    browser.driver.find_element(By.CSS_SELECTOR, f"[data-id='{name}']").click()
    warden.cli("deny", name, "--reason", "elsewhere")
    assert finish(process).code == 126
    browser.says(f"[data-id='{name}'] .outcome", "Denied by")
    assert not browser.all(f"[data-id='{name}'] button:enabled")
