"""Files with bytes that tests make up."""

import itertools

import pytest


@pytest.fixture
def written(tmp_path):
    """A function that writes bytes to a file and returns its path."""
    numbers = itertools.count()

    def write(content):
        path = tmp_path / f"file{next(numbers)}"
        path.write_bytes(content)
        return path

    return write
