"""A process that leaves a data set open in the middle ends, and with its own exit code."""

import pytest
import tensorflow_datasets as tfds
from conftest import run_python

from pipelines import shapes, source

_SCRIPT = """
import sys
import pipelines
from pipelines import source, stream
source.RAM_BUDGET = 0
loaded = source.load(pipelines.get("shapes"), data_dir=sys.argv[1])
pipeline = pipelines.prepared(*loaded)
batches = iter(stream.stream(pipeline, "train", batch_size=256, training=True, seed=0))
for _ in range(int(sys.argv[2])):
    next(batches)
sys.exit(7)
"""


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """A folder of 2 000 images in array_record files."""
    place = str(tmp_path_factory.mktemp("records"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "_NUM_IMAGES", {"train": 2000, "test": 10})
        builder = source.find_builder("shapes", place)
        records = tfds.core.file_adapters.FileFormat.ARRAY_RECORD
        builder.download_and_prepare(file_format=records)
    return place


@pytest.mark.parametrize("taken", [1, 3])
def test_a_process_ends_while_batches_are_read(taken, on_disk):
    words = ("-c", _SCRIPT, on_disk, str(taken))
    done = run_python(*words, check=False, timeout=120, TF_CPP_MIN_LOG_LEVEL="3")
    assert done.returncode == 7, done.stderr
