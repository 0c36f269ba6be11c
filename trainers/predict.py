"""Asks an exported model about files, one JSON line an example.

    python -m trainers.predict --workdir=runs/... photo.png table.csv request.json

Image files for models of images; CSV files with a header for models of columns; JSON files in the
form that TensorFlow Serving's REST interface takes, for any model. Needs TensorFlow only.
"""

import base64
import csv
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from trainers.recipe_flags import small_command
from trainers.setup.errors import ArtefactError, UsageError, import_tensorflow, run_command
from zoo.spec import Field

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_SHOWN = 5  # classes whose probability is printed


def main(argv: list[str]) -> None:
    """The command."""
    given = small_command(__doc__, argv, files=True, workdir=None)
    if given is None:
        return
    files = [pathlib.Path(name) for name in given["files"]]
    if not files:
        raise UsageError("name the files to predict: images, .csv or .json")
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} is not there")
        if path.suffix.lower() not in (*_IMAGES, ".csv", ".json"):
            raise UsageError(f"{path}: expected an image ({' '.join(_IMAGES)}), .csv or .json")
    import_tensorflow()
    for line in predict(newest_export(pathlib.Path(given["workdir"])), files):
        print(json.dumps(line))


def newest_export(folder: pathlib.Path) -> pathlib.Path:
    """The directory of the newest version that a run has exported. ArtefactError: there is none."""
    versions = [path for path in folder.glob("export/*/*") if path.name.isdigit()]
    if not versions:
        raise ArtefactError(
            f"{folder} has no export: the same trainers.run command finishes the run"
        )
    return max(versions, key=lambda path: int(path.name))


def predict(exported: pathlib.Path, files: list[pathlib.Path]) -> Iterator[dict[str, Any]]:
    """One dictionary of answers for each example in the files.

    Raises:
        UsageError: a file does not hold what the model takes.
        ArtefactError: the export cannot be loaded.
    """
    import tensorflow as tf

    try:
        card = json.loads((exported / "assets.extra" / "model.json").read_text(encoding="utf-8"))
        model = tf.saved_model.load(str(exported))
    except (OSError, ValueError, IndexError, tf.errors.OpError) as error:
        raise ArtefactError(f"{exported} cannot be loaded: {error}") from error
    fields = {name: Field(tuple(f["shape"]), f["dtype"]) for name, f in card["inputs"].items()}
    serve = model.signatures["serving_default"]
    for path in files:
        for where, example in _read(path, fields):
            raw = {
                name: tf.cast(tf.constant(example[name]), f.dtype)[None]
                for name, f in fields.items()
            }
            for name, field in fields.items():
                if not raw[name].shape[1:].is_compatible_with(field.shape):
                    raise UsageError(
                        f"{where}: {name} is {raw[name].shape[1:]}, expected {field.shape}"
                    )
            outputs = {name: value[0].numpy() for name, value in serve(**raw).items()}
            yield {"input": where, **_readable(outputs, card["class_names"])}


def _read(
    path: pathlib.Path, fields: Mapping[str, Field]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    kind = path.suffix.lower()
    if kind == ".json":
        try:
            instances = json.loads(path.read_text(encoding="utf-8"))["instances"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path} is no request: expected {{'instances': [...]}} ({error})"
            ) from error
        for i, instance in enumerate(instances):
            yield f"{path}:{i}", _bytes(_checked(f"{path}:{i}", instance, fields))
    elif kind == ".csv":
        with open(path, newline="", encoding="utf-8-sig") as file:
            for row in (reader := csv.DictReader(file)):
                where = f"{path}:{reader.line_num}"
                yield where, _numbers(where, _checked(where, row, fields), fields)
    else:
        yield str(path), {"image": _image(path, fields)}


def _checked(
    where: str, example: Mapping[str, Any], fields: Mapping[str, Field]
) -> Mapping[str, Any]:
    missing = [name for name in fields if example.get(name) is None]
    if missing:
        raise UsageError(
            f"{where}: {', '.join(missing)} missing; the model takes {', '.join(fields)}"
        )
    return example


def _bytes(example: Mapping[str, Any]) -> dict[str, Any]:
    """The example with texts that are no UTF-8 as bytes: they come as {"b64": ...}."""
    return {
        name: base64.b64decode(value["b64"]) if isinstance(value, dict) else value
        for name, value in example.items()
    }


def _numbers(where: str, row: Mapping[str, str], fields: Mapping[str, Field]) -> dict[str, Any]:
    try:
        return {
            name: row[name] if f.dtype == "string" else float(row[name])
            for name, f in fields.items()
        }
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def _image(path: pathlib.Path, fields: Mapping[str, Field]) -> Any:
    import tensorflow as tf

    if list(fields) != ["image"]:
        raise UsageError(f"{path}: this model takes {', '.join(fields)}, not an image")
    height, width, channels = fields["image"].shape
    try:
        image = tf.io.decode_image(path.read_bytes(), channels=channels, expand_animations=False)
    except tf.errors.InvalidArgumentError as error:
        raise UsageError(f"{path} is not an image: {str(error).splitlines()[0]}") from error
    if None not in (height, width) and image.shape[:2] != (height, width):
        print(
            f"{path}: resized from {image.shape[0]}x{image.shape[1]} to {height}x{width}",
            file=sys.stderr,
        )
        image = tf.image.resize(image, (height, width), antialias=True)
        image = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
    return image


def _readable(outputs: Mapping[str, Any], class_names: list[str]) -> dict[str, Any]:
    """Outputs of one example with names instead of places, without the logits."""
    answer: dict[str, Any] = {}
    for name, value in sorted(outputs.items()):
        if name == "logits":
            continue
        if name == "probabilities" and class_names:
            best = value.argsort()[::-1][:_SHOWN]
            answer[name] = {class_names[i]: round(float(value[i]), 6) for i in best}
        else:
            answer[name] = value.decode() if isinstance(value, bytes) else value.tolist()
    return answer


if __name__ == "__main__":
    run_command(main)
