"""The models that a property is checked for: all, or by default one of each task if it is slow.

Everything follows from the registries: a model that is new in `zoo/` is among all names, and by
default where it is the only one of its task.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

import pipelines
import zoo
from pipelines.core.prepared import Prepared
from tests.conftest import OPTIONS, TABLES, tiny_settings, use_fake_data
from trainers.config.settings import Settings
from trainers.tasks import registry as tasks
from trainers.training import data

_FIRST = ("transformer_encoder", "cifar_cnn", "mlp_binary")  # of their kinds, the last win


class Case(NamedTuple):
    """A model, and how its run differs from its recipe."""

    model: str
    changes: Mapping[str, Any] = {}

    def settings(self, folder="", **changes) -> Settings:
        """Of a run of the tiny size."""
        return tiny_settings(self.model, folder, **{**self.changes, **changes})

    def still(self) -> dict[str, float]:
        """Its tiny hparams without dropout, which differs between replicas on purpose."""
        hparams = {**zoo.describe(self.model).hparams, **zoo.get(self.model).tiny}
        off = {key: 0.0 for key in hparams if "dropout" in key}
        return {**zoo.get(self.model).tiny, **off}


# Tasks without labels over images, which are in the slow tier; the others are over texts.
OVER_IMAGES = {
    "contrastive": Case("cifar_cnn", {"task": "contrastive"}),
    "masked_image": Case("mae"),
}


def distinct() -> list:
    """Parameters of a cheap property of the tiny size: a name that is only larger than an earlier
    one of its builder, so that the two are the same there, is in the slow tier.
    """
    seen, params = set(), []
    for name, entry in zoo.listing().items():
        sizes = {**entry.hparams, **zoo.get(name).tiny}
        facts = (zoo.get(name).build, entry.recipe.pipeline, entry.tasks, entry.inputs, repr(sizes))
        marks = [pytest.mark.slow, pytest.mark.every_model] if facts in seen else []
        params.append(pytest.param(name, marks=marks))
        seen.add(facts)
    return params


def heavy() -> list:
    """Parameters of a slow property: a case of each task by default, all names in the slow tier.

    The first model of texts is in the slow tier of .ci/run, further ones are not.
    """
    names = (*reversed(zoo.names()), *_FIRST)
    by_kind = {_kind(name): name for name in names}
    by_task = {_kind(name)[0]: name for name in names}

    def marks(name: str) -> list:
        if name in by_task.values() and not _is_slow(_kind(name)[0]):
            return []
        more = [] if name in by_kind.values() else [pytest.mark.every_model]
        return [pytest.mark.slow, *more]

    models = [pytest.param(Case(name), id=name, marks=marks(name)) for name in zoo.names()]
    return [*models, *_tables(set(by_task)), *_unlabelled(set(by_task))]


def _tables(covered: set[str]) -> Iterator:
    """Tasks that no recipe has, over a table of one's own."""
    for task in sorted(TABLES.keys() - covered):
        changes = {"pipeline": "csv", "pipeline_options": TABLES[task]}
        yield pytest.param(Case("mlp", changes), id=f"mlp-{task}")


def over_texts(task: str) -> Case:
    """A task without labels that no model has as its first."""
    short = {"max_length": 16}  # so that there are windows enough
    return Case("transformer_encoder", {"task": task, "pipeline_options": short})


def _unlabelled(covered: set[str]) -> Iterator:
    for task in sorted(set(tasks.names()) - covered):
        if not tasks.describe(task).labels:
            case = OVER_IMAGES.get(task) or over_texts(task)
            yield pytest.param(case, id=f"{case.model}-{task}", marks=pytest.mark.slow)


def _is_slow(task: str) -> bool:
    """Whether it is in the slow tier: those over images without labels, and those that make images.

    Tests of their own run each of them once.
    """
    return task in OVER_IMAGES or (bool(task) and tasks.get(task).generates)


def _kind(name: str) -> tuple[str, bool]:
    """The task that a model is trained for by default, and whether its rows are texts."""
    entry = zoo.describe(name)
    pipeline = entry.recipe.pipeline
    schema = pipelines.get(pipeline, **OPTIONS.get(pipeline, {})).schema
    if schema is None:  # known once the data is read
        return (entry.tasks or ("",))[0], False
    texts = all(field.dtype == "string" for field in schema.raw.values())
    return (entry.tasks or (schema.task,))[0], texts


@functools.cache
def fake_data(model: str) -> Prepared:
    """What a run of the model would prepare by default, of random rows."""
    return loaded(tiny_settings(model, ""))


def loaded(settings: Settings) -> Prepared:
    """What a run of these settings prepares, of random rows."""
    with pytest.MonkeyPatch.context() as patch:
        use_fake_data(patch)
        return data.load(settings, None)
