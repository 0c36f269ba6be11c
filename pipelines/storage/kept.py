"""A cache of what was read or learnt from a user's files, for the next command on the same ones."""

import contextlib
import hashlib
import importlib
import json
import logging
import os
import pathlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import pipelines
from pipelines.storage import caches, content, locks

_FORMAT = 1
_SMALLEST = 2**22  # bytes of files that are worth caching: reading them takes about a second
_MAX_RESULTS = 8  # results that are kept
_PREFIX = "table-"
_log = logging.getLogger(__name__)


def kept(read: Callable[[], Any], paths: Sequence[str], options: Mapping[str, Any]) -> Any:
    """`read()`, or its cached result and log lines for files of the same content and options.

    If several processes start at the same time, one reads and the others wait. What cannot be
    stored, or was stored by another version of this package, is read again.

    Args:
        read: returns named tuples, mappings and arrays of numbers or bytes.
        paths: of all files that it reads.
        options: everything else that its result depends on.
    """
    small = sum(map(os.path.getsize, paths)) < _SMALLEST
    if small or not logging.getLogger("pipelines").isEnabledFor(logging.INFO):
        return read()
    before = [*map(content.status, paths)]
    digests = content.digests([*map(pathlib.Path, paths)], "")
    contents = [f"{path!r} {digest}" for path, digest in zip(paths, digests, strict=True)]
    described = repr(sorted(options.items()))

    def holds() -> bool:  # else the content that was read may not be the one that was hashed
        return [*map(content.status, paths)] == before

    again = "as read before from the same files"
    return by_content(read, [described, *contents], "this table", again, holds=holds)


def by_content(
    make: Callable[[], Any],
    contents: Sequence[str],
    what: str,
    again: str,
    *,
    holds: Callable[[], bool] = lambda: True,
) -> Any:
    """`make()`, or its cached result and log lines for the same `contents`.

    Args:
        contents: everything that the result depends on besides this package, or hashes of it.
        what: what the result is, for the log of processes that wait.
        again: the log line when the cached result is used.
        holds: whether the result is still that of `contents`; if not, it is not stored.
    """
    folder = caches.folder("")
    path = folder / f"{_PREFIX}{_key(contents)}.npz"
    with _alone(path, what):
        with contextlib.suppress(Exception):  # it is missing, or damaged in any way
            return _load(path, again)
        with _logged() as lines:
            result = make()
        with contextlib.suppress(OSError, TypeError):  # a full disk, or an unsupported type
            if holds():
                _save(path, result, lines)
                _forget_old(folder)
    return result


@contextlib.contextmanager
def _alone(path: pathlib.Path, what: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # without a lock, others may do the same work
            stack.enter_context(locks.alone(path.with_suffix(".lock"), what))
        yield


def _key(contents: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {list(contents)!r}".encode())
    sources = pathlib.Path(pipelines.__file__).parent.rglob("*.py")
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:32]


@contextlib.contextmanager
def _logged() -> Iterator[list[tuple[str, int, str]]]:
    """A context that collects what the package logs in it: (logger, level, line)."""
    lines: list[tuple[str, int, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append((record.name, record.levelno, record.getMessage()))
    logger = logging.getLogger("pipelines")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def _save(path: pathlib.Path, result: Any, lines: Sequence[tuple[str, int, str]]) -> None:
    arrays: dict[str, np.ndarray] = {}
    described = json.dumps({"result": _described(result, arrays), "lines": lines})
    arrays["described"] = np.frombuffer(described.encode(), np.uint8)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}.npz")
    try:
        np.savez(temporary, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _load(path: pathlib.Path, again: str) -> Any:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
        described = json.loads(stored["described"].tobytes())
        result = _made(described["result"], stored)
    for name, level, line in described["lines"]:
        logging.getLogger(name).log(level, "%s", line)
    os.utime(path)  # the most recently used are kept
    _log.info("%s: %s", again, path)
    return result


def _described(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A value as JSON; its arrays go to `arrays`. TypeError: it contains another type."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes):
        return {"kind": "bytes", "text": value.decode("latin-1")}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return _put_aside(value, arrays)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        kind = type(value)
        parts = [_described(part, arrays) for part in value]
        return {"kind": "named", "type": [kind.__module__, kind.__qualname__], "parts": parts}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {"kind": kind, "parts": [_described(part, arrays) for part in value]}
    if isinstance(value, Mapping):
        parts = [[_described(part, arrays) for part in item] for item in value.items()]
        return {"kind": "mapping", "parts": parts}
    raise TypeError(f"{type(value)} cannot be stored")


def _put_aside(value: np.ndarray, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    name = f"array{len(arrays)}"
    if value.dtype != object:
        arrays[name] = value
        return {"kind": "array", "name": name}
    ids: dict[bytes, int] = {}
    codes = [ids.setdefault(text, len(ids)) for text in value.tolist()]
    arrays[name] = np.array(codes, np.int32)
    arrays[f"{name}-texts"] = np.frombuffer(b"".join(ids), np.uint8)  # TypeError: not bytes
    arrays[f"{name}-ends"] = np.cumsum([len(text) for text in ids], dtype=np.int64)
    return {"kind": "texts", "name": name}


def _made(described: Any, stored: Mapping[str, np.ndarray]) -> Any:
    if not isinstance(described, dict):
        return described
    kind = described["kind"]
    if kind == "array":
        return stored[described["name"]]
    if kind == "bytes":
        return described["text"].encode("latin-1")
    if kind == "texts":
        return _texts(described["name"], stored)
    if kind == "mapping":
        return {_made(k, stored): _made(v, stored) for k, v in described["parts"]}
    parts = [_made(part, stored) for part in described["parts"]]
    if kind == "named":
        module, name = described["type"]
        if module.partition(".")[0] not in ("pipelines", "zoo"):
            raise ValueError(f"{module} is not of this package")
        return getattr(importlib.import_module(module), name)(*parts)
    return parts if kind == "list" else tuple(parts)


def _texts(name: str, stored: Mapping[str, np.ndarray]) -> np.ndarray:
    content, ends = stored[f"{name}-texts"].tobytes(), stored[f"{name}-ends"].tolist()
    starts = [0, *ends[:-1]]
    texts = np.empty(len(ends), object)
    texts[:] = [content[a:b] for a, b in zip(starts, ends, strict=True)] if ends else []
    return texts[stored[name]]


def _forget_old(folder: pathlib.Path) -> None:
    paths = sorted(folder.glob(f"{_PREFIX}*.npz"), key=lambda path: path.stat().st_mtime)
    for path in paths[:-_MAX_RESULTS]:
        for old in (path, path.with_suffix(".lock")):
            old.unlink(missing_ok=True)
