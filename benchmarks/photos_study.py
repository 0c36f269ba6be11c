"""--model=auto on folders of images, beside scikit-learn and Keras's recipe of transfer learning.

    TFDS_DATA_DIR=... python benchmarks/photos_study.py --folder=DIR \
      [--sets=cifar10,mnist] [--each=50,200,1000] [--draws=3] [--sides=auto,sklearn,keras]

A set is so many images of each class of the training split, drawn by the number of the draw, and
1 500 test images, written as PNG files in their own size to DIR. Each side answers the same test
images; its seconds are those of the whole command or fit.

    auto     python -m trainers.run --model=auto --pipeline=image_folder, and the answers averaged
             over mirror images beside it (`views`)
    sklearn  an RBF support vector machine on the principal components of the pixels that have 95 %
             of the variance, C and gamma chosen by three folds
    keras    keras.io, "Image classification via fine-tuning with EfficientNet", over the weights
             that auto begins with, as are its pixels per side: a new head alone by Adam at 1e-2 for
             25 epochs, then the last 20 layers without their batch normalisation at 1e-5 for 4;
             rotation, shift, flip and contrast, batches of 64, a dropout of 0.2. Mirrored images
             are those of auto, left to right only

Appends a line to DIR/results.jsonl for each, and leaves out those that are there, so that the same
command continues. Then prints means and standard deviations over the draws.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from trainers.errors import import_tensorflow

_TEST_IMAGES = 1500
_MODEL = "efficientnet_lite2"
_BATCH, _HEAD_EPOCHS, _FINE_EPOCHS, _FINE_LAYERS = 64, 25, 4, 20


def write_set(name: str, each: int, draw: int, folder: pathlib.Path) -> None:
    """Training and test images as PNG files in folders by split and class."""
    import tensorflow_datasets as tfds

    for split, number in (("train", each), ("test", _TEST_IMAGES)):
        data = tfds.load(name, split=split)
        names = data.element_spec["image"].shape  # (H, W, C)
        rows = [(row["image"], int(row["label"])) for row in data.as_numpy_iterator()]
        labels = np.array([label for _, label in rows])
        random = np.random.default_rng(draw if split == "train" else 0)
        order = random.permutation(len(rows))
        if split == "train":
            order = np.concatenate([order[labels[order] == c][:number] for c in np.unique(labels)])
        for i in order[: number * len(np.unique(labels)) if split == "train" else number]:
            image, label = rows[i]
            path = folder / split / str(label) / f"{i:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0] if names[-1] == 1 else image).save(path)


def read_set(folder: pathlib.Path, split: str, size: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, 3) uint8, of `size` pixels a side unless it is 0, and labels (N,)."""
    images, labels = [], []
    for path in sorted((folder / split).glob("*/*.png")):
        image = Image.open(path).convert("RGB")
        images.append(np.asarray(image.resize((size, size)) if size else image))
        labels.append(int(path.parent.name))
    return np.stack(images), np.array(labels)


def auto(folder: pathlib.Path) -> dict[str, float]:
    """The command as a user types it."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)  # the seconds are of the whole command
    words = ["--model=auto", "--pipeline=image_folder", f"--data_files={folder}"]
    command = [sys.executable, "-m", "trainers.run", *words, f"--workdir={run}"]
    subprocess.run([*command, "--report_baseline=false"], check=True, capture_output=True)
    report = json.loads((run / "report.json").read_text())
    command = [sys.executable, "-m", "trainers.evaluate", f"--workdir={run}", "--views=true"]
    seen = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    views = json.loads(seen.splitlines()[-1])["test_tta"]["accuracy"]
    return {"model": report["model"], "accuracy": report["test"]["accuracy"], "views": views}


def sklearn(folder: pathlib.Path) -> dict[str, float]:
    """A support vector machine on principal components."""
    from sklearn.decomposition import PCA
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    (x, y), (test_x, test_y) = (read_set(folder, split) for split in ("train", "test"))
    flat, test = (part.reshape(len(part), -1) / 255.0 for part in (x, test_x))
    model = make_pipeline(PCA(0.95, svd_solver="full"), SVC())
    grid = {"svc__C": [1, 10, 100], "svc__gamma": ["scale", 0.01, 0.03]}
    search = GridSearchCV(model, grid, cv=3).fit(flat, y)
    return {"accuracy": float(search.score(test, test_y))}


def keras(folder: pathlib.Path) -> dict[str, float]:
    """The recipe of keras.io, in stock Keras."""
    import keras
    import tensorflow as tf

    import zoo
    from trainers.training.start import packaged
    from zoo.spec import DataSpec, Field

    keras.utils.set_random_seed(0)
    entry = zoo.get(_MODEL)
    size = entry.hparams["resolution"]
    spec = DataSpec({"image": Field((size, size, 3), "float32")}, "classification", 1000)
    whole, weights = entry.build(spec, **entry.hparams), packaged.weights(_MODEL)
    for variable in whole.weights:
        variable.assign(weights[variable.path])
    base = keras.Model(whole.input, whole.get_layer(entry.features).output)
    base.trainable = False
    (x, y), (test_x, test_y) = (read_set(folder, split, size) for split in ("train", "test"))

    inputs = pixels = keras.Input((size, size, 3))
    for change in (
        keras.layers.RandomRotation(0.15),
        keras.layers.RandomTranslation(0.1, 0.1),
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomContrast(0.1),
    ):
        pixels = change(pixels)
    pixels = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    features = keras.layers.BatchNormalization()(base({"image": pixels}, training=False))
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Dropout(0.2)(features)))
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x))
    data = data.batch(_BATCH, drop_remainder=True).prefetch(2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    model.fit(data, epochs=_HEAD_EPOCHS, verbose=0)
    base.trainable = True
    for i, layer in enumerate(base.layers):
        batch_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = i >= len(base.layers) - _FINE_LAYERS and not batch_norm
    model.compile(keras.optimizers.Adam(1e-5), loss, metrics=["accuracy"])
    model.fit(data, epochs=_FINE_EPOCHS, verbose=0)
    logits = model.predict(test_x, batch_size=50, verbose=0)
    return {"accuracy": float(np.mean(logits.argmax(1) == test_y))}


SIDES: dict[str, Callable[[pathlib.Path], dict]] = {
    "auto": auto,
    "sklearn": sklearn,
    "keras": keras,
}


def summary(lines: list[dict]) -> list[str]:
    """A row of Markdown for each set: mean and standard deviation of each side."""
    sides = [*SIDES, "views"]
    rows = [f"| set | {' | '.join(sides)} |", "|---" * (len(sides) + 1) + "|"]
    for name in dict.fromkeys(line["set"] for line in lines):
        cells = [name]
        for side in sides:
            of, key = ("auto", "views") if side == "views" else (side, "accuracy")
            values = [one[key] for one in lines if (one["set"], one["side"]) == (name, of)]
            spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.4f}{spread}" if values else "")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Measures what is missing in results.jsonl, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--sets", default="cifar10,mnist")
    parser.add_argument("--each", default="50,200,1000")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--sides", default=",".join(SIDES))
    options = parser.parse_args()
    import_tensorflow()
    root = options.folder
    root.mkdir(parents=True, exist_ok=True)
    path = root / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(line["set"], line["draw"], line["side"]) for line in lines}
    for each in map(int, options.each.split(",")):
        for data in options.sets.split(","):
            for draw in range(options.draws):
                name, folder = f"{data}, {each} a class", root / f"{data}-{each}-{draw}"
                missing = [
                    side for side in options.sides.split(",") if (name, draw, side) not in done
                ]
                if missing and not folder.exists():
                    unfinished = root / f".{folder.name}"
                    shutil.rmtree(unfinished, ignore_errors=True)
                    write_set(data, each, draw, unfinished)
                    unfinished.rename(folder)
                for side in missing:
                    begun = time.perf_counter()
                    line = {"set": name, "draw": draw, "side": side, **SIDES[side](folder)}
                    lines.append(line | {"seconds": round(time.perf_counter() - begun, 1)})
                    with path.open("a", encoding="utf-8") as file:
                        print(json.dumps(lines[-1]), file=file)
    print("\n".join(summary(lines)))


if __name__ == "__main__":
    main()
