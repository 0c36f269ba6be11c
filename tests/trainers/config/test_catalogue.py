"""What `--list` prints."""

import pipelines
import zoo
from trainers.config import catalogue, flagfiles
from trainers.tasks import registry as tasks
from trainers.ways import registry as ways


def test_listing_shows_every_name_with_its_line():
    lines = catalogue.listing().splitlines()
    for registry in (zoo, pipelines, tasks, ways):
        for name in registry.names():
            about = [line for line in lines if line.startswith(f"  {name} ")]
            assert any(line.endswith(registry.describe(name).summary) for line in about)
    for name in flagfiles.recipes():
        assert any(line.startswith(f"  {name} ") for line in lines)


def test_listing_begins_with_the_first_choice():
    assert catalogue.listing().splitlines()[1].split()[:4] == ["auto", "The", "first", "choice"]


def test_listing_leaves_out_empty_groups(monkeypatch):
    monkeypatch.setattr(ways, "names", list)
    assert "--way" not in catalogue.listing()
    assert "--task" in catalogue.listing()
