"""TFDS builders: find one by name and prepare it, or fail within seconds without a network."""

import contextlib
import http.client
import importlib
import logging
import os
import pathlib
import re
import shlex
import shutil
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

import requests
import tensorflow_datasets as tfds
from google.protobuf import json_format
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from pipelines.core import registry
from pipelines.core.pipeline import DataError, MissingDataError
from pipelines.storage import locks, shards, system
from pipelines.storage.shards import first_line
from zoo.spec import nearest

_log = logging.getLogger(__name__)
_ABANDONED = re.compile(r"incomplete\.[A-Z0-9]{6}_[0-9.]+")  # folders that TFDS writes
_REACHABLE = "https://storage.googleapis.com/tfds-data/"  # TFDS's own server
_PATIENCE = 5  # seconds in which a server has to answer
_WAYS_OUT = (
    "(1) prepare it on a machine with a network and pass its folder with --data_dir or "
    "TFDS_DATA_DIR; (2) put its archives into a folder and prepare it from there: "
    "python -m pipelines.fetch {name} --data_dir={folder} --mirror=FOLDER, which lists what is "
    "missing; (3) choose a set that needs no download: shapes, digits, breast_cancer, docstrings"
)


def data_dir_in_use(data_dir: str | None) -> pathlib.Path:
    """TFDS's data folder for this value of `--data_dir`."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
    return pathlib.Path(os.path.expanduser(chosen))


def find_builder(source: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """TFDS's builder of `source`. DataError: unknown data set, version or configuration."""
    tfds.disable_progress_bar()
    name = source.partition(":")[0].partition("/")[0]
    if name in registry.names():  # our own builder, which is registered when its file is imported
        importlib.import_module(f"pipelines.{name}")
    known = tfds.list_builders(with_community_datasets=False)
    if name not in known:
        close = [other for other in known if name in other][:3] or nearest(name, known)
        raise DataError(f"TFDS has no data set {name!r}; nearest: {', '.join(close) or 'none'}")
    try:
        # TFDS takes ~ for the name of a folder, and a shell leaves it in --data_dir=~/data.
        folder = os.path.expanduser(data_dir) if data_dir else None
        return tfds.builder(source, data_dir=folder, try_gcs=False)
    except (
        *(AssertionError, ValueError, RuntimeError, OSError, json_format.Error),
        tfds.core.DatasetNotFoundError,
    ) as error:
        damaged = shards.damaged_descriptions(data_dir_in_use(data_dir) / name)
        if damaged:
            raise DataError(
                f"{', '.join(damaged)} is damaged: remove its folder and prepare {source} again"
            ) from error
        raise DataError(f"TFDS cannot open {source!r}: {first_line(error)}") from error


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether the files of the builder's version are on disk."""
    return pathlib.Path(builder.data_dir).joinpath("dataset_info.json").exists()


def check_prepared(source: str, data_dir: str | None) -> None:
    """Downloads nothing. MissingDataError: the data set would have to be downloaded."""
    builder = find_builder(source, data_dir)
    if not is_prepared(builder) and not getattr(builder, "BUILT_IN", False):
        raise MissingDataError(f"{builder.info.full_name} is not prepared in {_folder_of(builder)}")


def _folder_of(builder: tfds.core.DatasetBuilder) -> pathlib.Path:
    """The folder of all data sets, above those of name, configuration and version."""
    return pathlib.Path(builder.data_dir).parents[builder.info.full_name.count("/")]


def ensure_prepared(
    builder: tfds.core.DatasetBuilder, file_format: str | None = None
) -> tfds.core.DatasetBuilder:
    """Prepares the data set unless it is prepared, and returns its builder.

    TFDS alone takes 205 seconds to notice that the network is missing. It would also accept files
    without a registered hash, and prepared sets from its own bucket, which nothing verifies.

    Raises:
        MissingDataError: it must be downloaded and its server cannot be reached.
        DataError: the download failed, or its hash differs or is not registered.
        OSError: the folder cannot be written, or its disk is full.
    """
    if not is_prepared(builder) and not getattr(builder, "BUILT_IN", False):
        url = _first_url(builder)
        if not _reachable(url):
            where, ways_out = _not_prepared(builder)
            raise MissingDataError(f"{where} and {url} cannot be reached: {ways_out}")
    return prepared_once(builder, lambda: _download(builder, file_format))


def prepared_once(
    builder: tfds.core.DatasetBuilder, prepare: Callable[[], None]
) -> tfds.core.DatasetBuilder:
    """Calls `prepare` in one of several processes unless the set is prepared; returns its builder.

    The other processes wait and use the result. What a killed process left behind is removed. A set
    that is prepared needs no lock, so its folder may be read-only.

    Args:
        prepare: prepares the set with `builder`.

    Raises:
        OSError: the folder cannot be written, or its disk is full.
    """
    if is_prepared(builder) and builder.info.initialized:
        return builder
    folder = _folder_of(builder)
    if not is_prepared(builder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / f".preparing-{builder.name}.lock"
        with locks.alone(lock, builder.info.full_name) as held:
            if not is_prepared(builder):
                if held:
                    _remove_abandoned(builder)
                try:
                    with system.as_os_error():
                        prepare()
                    return builder
                except OSError:
                    # Without locks another process may have been faster, and TFDS then fails to
                    # rename its folder.
                    if not is_prepared(builder):
                        raise
    # Another process has prepared it since this builder was made, perhaps in another format.
    name, _, version = builder.info.full_name.rpartition("/")
    return find_builder(f"{name}:{version}", str(folder))


def _remove_abandoned(builder: tfds.core.DatasetBuilder) -> None:
    """Removes TFDS's folders and files of a process that was killed while it prepared the set.

    The caller holds the lock, so that no other process writes such folders.
    """
    parent = pathlib.Path(builder.data_dir).parent
    paths = [p for p in parent.glob("incomplete.*") if _ABANDONED.fullmatch(p.name) and p.is_dir()]
    for path in paths:
        _log.info("removing %s, left by a process that was stopped", path)
        shutil.rmtree(path, ignore_errors=True)


def _not_prepared(builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    """What is missing, and what the user can do about it."""
    full_name = builder.info.full_name
    folder = _folder_of(builder)
    ways_out = _WAYS_OUT.format(name=full_name.rpartition("/")[0], folder=shlex.quote(str(folder)))
    return f"{full_name} is not prepared in {folder}", ways_out


def _download(builder: tfds.core.DatasetBuilder, file_format: str | None) -> None:
    where, ways_out = _not_prepared(builder)
    try:
        config = tfds.download.DownloadConfig(
            force_checksums_validation=True, try_download_gcs=False
        )
        with contextlib.redirect_stdout(sys.stderr):  # TFDS prints; stdout is for results
            builder.download_and_prepare(download_config=config, file_format=file_format)
    except NonMatchingChecksumError as error:
        why = f"the download has another hash: {first_line(error)}"
        raise DataError(f"{where}: {why}: {ways_out}") from error
    except (
        *(tfds.download.DownloadError, urllib.error.URLError),
        *(requests.RequestException, ConnectionError),
    ) as error:
        raise DataError(f"{where} and could not be: {first_line(error)}: {ways_out}") from error
    except ValueError as error:
        if "Missing checksums" not in str(error):
            raise
        raise DataError(f"{where}: TFDS has no hash for one of its files: {error}") from error
    except (AssertionError, ImportError) as error:  # manual downloads or a package are missing
        raise DataError(f"{where} and could not be: {first_line(error)}: {ways_out}") from error


def _first_url(builder: tfds.core.DatasetBuilder) -> str:
    """The URL of one of the set's archives, or of TFDS's own server."""
    urls = [url for url in builder.url_infos or () if url.startswith(("http://", "https://"))]
    return urls[0] if urls else _REACHABLE


def _reachable(url: str) -> bool:
    answers = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with contextlib.closing(urllib.request.urlopen(request, timeout=_PATIENCE)):
                answers.append(True)
        except urllib.error.HTTPError as error:
            # Any answer counts, even a refusal of HEAD, but not that of a server that is down: TFDS
            # would retry it for two minutes.
            answers.append(error.code < 500 or error.code == http.HTTPStatus.NOT_IMPLEMENTED)
        except (OSError, http.client.HTTPException):
            pass

    # In a thread, since the timeout of a socket covers neither the DNS lookup of its host nor
    # attempts at several addresses in turn.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return any(answers)
