"""Prepares a TFDS data set, from the network or from a folder with its archives.

    python -m pipelines.fetch NAME[/CONFIG][:VERSION] [--data_dir=DIR] [--mirror=DIR]

With --mirror the network is not used: files are looked up in that folder, at any depth and under
any name, by the size and SHA-256 that TFDS has registered. Missing files are listed, one per line:
URL, name, bytes, SHA-256; put them there and repeat the command. With --file_format=array_record
examples can be read by index from disk, which data sets larger than memory require.

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
from pipelines.storage import system

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_BLOCK = 2**20  # bytes hashed at a time


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.fetch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", help="TFDS's name: mnist, imdb_reviews/plain_text:1.0.0")
    parser.add_argument("--data_dir", help="TFDS's data folder (default: TFDS_DATA_DIR, ...)")
    parser.add_argument("--mirror", type=_folder, help="a folder with the archives")
    parser.add_argument("--file_format", choices=("tfrecord", "array_record"))
    flags = parser.parse_args(argv[1:])
    if flags.mirror is not None and not flags.mirror.is_dir():
        parser.error(f"--mirror={flags.mirror} is not a folder")
    _import_quietly()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # TFDS prints; stdout is for the answer
            summary = fetch(flags.name, flags.data_dir, flags.mirror, flags.file_format)
        print(summary)
    except (DataError, OSError) as error:
        first, *more = (system.described(error) or str(error)).splitlines()
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
    """Prepares the data set unless it is prepared; returns a line with its folder and splits.

    Raises:
        DataError: the data set is unknown or cannot be reached, or the mirror lacks files: one more
            line for each of them.
    """
    from pipelines.storage import builders

    builder = builders.find_builder(name, data_dir)
    was_prepared = builders.is_prepared(builder)
    if mirror is None:
        prepared = builders.ensure_prepared(builder, file_format)
    else:
        prepared = builders.prepared_once(builder, lambda: _prepare(builder, mirror, file_format))
    # Prepared earlier, or by another process, in another format.
    if file_format not in (None, prepared.info.file_format.value):
        raise DataError(
            f"{prepared.info.full_name} is prepared in {prepared.data_dir} as "
            f"{prepared.info.file_format.value}: choose another --data_dir"
        )
    splits = ", ".join(
        f"{part.num_examples} {split}" for split, part in prepared.info.splits.items()
    )
    now = "" if was_prepared else "now "
    return f"{prepared.info.full_name} is {now}in {prepared.data_dir}: {splits}"


def _folder(path: str) -> pathlib.Path:
    return pathlib.Path(os.path.expanduser(path))  # a shell leaves ~ in --mirror=~/archives


def _import_quietly() -> None:
    """Imports TensorFlow without the lines it prints before it reads its log level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)


def _prepare(
    builder: "tfds.core.DatasetBuilder", mirror: pathlib.Path, file_format: str | None
) -> None:
    import tensorflow_datasets as tfds

    name, instructions = builder.info.full_name, builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    missing: dict[str, Any] = {}
    _use_mirror(mirror, builder, missing)
    # Files that each user has to request are identified by name, not by checksum.
    manual = mirror if instructions else None
    config = tfds.download.DownloadConfig(manual_dir=manual, try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config, file_format=file_format)
    except Exception as error:
        if missing:
            raise DataError(_list_missing(name, mirror, missing)) from error
        message = " ".join(str(error).split()) or type(error).__name__
        if instructions:
            raise DataError(
                f"{name} needs files that have to be requested from its owners: "
                f"{' '.join(instructions.split())} Put them into {mirror} under these names "
                f"({message})"
            ) from error
        if isinstance(error, (AssertionError, ImportError, ValueError)):
            raise DataError(f"{name} cannot be prepared: {message}") from error
        raise


def _use_mirror(
    mirror: pathlib.Path, builder: "tfds.core.DatasetBuilder", missing: dict[str, Any]
) -> None:
    """Makes the builder take downloads from the mirror; adds those the mirror lacks to `missing`.

    TFDS has no public way to replace its downloads, so the one method that downloads is replaced in
    this builder. The code uses private names of tensorflow-datasets 4.9.10.
    """
    import promise
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import resource as resources

    split_generators = builder._split_generators
    files, digest = _by_size(mirror), functools.cache(sha256)

    @functools.wraps(split_generators)  # TFDS inspects its parameters
    def from_mirror(manager, *args, **kwargs):
        def find(resource: tfds.download.Resource) -> promise.Promise:
            info = manager._url_infos.get(resource.url)
            candidates = files.get(info and info.size, ())
            file = next((p for p in candidates if digest(p) == info.checksum), None)
            if file is None:
                missing[resource.url] = info
                # No extraction, so that TFDS continues with its other files.
                resource._extract_method = resources.ExtractMethod.NO_EXTRACT
                return promise.Promise.resolve(manager.download_dir / "missing")
            path = manager._get_dl_path(resource, info.checksum)
            _link(path, file)
            resources.get_info_path(path).unlink(missing_ok=True)
            resources.write_info_file(
                url=resource.url,
                path=path,
                dataset_name=builder.name,
                original_fname=_name(resource.url, info),
                url_info=info,
            )
            manager._recorded_url_infos[resource.url] = info
            return promise.Promise.resolve(path)

        manager._download = find
        manager.download_kaggle_data = _refuse_kaggle
        generators = split_generators(manager, *args, **kwargs)
        if missing:
            raise DataError("files are missing")
        return generators

    builder._split_generators = from_mirror


def _link(path: pathlib.Path, file: pathlib.Path) -> None:
    """Makes `path` a link to a file of the mirror, unless it is or leads to that file already."""
    file = file.resolve()
    if os.path.realpath(path) != str(file):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a dangling link
        os.symlink(file, path)


def _refuse_kaggle(name: str):
    raise ValueError(f"Kaggle's own program fetches {name}, with a network")


def _by_size(mirror: pathlib.Path) -> dict[int, list[pathlib.Path]]:
    """Size -> the files in a folder, at any depth: only files of the right size are hashed."""
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
            f"TFDS has registered no checksum for {len(unknown)} file(s) of {name}, so they cannot "
            f"be taken from a mirror: prepare it on a machine with a network\n" + "\n".join(unknown)
        )
    by_name = {path.name: (path, size) for size, ps in _by_size(mirror).items() for path in ps}
    lines, notes = [], []
    for url, info in missing.items():
        file = _name(url, info)
        lines.append(f"{url}\t{file}\t{info.size:d}\t{info.checksum}")
        path, size = by_name.get(file, (None, None))
        if path:
            differs = "another SHA-256" if size == info.size else f"{size} bytes, not {info.size:d}"
            notes.append(f"; {path} has {differs}")
    return (
        f"{name} needs {len(missing)} more file(s) in {mirror}, under any name: put them there and "
        f"repeat the command{''.join(notes)}\n" + "\n".join(lines)
    )


def _name(url: str, info: Any) -> str:
    """The file's name at its source, whose suffix determines how it is extracted."""
    return info.filename or pathlib.PurePosixPath(urllib.parse.urlparse(url).path).name


if __name__ == "__main__":
    sys.exit(main(sys.argv))
