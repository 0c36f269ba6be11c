"""Tasks are read from their files' literals, without TensorFlow."""

import pytest

import zoo
from tests.conformance.names import OVER_IMAGES, fake_data, loaded, over_texts
from tests.conftest import TABLES, made_pipeline, run_python
from trainers.evaluation.metrics import measures
from trainers.tasks import registry


@pytest.mark.parametrize("name", registry.names())
def test_metrics_are_those_that_the_literals_name(name):
    if name in TABLES:
        prepared = made_pipeline(name, names=tuple("abcdefg"))  # of more than five outputs
    elif not registry.describe(name).labels:
        prepared = loaded((OVER_IMAGES.get(name) or over_texts(name)).settings())
    else:
        [model, *_] = (model for model in zoo.names() if name in zoo.describe(model).tasks)
        prepared = fake_data(model)
    found = [metric.name for metric in measures(registry.get(name), prepared)]
    assert tuple(found) == registry.describe(name).metrics


def test_listing_imports_neither_tensorflow_nor_keras():
    program = (
        "import sys; from trainers.tasks import registry\n"
        "print(*registry.names())\n"
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    )
    assert run_python("-c", program).stdout.split() == registry.names()


def test_directions_of_metrics():
    assert registry.lower_is_better("loss")
    assert registry.lower_is_better("root_mean_squared_error")
    assert not registry.lower_is_better("accuracy")
    assert not registry.lower_is_better("r2")


def test_an_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"unknown task 'regresion'; nearest: regression"):
        registry.describe("regresion")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('METRICS = ("loss",)\nMAIN_METRIC = "loss"\n', "LOWER_IS_BETTER"),
        ('METRICS = ("loss", n)\nLOWER_IS_BETTER = ()\nMAIN_METRIC = "loss"\n', "literals"),
        ('METRICS = ("mae",)\nLOWER_IS_BETTER = ()\nMAIN_METRIC = "mae"\n', "begins with 'loss'"),
        ('METRICS = ("loss",)\nLOWER_IS_BETTER = ()\nMAIN_METRIC = "mae"\n', "MAIN_METRIC"),
    ],
)
def test_a_file_without_its_literals_is_refused(content, message, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        registry._read(path)
