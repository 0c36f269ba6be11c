"""What `adapt` gets: every training row once, in stored order."""

import numpy as np

import zoo
from tests.conftest import fake_pipeline, tiny_settings
from trainers.store.run_folder import Run
from trainers.training.start import statistics


def test_weights_are_what_adapt_returns_for_the_training_rows(tmp_path, monkeypatch):
    prepared = fake_pipeline("breast_cancer")
    run = Run(tmp_path, "1", tiny_settings("mlp_binary", tmp_path, batch_size=16), prepared, {})
    seen = []

    def adapt(model, batches):
        seen.extend(batches)
        return {"kernel": np.ones(3)}

    entry = zoo.get("mlp_binary")._replace(adapt=adapt)
    monkeypatch.setattr(statistics.zoo, "get", lambda name: entry)
    assert statistics.weights(None, run).keys() == {"kernel"}
    assert [len(y) for _, y in seen] == [16, 16, 16, 16, prepared.rows["train"].num_rows - 64]
    rows = prepared.rows["train"].table
    np.testing.assert_array_equal(np.concatenate([y for _, y in seen]), rows["label"])
    raw = {name: rows[name] for name in prepared.raw}
    expected = prepared.preprocess(raw)["features"]
    inputs = np.concatenate([x["features"] for x, _ in seen])
    np.testing.assert_allclose(inputs, expected, rtol=1e-6)
