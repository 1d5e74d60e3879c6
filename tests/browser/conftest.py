"""One Chromium for all; a page of its own, and no cookies of others, for each test."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from browser import Browser  # noqa: E402  pylint: disable=wrong-import-position
from fakewarden import FakeWarden  # noqa: E402  pylint: disable=wrong-import-position


@pytest.fixture(scope="session")
def chromium():
    browser = Browser()
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium):  # pylint: disable=redefined-outer-name
    """The page, empty. Whatever a test does: no violation of the content policy, no script error."""
    chromium.reset()
    yield chromium
    problems = chromium.problems()
    assert not problems, problems


@pytest.fixture
def fake():
    """fake(role) → a FakeWarden (fakewarden.py)."""
    fakes = []

    def make(role="approver"):
        fakes.append(FakeWarden(role))
        return fakes[-1]

    yield make
    for each in fakes:
        each.stop()
