"""The registry of models: what is read from a file without importing it, and what is refused."""

import inspect
import pathlib
import re

import pytest

import zoo
from tests.conftest import ROOT, run_python
from zoo import registry
from zoo.spec import Recipe

FILE = '''
"""A family."""

import zoo
from zoo.spec import DataSpec, Recipe

_RECIPE = Recipe(pipeline="shapes", epochs=3, optimizer_options={"beta_2": 0.98})


def adapt(model, batches):
    return {}


@zoo.register(
    _RECIPE,
    name="big",
    tiny={"units": 2},
    inputs="columns",
    tasks=("binary", "classification"),
    adapt=adapt,
    head=("logits",),
    positions=("position_embedding",),
    parameters=1_000,
    units=64,
)
@zoo.register(Recipe(pipeline="mnist"), name="small", tiny={})
def build(spec: DataSpec, *, units: int = 8, widths: tuple = (1, 2)):
    """One line.

    More lines.
    """
'''


def test_read_takes_every_literal_of_a_registration(tmp_path):
    path = tmp_path / "family.py"
    path.write_text(FILE)
    entries = dict(registry.read(path))
    assert entries["big"] == registry.Listing(
        module="family",
        summary="One line.",
        recipe=Recipe(pipeline="shapes", epochs=3, optimizer_options={"beta_2": 0.98}),
        hparams={"units": 64, "widths": (1, 2)},
        inputs="columns",
        tasks=("binary", "classification"),
        head=("logits",),
        positions=("position_embedding",),
        parameters=1_000,
    )
    small = registry.Listing(
        "family", "One line.", Recipe(pipeline="mnist"), {"units": 8, "widths": (1, 2)}
    )
    assert entries["small"] == small


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("units=64", "units=8 * 8"),
        ('name="big"', "name=NAME"),
        ('Recipe(pipeline="mnist")', "make_recipe()"),
        ('pipeline="mnist"', 'pipeline="mnist", epoch=3'),
        ("parameters=1_000", "parameters=count()"),
    ],
)
def test_read_refuses_what_is_not_a_literal(old, new, tmp_path):
    path = tmp_path / "family.py"
    path.write_text(FILE.replace(old, new))
    with pytest.raises(ValueError, match=r"family.py:\d+: register takes a literal"):
        registry.read(path)


def test_a_name_registered_twice_is_refused(tmp_path, monkeypatch):
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(FILE)
    monkeypatch.setattr(registry, "__file__", str(tmp_path / "registry.py"))
    with pytest.raises(ValueError, match=r"'big' is registered in both one\.py and two\.py"):
        registry.listing.__wrapped__()


def test_describe_names_the_nearest_model():
    with pytest.raises(ValueError, match="unknown model 'mlp_binery'; nearest: mlp_binary"):
        zoo.describe("mlp_binery")


def test_get_imports_the_builder():
    model = zoo.get("mlp_binary")
    assert (model.name, model.tasks, model.build.__name__) == ("mlp_binary", ("binary",), "mlp")
    assert model.adapt is None


def test_listing_does_not_import_keras():
    probe = "import sys, zoo; zoo.listing(); print('keras' in sys.modules)"
    assert run_python("-c", probe).stdout.strip() == "False"


def test_every_model_of_this_repository_registers_its_parameter_count():
    assert all(zoo.describe(name).parameters for name in zoo.names() if "stranger" not in name)


def test_the_page_on_new_models_registers_one_and_explains_every_argument(tmp_path):
    page = pathlib.Path(ROOT, "docs", "a_new_model.md").read_text(encoding="utf-8")
    path = tmp_path / "one_layer.py"
    path.write_text(page.partition("```python\n")[2].partition("```")[0])
    [(name, entry)] = registry.read(path)
    assert (name, entry.hparams) == ("one_layer", {"units": 32})
    assert entry.parameters == 30 * 32 + 32 + 32 + 1  # 30 measurements, one logit
    arguments = set(inspect.signature(zoo.register).parameters) - {"recipe", "hparams"}
    assert arguments <= set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
