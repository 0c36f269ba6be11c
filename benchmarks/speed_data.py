"""The training rows of train_speed.py, made once for all sides: `python speed_data.py JOB_JSON`.

Every side gets the same numbers: images as float32 after the pipeline's own `preprocess`, texts as
tokens. A text that is shorter than the longest is repeated until it fills all positions, so that
all sides compute the same; texts without repetition are in a file of their own.
"""

import json
import pathlib
import sys

import numpy as np

from zoo.spec import DataSpec, Field

# Input, shape of all rows and classes, without TFDS data; random numbers train as fast as any.
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
    fields = {name: Field(tuple(shape), *rest) for name, (shape, *rest) in facts["inputs"].items()}
    return DataSpec(inputs=fields, **facts["spec"])


def arrays_of(folder: str | pathlib.Path, name: str = "x") -> tuple[np.ndarray, np.ndarray]:
    """Inputs (N, ...) and targets (N,) int64; `name="texts"`: tokens padded with zeros."""
    return tuple(np.load(pathlib.Path(folder, f"{n}.npy"), mmap_mode="r") for n in (name, "y"))


def prepared_of(folder: str | pathlib.Path, *, real_lengths: bool = False):
    """The rows in the folder, prepared by a pipeline that does not change them."""
    import tensorflow as tf

    from pipelines.core.pipeline import Form, Pipeline, Rows, classes
    from pipelines.core.prepared import prepare

    spec = spec_of(folder)
    ((name, field),) = spec.inputs.items()
    x, y = arrays_of(folder, "texts" if real_lengths else "x")
    stored = Field((field.length,), field.dtype) if field.length else Field(*field[:2])
    schema = classes({name: stored}, tuple(str(i) for i in range(max(2, spec.num_outputs))))
    form = Form(
        preprocess=lambda raw: {name: tf.identity(raw[name])},
        fields=lambda part: {name: field} if field.length else {},
    )
    columns, fields = {name: x, "label": y}, {name: stored, "label": schema.target}
    held_out = {key: column[:1] for key, column in columns.items()}
    rows = {
        "train": Rows(len(x), fields, "label", table=columns),
        "validation": Rows(1, fields, "label", table=held_out),
        "test": Rows(1, fields, "label", table=held_out),
    }
    pipeline = Pipeline(
        name="train_speed", source="train_speed", schema=schema, forms={"stored": form}
    )
    return prepare(pipeline, schema, rows)


def stored_images(folder: str | pathlib.Path):
    """CIFAR-10, one image at a time as scripts read it: from TFDS, or the random rows."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    facts = json.loads(pathlib.Path(folder, "data.json").read_text(encoding="utf-8"))
    if facts["source"] != "random":
        return tfds.load("cifar10", split="train", as_supervised=True)
    x, y = arrays_of(folder)
    return tf.data.Dataset.from_tensor_slices(((x * 255).astype(np.uint8), y))


def filled(tokens: np.ndarray) -> np.ndarray:
    """Every row (N, T) with its tokens repeated over the zeros at its end."""
    lengths = np.maximum(np.count_nonzero(tokens, axis=1), 1)
    positions = np.arange(tokens.shape[1])[None, :] % lengths[:, None]
    return np.take_along_axis(tokens, positions, axis=1)


def write_random(pipeline: str, folder: pathlib.Path) -> None:
    """Writes random rows of the pipeline's shapes."""
    random = np.random.default_rng(0)
    name, shape, classes = _RANDOM[pipeline]
    if name == "tokens":
        x, text = random.integers(5, _VOCABULARY, shape, np.int32), True
    else:
        x, text = random.random(shape, np.float32), False
    field = Field(shape[1:], x.dtype.name)
    if text:
        field = Field((None,), x.dtype.name, ids=_VOCABULARY, length=shape[1])
    task, outputs = ("binary", 1) if classes == 2 else ("classification", classes)
    spec = DataSpec({name: field}, task, outputs)
    _write(folder, "random", spec, x, random.integers(0, classes, shape[0]))


def write_stored(flags: list[str], folder: pathlib.Path) -> None:
    """Writes the training rows of TFDS, preprocessed."""
    import tensorflow as tf

    from pipelines.core.rows import chunks
    from trainers.config.flags import parse
    from trainers.training import data

    prepared = data.load(parse(["", *flags]), None)
    rows, inputs = prepared.rows["train"], []
    for chunk in chunks(rows):
        raw = {name: tf.constant(chunk[name]) for name in prepared.raw}
        inputs.append([value.numpy() for value in prepared.preprocess(raw).values()])
    (x,) = (np.concatenate(parts) for parts in zip(*inputs, strict=True))
    if prepared.padded:
        np.save(folder / "texts.npy", x)
        x = filled(x)
    _write(folder, prepared.source, prepared.spec, x, np.asarray(rows.table[rows.target]))


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
