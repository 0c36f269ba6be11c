"""Speed of the input pipeline on one core, and whether training steps wait for it.

    TFDS_DATA_DIR=... python benchmarks/input_speed.py [--part=streams|steps] [--tiny]

streams: examples per second of whole training batches, as `fit` gets them: gather, augmentation,
preprocessing. One line for each augmentation and data set, then the same images read from disk, as
sets larger than memory are. The process is bound to one core. `per cpu second` excludes the time
that other processes used that core, so it is the figure to compare on a shared machine.

steps: `fit` of a model with the real stream and with one batch repeated from memory, in turn, and
the ratio of their times: 1 if no step waits. `next` is the time of one call of the iterator while
the previous step runs, as in training.

Sets that are not prepared are skipped; without CIFAR-10, shapes is used instead.
"""

import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator

from absl import app, flags, logging

_PART = flags.DEFINE_enum("part", "streams", ("streams", "steps"), "What to measure.")
_TINY = flags.DEFINE_bool("tiny", False, "Only a few batches, as a quick check.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Rounds of measurements.", lower_bound=1)
_MODEL = flags.DEFINE_string("model", "cifar_cnn", "Image model that --part=steps trains.")
_PRECISION = flags.DEFINE_string("precision", "auto", "Precision of --part=steps.")


def main(argv: list[str]) -> None:
    del argv
    logging.set_verbosity(logging.WARNING)
    if _PART.value == "streams" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before any thread starts
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    from trainers.devices import precision as machine

    print(f"{machine.cpu_name()}, {cores} of {os.cpu_count()} cores")
    if _PART.value == "streams":
        measure_streams()
    else:
        for batch_size in (16,) if _TINY.value else (128, 512):
            measure_steps(batch_size)


def measure_streams() -> None:
    """Prints a line for each augmentation, each data set, and reading from disk."""
    from pipelines.steps import image

    images = _images()
    jordan = image.crop_and_flip(4, alternating=True)
    streams = {
        "not augmented": None,
        "shift": image.crop_and_flip(4, flip=False),
        "mirror": image.crop_and_flip(0),
        "mirror, alternating": image.crop_and_flip(0, alternating=True),
        "cut out 8": image.cut_out(8),
        "shift, mirror": image.crop_and_flip(4),
        "shift, alternating, cut out 8": image.in_turn(jordan, image.cut_out(8)),
    }
    measured = {
        f"{images.name}: {name}": images.replace(augment=augment)
        for name, augment in streams.items()
    }
    for name in ("mnist", "imdb"):
        prepared = _prepared(name)
        if prepared is not None:
            measured[f"{name}: as it is trained on"] = prepared
    with tempfile.TemporaryDirectory() as folder:
        measured[f"{images.name}: shift, mirror, read from disk"] = _on_disk(images, folder)
        print(f"{'training batches of 512':45} {'per second':>12} {'median':>10} per cpu second")
        for name, prepared in measured.items():
            wall, cpu = zip(*_rates(prepared, on_disk="disk" in name), strict=True)
            rates = f"{max(wall):12,.0f} {statistics.median(wall):10,.0f} {max(cpu):14,.0f}"
            print(f"{name:45} {rates}", flush=True)


def measure_steps(batch_size: int) -> None:
    """Prints the ratio of step times with the real stream and with one batch from memory."""
    import tensorflow as tf

    import zoo
    from pipelines.core.stream import stream
    from trainers.config import settings
    from trainers.devices import precision as machine
    from trainers.devices import strategy as strategies
    from trainers.training.compile import compiled

    images = _images()
    changes = {"batch_size": batch_size, "pipeline": images.name, "steps_per_execution": 1}
    if _TINY.value:
        changes["hparams"] = dict(zoo.get(_MODEL.value).tiny)
    resolved = settings.resolve(_MODEL.value, changes)
    precision, _ = machine.choose_precision(_PRECISION.value)
    model = compiled(resolved, images, strategies.choose(1), machine.policy(precision))
    model.make_train_function()

    real = iter(stream(images, "train", batch_size=batch_size, training=True, seed=0))
    constant = iter(tf.data.Dataset.from_tensors(next(real)).repeat().prefetch(4))
    steps = 8 if _TINY.value else max(20, 12_800 // batch_size)

    def run(batches: Iterator) -> tuple[float, float]:
        """Seconds per step, and how many of them it waits for the iterator."""
        waited = 0.0
        # The first steps are not counted: the other side may still fill its buffers.
        for step in range(10 + steps):
            if step == 10:
                began, waited = time.perf_counter(), 0.0
            requested = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - requested
            model.train_function(iter([batch]))
        return (time.perf_counter() - began) / steps, waited / steps

    run(constant)  # traces
    print(f"{_MODEL.value}, {precision}, batches of {batch_size}: milliseconds a step (next)")
    ratios = []
    for _ in range(_REPEATS.value):
        (alone, alone_next), (fed, fed_next) = run(constant), run(real)
        ratios.append(fed / alone)
        sides = [
            f"{a * 1e3:.2f} ({b * 1e3:.3f})" for a, b in ((alone, alone_next), (fed, fed_next))
        ]
        print(f"  one batch {sides[0]}, stream {sides[1]}: {ratios[-1]:.3f}", flush=True)
    spread = f"from {min(ratios):.3f} to {max(ratios):.3f}"
    print(f"  ratio: median {statistics.median(ratios):.3f} ({spread})")


def _rates(prepared, *, on_disk: bool) -> Iterator[tuple[float, float]]:
    """Examples per second of wall-clock time and of processor time, of each repeat."""
    from pipelines.core.stream import stream

    batch_size = 64 if _TINY.value else 512
    steps = 2 if _TINY.value else 20 if on_disk else 80
    batches = iter(stream(prepared, "train", batch_size=batch_size, training=True, seed=0))
    for _ in range(min(steps, 20)):
        next(batches)
    for _ in range(_REPEATS.value):
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            next(batches)
        examples = batch_size * steps
        yield examples / (time.perf_counter() - wall), examples / (time.process_time() - cpu)


def _images():
    """CIFAR-10, or shapes, with shift and mirror."""
    images = _prepared("cifar10")
    return images if images is not None else _prepared("shapes", augment=True)


def _prepared(name: str, **options):
    """The data set with its rows; None if it would have to be downloaded."""
    import pipelines
    from pipelines import MissingDataError
    from pipelines.storage import builders

    pipeline = pipelines.get(name, **options)
    try:
        builders.check_prepared(pipeline.source, None)
    except MissingDataError:
        return None
    return _loaded(pipeline)


def _loaded(pipeline, data_dir: str | None = None):
    from pipelines.core.prepared import prepare
    from pipelines.storage import tfds as source

    pipeline, rows, schema = source.load(pipeline, data_dir=data_dir)
    return prepare(pipeline, schema, rows)


def _on_disk(prepared, folder: str):
    """The data set, read from array_record files on disk, converted from TFDS's prepared ones."""
    from pipelines.storage import builders
    from pipelines.storage import tfds as source

    builder = builders.find_builder(prepared.source, None)
    converted = pathlib.Path(folder, *pathlib.Path(builder.data_dir).parts[-2:])
    _convert(pathlib.Path(builder.data_dir), converted)
    source.RAM_BUDGET = 0
    return _loaded(prepared.pipeline, data_dir=folder)


def _convert(prepared: pathlib.Path, converted: pathlib.Path) -> None:
    """Copies a prepared set as array_record files; the tool of TFDS for this needs Beam."""
    import tensorflow as tf
    from array_record.python.array_record_module import ArrayRecordWriter

    converted.mkdir(parents=True)
    for file in prepared.iterdir():
        if "tfrecord" not in file.name:
            text = file.read_text(encoding="utf-8")
            text = text.replace('"tfrecord"', '"array_record"')
            (converted / file.name).write_text(text, encoding="utf-8")
            continue
        writer = ArrayRecordWriter(
            str(converted / file.name.replace("tfrecord", "array_record")), "group_size:1"
        )
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            writer.write(record)
        writer.close()


if __name__ == "__main__":
    app.run(main)
