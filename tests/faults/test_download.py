"""What TFDS downloads is taken only by the hash that it has registered."""

import hashlib
import http.server
import threading

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.registered import skip_registration

from pipelines import DataError
from pipelines.storage import builders


@pytest.fixture
def served():
    """A set of one file, and the server that has it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"1 2 3")

        do_HEAD = do_GET

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/numbers.txt"
        with skip_registration():

            class ServedToy(tfds.core.GeneratorBasedBuilder):
                """Numbers."""

                VERSION = tfds.core.Version("1.0.0")
                url_infos = {}  # noqa: RUF012

                def _info(self):
                    features = tfds.features.FeaturesDict({"number": np.int32})
                    return tfds.core.DatasetInfo(builder=self, features=features)

                def _split_generators(self, dl_manager):
                    return {"train": self._generate_examples(dl_manager.download(url))}

                def _generate_examples(self, path):
                    for number in path.read_text().split():
                        yield number, {"number": int(number)}

        yield ServedToy, url
        server.shutdown()


@pytest.mark.parametrize(
    ("registered", "reason"),
    [(b"1 2 3", None), (b"1 2 4", "has wrong checksum"), (None, "no hash for one of its files")],
    ids=["as registered", "other bytes", "never registered"],
)
def test_download_is_taken_only_by_its_hash(registered, reason, served, tmp_path, monkeypatch):
    toy, url = served
    monkeypatch.setattr(builders, "_REACHABLE", url)
    if registered is not None:
        digest = hashlib.sha256(registered).hexdigest()
        toy.url_infos[url] = UrlInfo(tfds.core.utils.Size(5), digest, "numbers.txt")
    builder = toy(data_dir=tmp_path)
    if reason is None:
        builders.ensure_prepared(builder)
        assert builder.info.splits["train"].num_examples == 3
        return
    with pytest.raises(DataError, match=reason):
        builders.ensure_prepared(builder)
    assert not builders.is_prepared(builder)
