"""Time of reading 12-megapixel photographs: the first decoding, and a command's second start.

    python benchmarks/photos.py decode [--repeat=8]
    python benchmarks/photos.py second --folder=FOLDER [--number=5000]

`decode` compares, on one thread and in turn, full decoding, which `trainers.predict` uses, with
reduced decoding, which training uses, both resized to 224 pixels, for baseline and progressive
files. `second` makes the files unless they exist, reads them in one process and again in others,
and prints the seconds of reading and of imports, wall-clock and CPU time. The files have few bytes
for their pixels: a second start only asks for the status of each.
"""

import argparse
import io
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
from PIL import Image
from sklearn import datasets

SIZE = 224
_PROGRAM = """
import time
def now():
    return time.perf_counter(), time.process_time()
times = [now()]
import logging, sys
import pipelines, pipelines.image_folder
from pipelines.storage import tfds
times.append(now())
logging.basicConfig(level=logging.WARNING)
pipeline = pipelines.get("image_folder", data_files=sys.argv[1], image_size=224,
                         data_dir=sys.argv[2])
_, rows, _ = tfds.load(pipeline)
times.append(now())
assert sum(part.num_rows for part in rows.values()) == int(sys.argv[3])
print(*(b - a for before, after in zip(times, times[1:]) for a, b in zip(before, after)))
"""


def photograph(noise: float) -> Image.Image:
    """scikit-learn's china.jpg at 4032x3024 with sensor noise."""
    whole = Image.fromarray(datasets.load_sample_image("china.jpg")).resize((4032, 3024))
    grain = np.random.default_rng(0).normal(0, noise, (3024, 4032, 1)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(whole, np.float32) + grain, 0, 255).astype(np.uint8))


def encoded(picture: Image.Image, **options) -> bytes:
    """The picture as a JPEG file."""
    out = io.BytesIO()
    picture.save(out, "JPEG", **options)
    return out.getvalue()


def decode(repeat: int) -> None:
    """Prints MB/s of full and reduced decoding for both kinds of files."""
    import tensorflow as tf

    from pipelines.files import photo
    from pipelines.steps import image

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    picture = photograph(noise=6)
    contents = {
        "baseline": encoded(picture, quality=92),
        "progressive": encoded(picture, quality=85, progressive=True),
    }
    decoders = {
        "whole": photo.decode,
        "reduced": lambda content: photo.decode_to_shrink(content, SIZE)[0],
    }
    for kind, content in contents.items():
        seconds: dict[str, list[float]] = {name: [] for name in decoders}
        for turn in range(repeat + 1):
            for name, read in decoders.items():
                began = time.process_time()
                image.resize(tf.constant(read(content)), SIZE).numpy()
                if turn:  # the first turn loads libraries
                    seconds[name].append(time.process_time() - began)
        best = {name: min(times) for name, times in seconds.items()}
        size = len(content) / 1e6
        print(
            f"{kind}, {size:.2f} MB: whole {size / best['whole']:.1f} MB/s, reduced "
            f"{size / best['reduced']:.1f} MB/s and {1 / best['reduced']:.1f} a second, "
            f"{best['whole'] / best['reduced']:.1f} times as fast (CPU time, best of {repeat})"
        )


def make(folder: pathlib.Path, number: int) -> None:
    """Writes files of different content: a few photographs, each with a number after its end."""
    contents = [encoded(photograph(noise=0), quality=quality) for quality in (10, 12, 15, 20)]
    for i in range(number):
        path = folder / f"class{i % 5}" / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(contents[i % 4] + i.to_bytes(4, "big"))


def start(name: str, *words: str) -> None:
    """Reads the photographs in a separate process; prints its seconds."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _PROGRAM, *words]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    clock, processor, clock_read, processor_read = map(float, done.stdout.split())
    print(
        f"{name} start: imports {clock:.1f} s ({processor:.1f} s of processor), photographs "
        f"{clock_read:.1f} s ({processor_read:.1f} s)",
        flush=True,
    )


def second(folder: pathlib.Path, number: int) -> None:
    """Prints the seconds of the first and of two further starts."""
    photos, cache = folder / "photos", folder / "cache"
    new = not cache.exists()
    cache.mkdir(parents=True, exist_ok=True)
    make(photos, number)
    for name in (["first"] if new else []) + 2 * ["further"]:
        start(name, str(photos), str(cache), str(number))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["decode", "second"])
    parser.add_argument("--repeat", type=int, default=8)
    parser.add_argument("--number", type=int, default=5000)
    parser.add_argument("--folder", type=pathlib.Path)
    options = parser.parse_args()
    if options.what == "decode":
        decode(options.repeat)
    elif options.folder is None:
        parser.error("second needs --folder")
    else:
        second(options.folder, options.number)


if __name__ == "__main__":
    main()
