"""Fixtures of the container tests: engine.py says how to use them."""

import faulthandler
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import engine as engines  # noqa: E402  pylint: disable=wrong-import-position


def pytest_collection_modifyitems(items):
    engines.skip_without(items, os.path.dirname(os.path.abspath(__file__)), "containers", engines.missing())


# Instead of tests/conftest.py's: the first test of a session starts an engine, imports images, and
# may have to make them. Whatever waits in a test has a deadline of its own.
TEST_SECONDS = 1500


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    faulthandler.dump_traceback_later(TEST_SECONDS, exit=True)


@pytest.fixture(scope="session")
def session_engine():
    engine = engines.Engine()
    try:
        yield engine.start()
    finally:
        engine.stop()


@pytest.fixture
def engine(session_engine):  # pylint: disable=redefined-outer-name
    """The session's engine, with nothing left in it by the test before."""
    yield session_engine
    session_engine.tidy()
