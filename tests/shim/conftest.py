"""Fixtures: a door of our own, and shims that talk to it."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import fakedoor  # noqa: E402  pylint: disable=wrong-import-position


@pytest.fixture
def door(tmp_path):
    result = fakedoor.Door(tmp_path / "warden.sock")
    yield result
    result.close()


@pytest.fixture
def shims(tmp_path, door):
    result = fakedoor.Shims(tmp_path, door)
    yield result
    result.close()
