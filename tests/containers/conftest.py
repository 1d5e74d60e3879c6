"""Fixtures of the container tests: engine.py says how to use them."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import engine as engines  # noqa: E402  pylint: disable=wrong-import-position


def pytest_collection_modifyitems(items):
    why = engines.missing()
    here = os.path.dirname(os.path.abspath(__file__))
    for item in items:
        if why and str(item.path).startswith(here + os.sep):
            item.add_marker(pytest.mark.skip(reason=f"containers: {why}"))


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
