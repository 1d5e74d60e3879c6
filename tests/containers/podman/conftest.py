"""The container tests' fixtures with podman's service in the engine's place."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import engine as engines  # noqa: E402  pylint: disable=wrong-import-position
import service  # noqa: E402  pylint: disable=wrong-import-position


def pytest_collection_modifyitems(items):
    engines.skip_without(items, os.path.dirname(os.path.abspath(__file__)), "podman", service.missing())


@pytest.fixture(scope="session")
def session_engine():
    engine = service.Podman()
    try:
        yield engine.start()
    finally:
        engine.stop()
