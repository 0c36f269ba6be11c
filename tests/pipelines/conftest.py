"""What the tests of data sets share."""

import logging

import pytest


@pytest.fixture
def logged(caplog):
    """A function that returns the lines logged since its last call."""
    caplog.set_level(logging.INFO, "pipelines")

    def lines() -> list[str]:
        found = [line for record in caplog.records for line in record.getMessage().splitlines()]
        caplog.clear()
        return found

    return lines
