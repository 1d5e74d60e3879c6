"""The container tests' fixtures with podman's service in the engine's place."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import service  # noqa: E402  pylint: disable=wrong-import-position


def pytest_collection_modifyitems(items):
    why = service.missing()
    here = os.path.dirname(os.path.abspath(__file__))
    for item in items:
        if why and str(item.path).startswith(here + os.sep):
            item.add_marker(pytest.mark.skip(reason=f"podman: {why}"))


@pytest.fixture(scope="session")
def session_engine():
    engine = service.Podman()
    try:
        yield engine.start()
    finally:
        engine.stop()
