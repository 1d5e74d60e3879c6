"""Fixtures of the end-to-end tests and the attacks (harness.py has the machinery)."""

import faulthandler
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402  pylint: disable=wrong-import-position

# Longest that one test may take before the whole run is ended with a traceback: only when the
# deadlines inside the tests have failed.
TEST_SECONDS = 300


def pytest_configure(config):
    harness.become_subreaper()
    # Whoever started us may ignore signals (nohup, a job in the background), and what is ignored is
    # inherited by every program of the tests.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1,
                   signal.SIGUSR2, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT
                          else signal.SIG_DFL)
    config.addinivalue_line("markers", "quick: part of `make check`")
    config.addinivalue_line("markers", "release_only: about the release build (size, speed)")
    config.addinivalue_line("markers", "root: needs root")


def pytest_collection_modifyitems(items):
    if harness.IS_ROOT:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol():
    faulthandler.dump_traceback_later(TEST_SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def pytest_sessionfinish():
    harness.remove_programs()


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item):
    outcome = yield
    setattr(item, "report_" + outcome.get_result().when, outcome.get_result())


@pytest.fixture
def make_warden(request):
    """make_warden(rule…, **top) → a running Warden; `warden_options` go to the Warden itself."""
    wardens = []

    def make(*rules, text=None, warden_options=None, **top):
        flat = []
        for rule in rules:
            flat += rule if isinstance(rule, list) else [rule]
        options = dict(warden_options or {})
        start = options.pop("start", True)
        warden = harness.Warden(text or harness.policy(*flat, **top), start=False, **options)
        wardens.append(warden)  # before it starts: what fails to start is cleaned up too
        if start:
            warden.start()
        return warden

    yield make
    report = getattr(request.node, "report_call", None)
    problems = []
    for warden in wardens:
        if report and report.failed and os.path.exists(warden.log_path):
            print(f"---- the warden's log\n{warden.log()[-8000:]}")
        try:
            warden.stop()
        except AssertionError as error:
            problems.append(str(error))
    assert not problems, "\n".join(problems)


@pytest.fixture
def terminal():
    """terminal(warden, command, argument…) → a shim in a terminal of its own."""
    opened = []

    def make(warden, command, *arguments, rows=24, columns=80, through_shim=True, env=None):
        line = [warden.stand_in(command) if through_shim else command, *arguments]
        result = harness.Terminal(line, warden.shim_env(env={"TERM": "xterm", **(env or {})}),
                                  warden.work, rows=rows, columns=columns)
        opened.append(result)
        return result

    yield make
    for entry in opened:
        entry.close()
