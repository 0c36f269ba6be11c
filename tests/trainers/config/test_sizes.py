"""Batch size and epochs that follow the number of rows."""

import pytest

from trainers.config import sizes
from trainers.config.settings import resolve


@pytest.mark.parametrize(
    ("num_rows", "batch_size"),
    [
        (1, 1),
        (15, 8),
        (16, 16),
        (57, 16),
        (511, 16),
        (512, 32),
        (2101, 128),
        (10**6, 256),
    ],
)
def test_batch_is_a_power_of_two_below_a_sixteenth_of_the_rows(num_rows, batch_size):
    assert sizes.batch_for(num_rows) == batch_size


@pytest.mark.parametrize(("steps", "epochs"), [(1, 500), (4, 500), (10, 200), (16, 125), (390, 40)])
def test_epochs_make_two_thousand_updates(steps, epochs):
    assert sizes.epochs_for(steps) == epochs


def test_chosen_fills_in_what_is_open_and_says_so(caplog):
    settings = resolve("mlp", {"batch_size": 0, "epochs": 0, "early_stopping": 15})
    with caplog.at_level("INFO"):
        recipe = sizes.chosen(settings, 230).recipe
    assert (recipe.batch_size, recipe.epochs, recipe.early_stopping) == (16, 143, 35)
    assert "for 230 training rows: batch size 16, 143 epochs of 14 steps" in caplog.text
    assert "or after 35 without improvement" in caplog.text
    # What is given stays: 230 // 23 = 10 steps an epoch.
    given = resolve("mlp", {"batch_size": 23, "epochs": 0, "early_stopping": 0})
    recipe = sizes.chosen(given, 230).recipe
    assert (recipe.batch_size, recipe.epochs, recipe.early_stopping) == (23, 200, 0)
    given = resolve("mlp", {"batch_size": 0, "epochs": 7, "early_stopping": 3})
    recipe = sizes.chosen(given, 230).recipe
    assert (recipe.batch_size, recipe.epochs, recipe.early_stopping) == (16, 7, 3)
    settings = resolve("mlp", {"batch_size": 23, "epochs": 7})
    assert sizes.chosen(settings, 230) is settings


def test_sizes_of_a_run_are_taken_for_what_is_open():
    settings = resolve("mlp", {"batch_size": 0, "epochs": 0, "early_stopping": 15})
    again = sizes.with_sizes(settings, 16, 143)
    assert again == sizes.chosen(settings, 230)
    given = resolve("mlp", {"batch_size": 8, "epochs": 5})
    assert sizes.with_sizes(given, 16, 143) == given
