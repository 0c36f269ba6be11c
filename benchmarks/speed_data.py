"""The training rows of train_speed.py: made once for all sides, `python speed_data.py JOB_JSON`.

Every side gets the same numbers: images as float32 after the pipeline's own `preprocess`, texts as
tokens. A text that is shorter than the longest is repeated until it fills all places, so that each
side computes the same; the texts as they are lie beside.
"""

import json
import pathlib
import sys

import numpy as np

from zoo.spec import DataSpec, Field

_CHUNK = 1024  # rows preprocessed at a time
# Rows, shape and classes where there is no TFDS data; random numbers train as fast as any.
_RANDOM = {
    "cifar10": ("image", (45_000, 32, 32, 3), 10),
    "mnist": ("image", (55_000, 28, 28, 1), 10),
    "mnist_parity": ("features", (55_000, 784), 2),
    "imdb": ("tokens", (22_500, 400), 2),
}
_VOCABULARY = 16_000


def spec_of(folder: str | pathlib.Path) -> DataSpec:
    """The DataSpec of the rows in the folder."""
    facts = json.loads(pathlib.Path(folder, "data.json").read_text(encoding="utf-8"))
    fields = {name: Field(tuple(shape), dtype) for name, (shape, dtype) in facts["inputs"].items()}
    return DataSpec(inputs=fields, **facts["spec"])


def arrays_of(folder: str | pathlib.Path, name: str = "x") -> tuple[np.ndarray, np.ndarray]:
    """Inputs (N, ...) and targets (N,) int64; `name="texts"`: tokens with zeros at their ends."""
    return tuple(np.load(pathlib.Path(folder, f"{n}.npy"), mmap_mode="r") for n in (name, "y"))


def pipeline_of(folder: str | pathlib.Path, *, real_lengths: bool = False):
    """The rows in the folder as a prepared pipeline, whose `preprocess` has been applied."""
    import tensorflow as tf

    from pipelines import Pipeline, Rows

    spec = spec_of(folder)
    ((name, field),) = spec.inputs.items()
    x, y = arrays_of(folder, "texts" if real_lengths else "x")
    stored = Field((spec.max_length,), field.dtype) if spec.max_length else field
    fields = {name: stored, "label": Field((), "int64")}
    classes = max(2, spec.num_outputs)
    return Pipeline(
        name="train_speed",
        source="train_speed",
        splits={"train": "train"},
        task=spec.task,
        target="label",
        class_names=tuple(str(i) for i in range(classes)),
        raw={name: stored},
        preprocess=lambda raw: {name: tf.identity(raw[name])},
        padded=(name,) if spec.max_length else (),
        rows={
            "train": Rows(len(x), fields, "label", table={name: x, "label": y}),
            "validation": Rows(0, fields, "label"),
        },
        state={"vocabulary": np.zeros(spec.vocab_size)} if spec.vocab_size else {},
    )


def stored_images(folder: str | pathlib.Path):
    """CIFAR-10 one image at a time, as scripts read it: from TFDS, or the random rows."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    facts = json.loads(pathlib.Path(folder, "data.json").read_text(encoding="utf-8"))
    if facts["source"] != "random":
        return tfds.load("cifar10", split="train", as_supervised=True)
    x, y = arrays_of(folder)
    return tf.data.Dataset.from_tensor_slices(((x * 255).astype(np.uint8), y))


def filled(tokens: np.ndarray) -> np.ndarray:
    """Every row (N, T) with what stands before its zeros repeated up to its end."""
    lengths = np.maximum(np.count_nonzero(tokens, axis=1), 1)
    places = np.arange(tokens.shape[1])[None, :] % lengths[:, None]
    return np.take_along_axis(tokens, places, axis=1)


def write_random(pipeline: str, folder: pathlib.Path) -> None:
    """Random rows of the pipeline's shapes."""
    random = np.random.default_rng(0)
    name, shape, classes = _RANDOM[pipeline]
    if name == "tokens":
        x, text = random.integers(5, _VOCABULARY, shape, np.int32), True
    else:
        x, text = random.random(shape, np.float32), False
    spec = DataSpec(
        inputs={name: Field((None,) if text else shape[1:], x.dtype.name)},
        task="binary" if classes == 2 else "classification",
        num_outputs=1 if classes == 2 else classes,
        vocab_size=_VOCABULARY if text else None,
        max_length=shape[1] if text else None,
    )
    _write(folder, "random", spec, x, random.integers(0, classes, shape[0]))


def write_stored(flags: list[str], folder: pathlib.Path) -> None:
    """The training rows that TFDS has, preprocessed."""
    import tensorflow as tf

    from pipelines.core import specs
    from trainers.config import flags as recipe_flags
    from trainers.training import data

    pipeline = data.load(recipe_flags.parse(["", *flags]), None)
    rows = pipeline.rows["train"]
    preprocess = specs.preprocess_function(pipeline.preprocess, tuple(pipeline.raw.items()))
    chunks = []
    for first in range(0, rows.num_rows, _CHUNK):
        raw = {k: tf.constant(rows.table[k][first : first + _CHUNK]) for k in pipeline.raw}
        chunks.append([v.numpy() for v in preprocess(raw).values()])
    (x,) = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    if pipeline.padded:
        np.save(folder / "texts.npy", x)
        x = filled(x)
    _write(folder, pipeline.source, pipeline.spec, x, np.asarray(rows.table[rows.target]))


def _write(folder: pathlib.Path, source: str, spec: DataSpec, x: np.ndarray, y: np.ndarray) -> None:
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y.astype(np.int64))
    others = {k: v for k, v in spec._asdict().items() if k != "inputs"}
    facts = {"source": source, "rows": len(x), "inputs": dict(spec.inputs), "spec": others}
    (folder / "data.json").write_text(json.dumps(facts), encoding="utf-8")


def main(argv: list[str]) -> None:
    job = json.loads(argv[1])
    folder = pathlib.Path(job["folder"])
    if job["random"]:
        write_random(job["pipeline"], folder)
    else:
        write_stored(job["flags"], folder)


if __name__ == "__main__":
    main(sys.argv)
