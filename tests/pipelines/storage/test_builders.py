"""The builder that a name means, prepared once, and refused quickly where it cannot be."""

import errno
import fcntl
import functools
import http.server
import os
import pathlib
import threading
import time

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines import DataError, MissingDataError
from pipelines.storage import builders
from pipelines.storage.builders import (
    check_prepared,
    data_dir_in_use,
    ensure_prepared,
    find_builder,
    is_prepared,
    prepared_once,
)


def test_data_dir_in_use_is_the_flag_then_the_variable_then_tfds_s(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "variable"))
    assert data_dir_in_use(str(tmp_path / "flag")) == tmp_path / "flag"
    assert data_dir_in_use(None) == tmp_path / "variable"
    assert data_dir_in_use("~/data") == pathlib.Path.home() / "data"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert data_dir_in_use("") == pathlib.Path(tfds.core.constants.DATA_DIR).expanduser()


def test_find_builder_looks_where_the_doctor_does(tmp_path, monkeypatch):
    """A shell leaves ~ in --data_dir=~/data as it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    builder = find_builder("breast_cancer", "~/data")
    assert pathlib.Path(builder.data_dir).parents[1] == data_dir_in_use("~/data")


def test_find_builder_registers_sets_of_our_own(tmp_path):
    builder = find_builder("breast_cancer:1.*.*", str(tmp_path))
    assert builder.info.full_name == "breast_cancer/1.0.0"
    assert not is_prepared(builder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("shaps", "TFDS has no data set 'shaps'; nearest: .*shapes"),
        ("shapes:9.9.9", "TFDS cannot open 'shapes:9.9.9': .*9.9.9"),
        ("glue/sst", "TFDS cannot open 'glue/sst'"),
        ("cifar", "nearest: cifar10"),  # names that have it within them come first
    ],
)
def test_find_builder_refuses_unknown_names_and_versions(source, reason, tmp_path):
    with pytest.raises(DataError, match=reason) as caught:
        find_builder(source, str(tmp_path))
    assert "\n" not in str(caught.value)


def test_ensure_prepared_makes_built_in_sets_without_network_and_once(tmp_path, monkeypatch):
    monkeypatch.setattr(builders, "_reachable", lambda url: pytest.fail("asked the network"))
    builder = find_builder("breast_cancer", str(tmp_path))
    check_prepared("breast_cancer", str(tmp_path))  # it can be made
    ensure_prepared(builder, "array_record")
    assert is_prepared(builder)
    assert builder.info.file_format.value == "array_record"
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    ensure_prepared(find_builder("breast_cancer", str(tmp_path)))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == written


def test_builder_that_looked_before_another_prepared_has_what_is_on_disk(tmp_path):
    """Its splits, and its format, which TFDS would keep as this builder was made with."""
    before = find_builder("breast_cancer", str(tmp_path))
    assert ensure_prepared(find_builder("breast_cancer", str(tmp_path)), "array_record")
    found = ensure_prepared(before)
    assert found.info.splits["train"].num_examples == 569
    assert found.info.file_format.value == "array_record"


def test_prepared_once_waits_for_the_process_that_prepares(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "pipelines")
    (tmp_path / "other").mkdir()
    ensure_prepared(find_builder("breast_cancer", str(tmp_path / "other")))
    builder = find_builder("breast_cancer", str(tmp_path / "data"))

    def finish(seconds):
        os.rename(tmp_path / "other" / "breast_cancer", tmp_path / "data" / "breast_cancer")
        fcntl.flock(lock, fcntl.LOCK_UN)

    (tmp_path / "data").mkdir()
    with open(tmp_path / "data" / ".preparing-breast_cancer.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", finish)
        found = prepared_once(builder, lambda: pytest.fail("prepared twice"))
    assert found.info.splits["train"].num_examples == 569
    word = "waiting for another process that prepares breast_cancer/1.0.0"
    assert caplog.text.count(word) == 1


def test_prepared_once_looks_again_where_it_fails_because_another_was_faster(tmp_path, monkeypatch):
    """Where files cannot be locked: TFDS cannot rename its folder to one that exists."""

    def refuse(file, operation):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    builder = find_builder("breast_cancer", str(tmp_path))
    real = builder._split_generators

    @functools.wraps(real)
    def overtaken(manager):
        ensure_prepared(find_builder("breast_cancer", str(tmp_path)), "array_record")
        return real(manager)

    builder._split_generators = overtaken
    found = ensure_prepared(builder)
    assert found.info.file_format.value == "array_record"
    assert sorted(os.listdir(tmp_path / "breast_cancer")) == ["1.0.0"]


@pytest.mark.parametrize("word", ["No space left on device", "Disk quota exceeded"])
def test_full_disk_is_an_error_of_the_system_and_nothing_passes_for_prepared(word, tmp_path):
    builder = find_builder("breast_cancer", str(tmp_path))

    def fill(manager):
        path = f"{builder.data_dir}breast_cancer-train.tfrecord-00000-of-00001"
        pathlib.Path(path).write_bytes(b"half")
        raise tf.errors.ResourceExhaustedError(None, None, f"{path}; {word}")

    builder._split_generators = fill
    with pytest.raises(OSError, match=r"incomplete.*tfrecord") as caught:
        ensure_prepared(builder)
    assert os.strerror(caught.value.errno) == word
    assert not is_prepared(find_builder("breast_cancer", str(tmp_path)))
    assert os.listdir(tmp_path / "breast_cancer") == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    """TFDS never removes it: a killed download of 100 GB would stay for ever."""
    folder = tmp_path / "breast_cancer"
    for name in ("incomplete.ZP5RGN_1.0.0", "incomplete.my_notes", "0.9.0"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_bytes(b"half")
    ensure_prepared(find_builder("breast_cancer", str(tmp_path)))
    assert sorted(os.listdir(folder)) == ["0.9.0", "1.0.0", "incomplete.my_notes"]


def test_ensure_prepared_without_network_fails_at_once_with_the_ways_out(tmp_path, monkeypatch):
    def refused(request, timeout):
        assert request.full_url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
        raise OSError("refused")

    monkeypatch.setattr(builders.urllib.request, "urlopen", refused)
    with pytest.raises(MissingDataError) as caught:
        ensure_prepared(find_builder("cifar10:3.*.*", str(tmp_path)))
    mirror = f"python -m pipelines.fetch cifar10 --data_dir={tmp_path} --mirror=FOLDER"
    for part in ("cifar10/3.0.2 is not prepared", "cs.toronto.edu", "--data_dir", mirror, "shapes"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_check_prepared_asks_no_server(tmp_path, monkeypatch):
    monkeypatch.setattr(builders, "_reachable", lambda url: pytest.fail("asked the network"))
    with pytest.raises(MissingDataError, match=f"cifar10/3.0.2 is not prepared in {tmp_path}"):
        check_prepared("cifar10:3.*.*", str(tmp_path))


def test_reachable_gives_a_server_up_that_never_answers(monkeypatch):
    """As where packets are dropped: the name is looked up for ever."""

    def hang(request, timeout):
        time.sleep(3)
        raise OSError("too late")

    monkeypatch.setattr(builders.urllib.request, "urlopen", hang)
    monkeypatch.setattr(builders, "_PATIENCE", 0.2)
    started = time.monotonic()
    assert not builders._reachable("http://example.org/")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("status", "answers"), [(200, True), (403, True), (501, True), (503, False)]
)
def test_reachable_takes_any_answer_but_that_of_a_server_that_is_down(status, answers):
    class Answering(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        assert builders._reachable(address) == answers
        server.shutdown()
    assert not builders._reachable(address)


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("Manual directory x/manual is empty.\nCreate it"),
        ImportError("No module mwx"),
    ],
)
def test_files_to_be_asked_for_and_missing_packages_are_one_line(error, tmp_path, monkeypatch):
    builder = find_builder("breast_cancer", str(tmp_path))

    def refuse(manager):
        raise error

    builder._split_generators = refuse
    monkeypatch.setattr(builders, "_reachable", lambda url: True)
    with pytest.raises(DataError, match=r"could not be: (Manual directory|No module)") as caught:
        ensure_prepared(builder)
    assert "Create it" not in str(caught.value)
