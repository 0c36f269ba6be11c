"""Shows that nothing ran, was written, was read or filled the memory while a file was refused."""

import contextlib
import pathlib
import resource
import sys
import tempfile

_EVENTS: list | None = None
_WATCHED = ("os.system", "subprocess.Popen", "socket.connect", "socket.getaddrinfo", "os.symlink")


def _heard(event, arguments):
    if _EVENTS is None:
        return
    if event in _WATCHED or (event == "open" and str(arguments[0]).endswith("secret")):
        _EVENTS.append((event, str(arguments)))


sys.addaudithook(_heard)


@contextlib.contextmanager
def watched(folder: pathlib.Path, monkeypatch):
    """Nothing changes in the folder meanwhile, no process, connection or secret is opened.

    More than 1 GB on top of what the process has is a MemoryError. The folder is the current one
    and that for temporary files.
    """
    global _EVENTS
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = _listing(folder)
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, limits[1]))
    _EVENTS = []
    try:
        yield
    finally:
        events, _EVENTS = _EVENTS, None
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert _listing(folder) == before
    assert events == []


def _listing(folder: pathlib.Path) -> dict[str, float]:
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
