"""Prepares a TFDS data set, from the network or from a folder that holds its archives.

    python -m pipelines.fetch NAME[/CONFIG][:VERSION] [--data_dir=DIR] [--mirror=DIR]

With --mirror nothing is asked of the network: every file that the set needs is looked for in that
folder and those below it by its size and SHA-256, which TFDS has registered; what the files are
called does not matter. Where some are missing, they are listed, one a line: URL, name, bytes,
SHA-256; put them there and repeat the command. With --file_format=array_record examples are read
from disk by their number, which sets larger than memory need.

Exit codes: 0 done, 2 usage, 3 data, 6 disk or permissions.
"""

import argparse
import collections
import contextlib
import functools
import hashlib
import os
import pathlib
import sys
import urllib.parse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines import DataError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_BLOCK = 2**20  # bytes hashed at a time


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.fetch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", help="as TFDS has it: mnist, imdb_reviews/plain_text:1.0.0")
    parser.add_argument("--data_dir", help="where to prepare it (default: TFDS_DATA_DIR, ...)")
    parser.add_argument("--mirror", type=pathlib.Path, help="a folder with the archives")
    parser.add_argument("--file_format", choices=("tfrecord", "array_record"))
    given = parser.parse_args(argv[1:])
    if given.mirror is not None and not given.mirror.is_dir():
        parser.error(f"--mirror={given.mirror} is no folder")
    _import_quietly()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # TFDS tells what it does; ours is the answer
            done = fetch(given.name, given.data_dir, given.mirror, given.file_format)
        print(done)
    except (DataError, OSError) as error:
        first, *more = str(error).splitlines()
        print(*more, sep="\n", end="\n" * bool(more), flush=True)
        print(f"error: {first}", file=sys.stderr)
        return 3 if isinstance(error, DataError) else 6
    except KeyboardInterrupt:
        return 130
    return 0


def fetch(
    name: str,
    data_dir: str | None = None,
    mirror: pathlib.Path | None = None,
    file_format: str | None = None,
) -> str:
    """Prepares the data set unless it is there; a line that says what there is and where.

    Raises:
        DataError: an unknown set, one that cannot be reached, or files that are not in the mirror:
            then one line more for each of them.
    """
    from pipelines.storage import tfds as source

    builder = source.find_builder(name, data_dir)
    there = source.is_prepared(builder)
    if there and file_format not in (None, builder.info.file_format.value):
        raise DataError(
            f"{builder.info.full_name} is prepared in {builder.data_dir} as "
            f"{builder.info.file_format.value}: choose another --data_dir"
        )
    if mirror is None:
        source.ensure_prepared(builder, file_format)
    elif not there:
        _prepare(builder, mirror, file_format)
    splits = ", ".join(
        f"{part.num_examples} {split}" for split, part in builder.info.splits.items()
    )
    return f"{builder.info.full_name} is {'' if there else 'now '}in {builder.data_dir}: {splits}"


def _import_quietly() -> None:
    """Imports TensorFlow without the lines it prints before its log level is read."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _prepare(
    builder: "tfds.core.DatasetBuilder", mirror: pathlib.Path, file_format: str | None
) -> None:
    import tensorflow_datasets as tfds

    name, instructions = builder.info.full_name, builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    missing: dict[str, Any] = {}
    _take_from(mirror, builder, missing)
    # Sets whose files each user has to ask for name them: then names count, not checksums.
    manual = mirror if instructions else None
    config = tfds.download.DownloadConfig(manual_dir=manual, try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config, file_format=file_format)
    except Exception as error:
        if missing:
            raise DataError(_list_missing(name, mirror, missing)) from error
        said = " ".join(str(error).split()) or type(error).__name__
        if instructions:
            raise DataError(
                f"{name} needs files that its owners hand out: {' '.join(instructions.split())} "
                f"Put them into {mirror} under the names that it says ({said})"
            ) from error
        if isinstance(error, (AssertionError, ImportError, ValueError)):
            raise DataError(f"{name} cannot be prepared: {said}") from error
        raise


def _take_from(
    mirror: pathlib.Path, builder: "tfds.core.DatasetBuilder", missing: dict[str, Any]
) -> None:
    """Lets the builder find its downloads in the mirror; what is not there goes into `missing`.

    TFDS has no public place to say where files come from, so the one method that downloads is
    replaced, in this builder alone. Private names of tensorflow-datasets 4.9.10.
    """
    import promise
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import resource as resources

    split_generators = builder._split_generators
    files, digest = _by_size(mirror), functools.cache(sha256)

    @functools.wraps(split_generators)  # TFDS looks at its parameters
    def from_mirror(manager, *arguments, **words):
        def find(resource: tfds.download.Resource) -> promise.Promise:
            info = manager._url_infos.get(resource.url)
            found = (p for p in files.get(info and info.size, ()) if digest(p) == info.checksum)
            found = next(found, None)
            if found is None:
                missing[resource.url] = info
                # Not there, and not to be unpacked: so the next files are asked for too.
                resource._extract_method = resources.ExtractMethod.NO_EXTRACT
                return promise.Promise.resolve(manager.download_dir / "missing")
            place = manager._get_dl_path(resource, info.checksum)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)  # a link that has lost its file
            os.symlink(found.resolve(), place)
            resources.get_info_path(place).unlink(missing_ok=True)
            resources.write_info_file(
                url=resource.url,
                path=place,
                dataset_name=builder.name,
                original_fname=_name(resource.url, info),
                url_info=info,
            )
            manager._recorded_url_infos[resource.url] = info
            return promise.Promise.resolve(place)

        manager._download = find
        manager.download_kaggle_data = _refuse_kaggle
        made = split_generators(manager, *arguments, **words)
        if missing:
            raise DataError("files are missing")
        return made

    builder._split_generators = from_mirror


def _refuse_kaggle(name: str):
    raise ValueError(f"Kaggle's own program fetches {name}, with a network")


def _by_size(mirror: pathlib.Path) -> dict[int, list[pathlib.Path]]:
    """All files of a folder and those below it: only where the size is right is a file hashed."""
    files = collections.defaultdict(list)
    for path in sorted(mirror.rglob("*")):
        if path.is_file():
            files[path.stat().st_size].append(path)
    return dict(files)


def sha256(path: pathlib.Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _list_missing(name: str, mirror: pathlib.Path, missing: dict[str, Any]) -> str:
    unknown = [url for url, info in missing.items() if info is None]
    if unknown:
        return (
            f"TFDS has registered no checksum for {len(unknown)} file(s) of {name}, so that no "
            f"mirror can be trusted with them: prepare it where there is a network\n"
            + "\n".join(unknown)
        )
    by_name = {path.name: (path, size) for size, ps in _by_size(mirror).items() for path in ps}
    lines, notes = [], []
    for url, info in missing.items():
        file = _name(url, info)
        lines.append(f"{url}\t{file}\t{info.size:d}\t{info.checksum}")
        path, size = by_name.get(file, (None, None))
        if path:
            what = "another SHA-256" if size == info.size else f"{size} bytes, not {info.size:d}"
            notes.append(f"; {path} has {what}")
    return (
        f"{name} needs {len(missing)} more file(s) in {mirror}, under any name: put them there and "
        f"repeat the command{''.join(notes)}\n" + "\n".join(lines)
    )


def _name(url: str, info: Any) -> str:
    """What the file was called where it came from: its ending says how it is unpacked."""
    return info.filename or pathlib.PurePosixPath(urllib.parse.urlparse(url).path).name


if __name__ == "__main__":
    sys.exit(main(sys.argv))
