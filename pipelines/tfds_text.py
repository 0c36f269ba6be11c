"""Any text-classification set of TFDS by name: --pipeline=tfds_text --dataset=ag_news_subset."""

import tensorflow_datasets as tfds

from pipelines import DataError, Pipeline
from pipelines.steps import text
from pipelines.storage import tfds as source
from zoo.spec import Field


def pipeline(
    *,
    dataset: str,
    data_dir: str | None = None,
    field: str = "",
    vocab_size: int = 16_000,
    max_length: int = 256,
    validation_percent: int = 10,
) -> Pipeline:
    """The last part of the training split is validation; `test`, or else `validation`, is test.

    Args:
        dataset: TFDS's name, with configuration and version where wanted: "glue/sst2".
        data_dir: TFDS's data folder.
        field: the text; needed where there are several.
        vocab_size: pieces in the vocabulary, which is learnt from the training texts.
        max_length: pieces of a text that are read; longer ones lose their middle.
        validation_percent: of the training split, held out.

    Raises:
        DataError: TFDS has no such set, or it is not one of texts with one class each.
    """
    info = source.find_builder(dataset, data_dir).info
    features = info.features
    texts = [n for n, f in features.items() if isinstance(f, tfds.features.Text)]
    classes = [name for name, f in features.items() if getattr(f, "num_classes", None)]
    if len(classes) != 1 or not texts:
        raise DataError(f"{dataset} has no text with one label; it has {sorted(features)}")
    if field not in texts and (field or len(texts) > 1):
        raise DataError(
            f"{dataset} has texts {', '.join(texts)}: choose --pipeline_options=field={texts[0]}"
        )
    test = next((split for split in ("test", "validation") if split in info.splits), None)
    if info.splits and test is None:
        raise DataError(f"{dataset} has no test split; it has {sorted(info.splits)}")
    names = tuple(features[classes[0]].names)
    field = field or texts[0]
    prepare, bind = text.steps(vocab_size, max_length, field)
    return Pipeline(
        name="tfds_text",
        source=dataset,
        splits={
            "train": f"train[:{100 - validation_percent}%]",
            "validation": f"train[{100 - validation_percent}%:]",
            "test": test or "test",
        },
        task="binary" if len(names) == 2 else "classification",
        target=classes[0],
        class_names=names,
        raw={field: Field((), "string")},
        prepare=prepare,
        bind=bind,
        padded=("tokens",),
    )
