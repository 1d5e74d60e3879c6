"""A real Chromium, driven as a person would: keys, clicks, and what stands on the page."""

import contextlib
import os
import shutil
import tempfile

from selenium import webdriver
from selenium.common.exceptions import JavascriptException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import wait_for

CHROMIUM = "/usr/bin/chromium"
CHROMEDRIVER = "/usr/bin/chromedriver"

# What the page must never do is noticed before its first script runs.
WATCH = """
window.violations = [];
window.ran = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(
  `${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
window.addEventListener("error", (event) => window.violations.push(`error: ${event.message}`));
window.addEventListener("unhandledrejection", (event) => window.violations.push(
  `rejection: ${event.reason}`));
for (const name of ["alert", "confirm", "prompt", "open"]) {
  window[name] = (...words) => { window.ran.push(`${name}: ${words}`); };
}
"""


class Browser:
    def __init__(self, width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix="clwd-chromium-", dir="/tmp")
        options = Options()
        options.binary_location = CHROMIUM
        for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage",
                         "--no-first-run", "--disable-background-networking",
                         "--disable-component-update", "--disable-sync",
                         "--disable-features=Translate,OptimizationHints,MediaRouter",
                         f"--user-data-dir={self.profile}", f"--window-size={width},{height}"):
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium's own does not work for root
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(CHROMEDRIVER), options=options)
        self.driver.set_page_load_timeout(60)
        self.driver.set_script_timeout(60)
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        self.seen = []
        self.emulate()

    def quit(self):
        with contextlib.suppress(WebDriverException):
            self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    def emulate(self, dark=False, still=False):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}]})

    def size(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    # Looking.

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def see(self, selector, what=None):
        """The first visible element, once there is one."""
        def visible():
            with contextlib.suppress(WebDriverException):  # replaced while we looked
                return next((element for element in self.all(selector) if element.is_displayed()),
                            None)
            return None
        return wait_for(visible, what=what or selector)

    def gone(self, selector):
        return wait_for(lambda: not self.all(selector), what=f"no {selector}")

    def text(self, selector):
        """The text in the document, whether it is visible or not; "" if there is no such element."""
        return self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def says(self, selector, words):
        """Waits until the words stand there."""
        try:
            wait_for(lambda: words in self.text(selector))
        except AssertionError:
            raise AssertionError(f"{selector} does not say {words!r}: {self.text(selector)!r}") from None

    def until(self, script, what=None):
        def true():
            with contextlib.suppress(JavascriptException):
                return self.run(f"return {script}")
            return None
        return wait_for(true, what=what or script)

    @property
    def title(self):
        return self.driver.title

    def focused(self):
        return self.run("return document.activeElement.closest('.entry')?.dataset.id ?? "
                        "document.activeElement.id ?? document.activeElement.tagName")

    # Doing.

    def click(self, selector):
        """Clicks when it can be clicked, as a person does: where it is on the screen."""
        element = wait_for(lambda: next(
            (found for found in self.all(selector) if found.is_displayed()
             and found.is_enabled() and found.get_attribute("aria-disabled") != "true"), None),
            what=f"{selector} can be clicked")
        element.click()
        return element

    def type(self, *keys):
        self.driver.switch_to.active_element.send_keys(*keys)

    def key(self, *keys):
        """Keys to whatever has the focus, also when that is nothing."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def fill(self, selector, words):
        element = self.see(selector)
        element.clear()
        element.send_keys(words)
        return element

    def log_in(self, user="alice", password="correct horse"):
        self.fill("#user", user)
        self.fill("#password", password)
        self.type(Keys.ENTER)

    def connected(self):
        self.until("document.querySelector('#connection').textContent === 'live'")

    def shot(self, path):
        self.driver.save_screenshot(path)

    def full_shot(self, path, width):
        height = self.run("return document.documentElement.scrollHeight")
        self.size(width, max(height, 400))
        self.shot(path)

    def problems(self):
        """Violations of the content policy, script errors, and scripts that must not have run, in
        all pages since the last reset."""
        with contextlib.suppress(WebDriverException):
            self.seen += self.run("return [...window.violations ?? [], ...window.ran ?? []]")
        self.seen += [entry["message"] for entry in self.driver.get_log("browser")
                      if entry["source"] in ("security", "javascript", "console-api")
                      or "Content Security Policy" in entry["message"]
                      or "Trusted" in entry["message"]]
        return self.seen

    def reset(self):
        """A page that knows nothing of the last one."""
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.emulate()
        self.driver.get_log("browser")
        self.seen = []

    def open(self, url):
        self.driver.get(url)
