"""Bytes of image files give the answers of their pixels, but for how a camera was held."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo
from pipelines.files import photo
from tests.conftest import OPTIONS, fake_pipeline, tiny_settings
from tests.pipelines.files import photographs
from tests.trainers.serving.test_export import exported
from trainers.serving import image_bytes
from trainers.serving.predict import predict
from trainers.serving.signatures import arguments_of, traced
from trainers.tasks import registry
from trainers.training.compile import build
from zoo.spec import Field


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """(settings, prepared data of photographs, an untrained network)."""
    changes = {"pipeline": "image_folder", "pipeline_options": OPTIONS["image_folder"]}
    settings = tiny_settings("cifar_cnn", tmp_path_factory.mktemp("run"), **changes)
    prepared = fake_pipeline("image_folder")
    return settings, prepared, build(settings, prepared, "float32")


@pytest.fixture(scope="module")
def signatures(network):
    settings, prepared, model = network
    entry = zoo.get("cifar_cnn")
    return registry.get(prepared.task).signatures(entry, settings.hparams, model, prepared)


@pytest.fixture(scope="module")
def functions(signatures):
    return traced(signatures)


def logits(function, **arguments) -> np.ndarray:
    return function(**{k: tf.constant(v) for k, v in arguments.items()})["logits"].numpy()


def of_pixels(functions, pixels: np.ndarray) -> np.ndarray:
    return logits(functions["serving_default"], image=pixels[None])[0]


@pytest.mark.parametrize(("quality", "subsampling"), [(75, "4:2:0"), (92, "4:4:4"), (97, "4:2:2")])
def test_bytes_of_a_jpeg_give_the_answer_of_its_accurate_pixels(quality, subsampling, functions):
    pictures = [p for _, p in photographs.photographs(4, largest=300, seed=quality)]
    files = [photographs.jpeg(p, quality, subsampling=subsampling) for p in pictures]
    found = logits(functions["image_bytes"], image_bytes=files)
    for content, answer in zip(files, found, strict=True):
        pixels = photo.decode(content)
        accurate = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
        np.testing.assert_array_equal(accurate, pixels)
        np.testing.assert_allclose(answer, of_pixels(functions, pixels), rtol=1e-5, atol=1e-5)


def test_bytes_ignore_the_orientation_that_pixels_are_turned_by(functions):
    """As docs/your_own_images.md says."""
    [(_, picture)] = photographs.photographs(1, largest=200, seed=1)
    exif = Image.Exif()
    exif[0x0112] = 6
    plain, turned = photographs.jpeg(picture), photographs.jpeg(picture, exif=exif)
    found = logits(functions["image_bytes"], image_bytes=[plain, turned])
    np.testing.assert_array_equal(found[0], found[1])
    lying, upright = (of_pixels(functions, photo.decode(content)) for content in (plain, turned))
    np.testing.assert_allclose(found[1], lying, rtol=1e-5, atol=1e-5)
    assert np.abs(found[1] - upright).max() > 1e-3


def test_bytes_of_other_files_are_decoded_or_refused(functions):
    pixels = np.random.default_rng(0).integers(0, 256, (31, 40, 3), np.uint8)
    png = tf.io.encode_png(pixels).numpy()
    [found] = logits(functions["image_bytes"], image_bytes=[png])
    np.testing.assert_allclose(found, of_pixels(functions, pixels), rtol=1e-5, atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        logits(functions["image_bytes"], image_bytes=[b"no image"])


def test_arguments_of_bytes_are_the_stored_images_without_a_loss(network, signatures):
    _, prepared, _ = network
    stored = {"image": prepared.rows["test"].table["image"][:3]}
    signature = signatures["image_bytes"]
    function = arguments_of(signature, prepared, stored, seed=0, target=np.zeros(3, int))
    arguments, _, _ = function(stored, np.zeros(3, int), np.arange(3))
    for content, pixels in zip(arguments["image_bytes"].numpy(), stored["image"], strict=True):
        np.testing.assert_array_equal(photo.decode(content), pixels)


@pytest.mark.usefixtures("_unchecked_export")
def test_export_answers_bytes_as_predict_answers_the_file(network, tmp_path):
    version = exported(*network, tmp_path)
    paths = [tmp_path / f"{i}.jpg" for i in range(3)]
    for path, (_, picture) in zip(paths, photographs.photographs(3, 300, seed=2), strict=True):
        path.write_bytes(photographs.jpeg(picture))
    function = tf.saved_model.load(str(version)).signatures["image_bytes"]
    found = function(image_bytes=tf.constant([path.read_bytes() for path in paths]))
    names = network[1].class_names
    for i, line in enumerate(predict(version, paths)):
        assert line["class"] == found["class"][i]
        answer = [line["probabilities"][name] for name in names]
        np.testing.assert_allclose(answer, found["probabilities"][i], atol=2e-6)


@pytest.mark.parametrize("field", [Field((32, 32, 3), "uint8"), Field((None, None, 3), "uint16")])
def test_there_is_no_such_signature_for_images_of_one_size_or_of_sixteen_bits(field, network):
    _, prepared, _ = network
    schema = prepared.schema._replace(raw={"image": field})
    assert image_bytes.signature(prepared.replace(schema=schema), dict) is None


def test_the_first_frame_of_a_moving_picture_is_answered(functions):
    frames = [np.full((31, 40, 3), shade, np.uint8) for shade in (60, 200)]
    file = io.BytesIO()
    first, *more = map(Image.fromarray, frames)
    first.save(file, "gif", save_all=True, append_images=more)
    png = tf.io.encode_png(frames[1]).numpy()
    found = logits(functions["image_bytes"], image_bytes=[file.getvalue(), png])
    for answer, frame in zip(found, frames, strict=True):
        np.testing.assert_allclose(answer, of_pixels(functions, frame), rtol=1e-5, atol=1e-5)
