"""What settings name, checked before TensorFlow is imported."""

import pytest

from trainers.config import checks
from trainers.config.settings import resolve
from trainers.errors import UsageError


def test_known_turns_the_refusal_of_a_registry_into_usage():
    def describe(name):
        raise ValueError(f"no {name}")

    assert checks.known(str.upper, "a") == "A"
    with pytest.raises(UsageError, match="no b"):
        checks.known(describe, "b")


def test_options_of_a_task_are_those_of_its_file():
    settings = resolve("bert_tiny", {"task": "masked_lm", "task_options": {"mask_rate": 0.3}})
    checks.check_task_options(settings, "masked_lm")
    with pytest.raises(UsageError, match="option of task binary 'mask_rate'"):
        checks.check_task_options(settings, "binary")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "masked"}, "unknown task 'masked'; nearest: masked_lm"),
        ({"monitor": "acuracy"}, "unknown monitor 'acuracy'; nearest: accuracy"),
        ({"pipeline": "imdbb"}, "unknown pipeline 'imdbb'; nearest: imdb"),
        ({"target": "x"}, "pipeline imdb takes no --target"),
        ({"pipeline": "text_lines"}, "pipeline text_lines needs --data_files"),
        (
            {"pipeline": "cifar10", "pipeline_options": {"mix": "mixups"}},
            "unknown mix of pipeline cifar10 'mixups'; nearest: mixup, cutmix; known: none",
        ),
        (
            {"pipeline": "cifar10", "pipeline_options": {"mix": 0.2}},
            "unknown mix of pipeline cifar10 '0.2'; known: none, mixup, cutmix",
        ),
        (
            {"pipeline": "mnist", "pipeline_options": {"erase": 1.5}},
            "--pipeline_options: erase must be at least 0 and less than 1, received 1.5",
        ),
        ({"workdir": "s3://bucket/run"}, "runs live on a local disk"),
        ({"batch_size": 31, "replicas": 2}, "does not divide over --replicas=2"),
        ({"way": ("accumulate", "accumulate")}, "--way names accumulate more than once"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        resolve("transformer_encoder", changes)
