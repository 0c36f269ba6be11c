"""No network, a server that is down, a download cut short or forged; docs/faults.md, 12 and 13."""

import hashlib
import http.server
import importlib
import os
import threading

import pytest

from pipelines import DataError
from tests.conftest import run_python, tiny_settings
from trainers import errors
from trainers.training import run

# As where packets are dropped: nothing answers, and no name is found, for a long time. Prints the
# seconds from the first question to the end: imports take as long as the machine is busy.
_OFFLINE = """
import atexit, runpy, socket, sys, time
asked = []
def unanswered(*_, **__):
    asked.append(time.monotonic())
    time.sleep(600)
socket.getaddrinfo = socket.socket.connect = unanswered
atexit.register(lambda: print(time.monotonic() - asked[0]))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
_SERVED = b"1 2 3\n" * 1000
_BUILDER = '''
import tensorflow_datasets as tfds

class ZooTestServed(tfds.core.GeneratorBasedBuilder):
    """Its one archive is on a server."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        names = {"image": tfds.features.Image(shape=(20, 20, 3)),
                 "label": tfds.features.ClassLabel(names=["a", "b"])}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(names))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(dl_manager.download("ADDRESS"))}

    def _generate_examples(self, path):
        raise AssertionError("what was downloaded was used")
'''


@pytest.mark.parametrize(
    "command", ["trainers.run", pytest.param("pipelines.fetch", marks=pytest.mark.slow)]
)
def test_command_without_a_network_gives_up_within_15_seconds(command, tmp_path):
    asked = ["--model=cifar_cnn"] if command == "trainers.run" else ["cifar10"]
    (tmp_path / "temp").mkdir()
    done = run_python(
        *("-c", _OFFLINE, command, *asked, f"--data_dir={tmp_path}/data"),
        cwd=tmp_path,
        check=False,
        TMPDIR=str(tmp_path / "temp"),
    )
    assert 0 < float(done.stdout.splitlines()[-1]) < 15
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    message = done.stderr.splitlines()[-1]
    assert message.startswith(
        f"error: cifar10/3.0.2 is not prepared in {tmp_path}/data and https://"
    )
    fetch = f"pipelines.fetch cifar10 --data_dir={tmp_path}/data --mirror="
    for part in ("--data_dir", "TFDS_DATA_DIR", fetch, "shapes"):
        assert part in message
    left = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert left == (["runs/cifar_cnn-cifar10-s0/.lock"] if command == "trainers.run" else [])


class _Faulty(http.server.BaseHTTPRequestHandler):
    """Serves one file, in the way that the server's `fault` says."""

    def do_HEAD(self):
        down = self.server.fault == "down"
        self.send_response(503 if down else 200)
        self.end_headers()

    def do_GET(self):
        if self.server.fault == "gone":
            self.send_error(404)
            return
        forged = b"2" + _SERVED[1:] if self.server.fault == "forged" else _SERVED
        self.send_response(200)
        self.send_header("Content-Length", str(len(_SERVED)))
        self.end_headers()
        self.wfile.write(forged[:3000] if self.server.fault == "cut short" else forged)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server on this machine whose one file belongs to a data set."""
    code = tmp_path_factory.mktemp("code") / "zoo_test_served_sets"
    code.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Faulty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}/numbers.txt"
        (code / "__init__.py").write_text(_BUILDER.replace("ADDRESS", server.url))
        registered = (server.url, len(_SERVED), hashlib.sha256(_SERVED).hexdigest(), "numbers.txt")
        (code / "checksums.tsv").write_text("\t".join(map(str, registered)) + "\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(code.parent))
            importlib.import_module("zoo_test_served_sets")
            yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("down", "and {url} cannot be reached"),
        ("gone", "Failed to get url {url}. HTTP code: 404"),
        ("cut short", "Connection broken: IncompleteRead(3000 bytes read, 3000 more expected)"),
        ("forged", "Artifact {url}, downloaded to "),
    ],
)
def test_fault_of_a_server_is_named_and_nothing_is_taken(fault, reason, server, tmp_path):
    server.fault = fault
    data = {"data_dir": str(tmp_path / "data"), "dataset": "zoo_test_served"}
    settings = tiny_settings("cifar_cnn", tmp_path / "run", pipeline="tfds_image", **data)
    with pytest.raises(DataError) as caught:
        run.run(settings)
    assert errors.exit_code(caught.value) == 3
    assert "\n" not in str(caught.value)
    assert f"zoo_test_served/1.0.0 is not prepared in {tmp_path / 'data'}" in str(caught.value)
    assert reason.format(url=server.url) in str(caught.value)
    command = f"python -m pipelines.fetch zoo_test_served --data_dir={tmp_path / 'data'} --mirror="
    assert command in str(caught.value)
    assert os.listdir(tmp_path / "run") == [".lock"]
    assert not list((tmp_path / "data").rglob("*.json"))  # nothing was prepared, not even half
