"""Artefacts of an earlier version under today's public commands: see v0_1/README.md.

Runs continue to the same numbers or are refused in one line; exports are served.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).parent / "v0_1"
ROOT = pathlib.Path(__file__).parents[2]
EXPORTS = ("finished", "regression", "classification_text")
SOURCES = {"regression": "houses.csv", "classification_text": "texts.tsv"}
# On the machine that wrote them 5e-7, the rounding of the expected numbers; the rest is room for
# processors that sum float32 in another order.
TOLERANCE = 1e-4

# A server: TensorFlow alone, where neither our packages nor Keras can be imported.
SERVER = """
import json, sys
for name in ("zoo", "pipelines", "trainers", "keras", "tensorflow_datasets"):
    sys.modules[name] = None
import tensorflow as tf

def plain(value):
    return [v.decode() for v in value] if value.dtype == object else value.tolist()

for exported, request in zip(sys.argv[1::2], sys.argv[2::2]):
    model = tf.saved_model.load(exported)
    serve = model.signatures["serving_default"]
    with open(request, encoding="utf-8") as file:
        instances = json.load(file)["instances"]
    raw = {
        name: tf.constant([row[name] for row in instances], spec.dtype)
        for name, spec in serve.structured_input_signature[1].items()
    }
    answer = {name: plain(value.numpy()) for name, value in serve(**raw).items()}
    weights = {v.name.removesuffix(":0"): v.numpy().ravel().tolist() for v in serve.variables}
    print(json.dumps({"outputs": answer, "weights": weights}))
"""


def read(path: pathlib.Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def copied(name: str, folder: pathlib.Path) -> pathlib.Path:
    """A copy to work on, with its data file where the run's relative path names it."""
    if name in SOURCES:
        shutil.copy(FOLDER / name / SOURCES[name], folder / SOURCES[name])
    return pathlib.Path(shutil.copytree(FOLDER / name, folder / name))


def command(module: str, *flags, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    """`python -m module`, on the CPU, in the folder that the golden runs' paths are relative to."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, flags)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def trained(name: str, *changes: str, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    """The command that wrote a golden run, once more, with some flags changed."""
    flags = read(FOLDER / name / "run.json")["command"][1:]
    return command("trainers.run", *flags, *changes, cwd=cwd)


def succeeded(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess, codes: tuple[int, ...]) -> bool:
    """Whether a command ended otherwise than with 0; then one line says why."""
    if done.returncode == 0:
        return False
    assert done.returncode in codes, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert errors[-1].startswith("error: ")
    assert len([line for line in errors if line.startswith("error: ")]) == 1
    return True


def served(*pairs) -> list[dict]:
    """The answers of exports to requests, pair by pair, from a process without our packages."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", SERVER, *map(str, pairs)],
        env={**environment, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    return [json.loads(line) for line in succeeded(done).splitlines()]


def check_outputs(answer: dict, expected: dict) -> None:
    """Every output of the request: texts and classes equal, numbers up to TOLERANCE."""
    assert answer.keys() == expected.keys()
    for name, values in expected.items():
        if name in ("class", "class_name"):
            assert answer[name] == values, name
        else:
            np.testing.assert_allclose(answer[name], values, TOLERANCE, TOLERANCE, err_msg=name)


def check_predicted(lines: str, expected: dict) -> None:
    """What trainers.predict prints: a JSON line an example, names in place of class numbers."""
    answers = [json.loads(line) for line in lines.splitlines()]
    assert len(answers) == 5
    for i, answer in enumerate(answers):
        assert set(expected) - {"logits"} <= set(answer)
        for name, values in expected.items():
            if name == "probabilities":
                # From the largest down, by name; six digits.
                assert next(iter(answer[name])) == expected["class_name"][i]
                np.testing.assert_allclose(
                    list(answer[name].values()), sorted(values[i], reverse=True), atol=TOLERANCE
                )
            elif name == "class_name":
                assert answer[name] == values[i]
            elif name != "logits":
                np.testing.assert_allclose(answer[name], values[i], TOLERANCE, TOLERANCE)


def check_metrics(metrics: dict, expected: dict) -> None:
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        # That version's area under the curve had 200 thresholds.
        tolerance = 1e-3 if name == "auc" else TOLERANCE
        assert metrics[name] == pytest.approx(value, rel=tolerance), name


def hashes(folder: pathlib.Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def answers() -> dict[str, dict]:
    pairs = []
    for name in EXPORTS:
        pairs += [next((FOLDER / name).glob("export/*/1")), FOLDER / f"{name}_request.json"]
    return dict(zip(EXPORTS, served(*pairs), strict=True))


@pytest.mark.parametrize("name", EXPORTS)
def test_golden_export_is_served_without_our_packages(name, answers):
    check_outputs(answers[name]["outputs"], read(FOLDER / f"{name}_expected.json")["outputs"])


@pytest.mark.parametrize("name", EXPORTS)
def test_golden_export_answers_predict(name, tmp_path):
    copied(name, tmp_path)
    request = FOLDER / f"{name}_request.json"
    done = command("trainers.predict", f"--workdir={name}", request, cwd=tmp_path)
    check_predicted(succeeded(done), read(FOLDER / f"{name}_expected.json")["outputs"])


def test_golden_table_is_predicted_from_its_file(tmp_path):
    # Five rows of the file are the request's: a table is read as the run read it.
    copied("regression", tmp_path)
    done = command("trainers.predict", "--workdir=regression", "houses.csv", cwd=tmp_path)
    values = [json.loads(line)["value"] for line in succeeded(done).splitlines()]
    assert len(values) == 64
    for value in read(FOLDER / "regression_expected.json")["outputs"]["value"]:
        assert min(abs(np.array(values) / value - 1)) < TOLERANCE


def test_golden_finished_run_is_complete(tmp_path):
    folder = copied("finished", tmp_path)
    before = {part: hashes(folder / part) for part in ("checkpoints", "export")}
    done = trained("finished", cwd=tmp_path)
    output = succeeded(done)
    assert "finished is already complete" in done.stderr
    report = read(FOLDER / "finished" / "report.json")
    for split in ("validation", "test"):
        for name, value in report[split].items():
            assert f"{name} {value:.4f}" in output
    assert {part: hashes(folder / part) for part in before} == before


def test_golden_finished_run_is_evaluated(tmp_path):
    folder = copied("finished", tmp_path)
    done = command("trainers.evaluate", "--workdir=finished", "--split=test", cwd=tmp_path)
    metrics = json.loads(succeeded(done).splitlines()[-1])
    check_metrics(metrics["test"], read(folder / "report.json")["test"])


def test_golden_finished_run_is_exported_again_or_refused(tmp_path):
    folder = copied("finished", tmp_path)
    before = hashes(folder / "export")
    done = command("trainers.export", "--workdir=finished", cwd=tmp_path)
    after = hashes(folder / "export")
    if refused(done, (2, 3, 4)):
        assert after == before
        return
    assert before.items() < after.items()
    second = folder / "export" / "mlp_binary" / "2"
    (answer,) = served(second, FOLDER / "finished_request.json")
    check_outputs(answer["outputs"], read(FOLDER / "finished_expected.json")["outputs"])


def test_golden_finished_run_is_reported_again_or_refused(tmp_path):
    folder = copied("finished", tmp_path)
    page = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    done = command("trainers.report", "--workdir=finished", cwd=tmp_path)
    if refused(done, (2, 3, 4)):
        return
    written = (folder / "report.html").read_text(encoding="utf-8")
    report = read(FOLDER / "finished" / "report.json")
    for value in (report["test"]["accuracy"], report["test"]["loss"]):
        assert f"{value:.4f}" in written
        assert f"{value:.4f}" in page.decode()


def test_golden_interrupted_run_continues_or_is_refused(tmp_path):
    folder = copied("interrupted", tmp_path)
    before = hashes(folder / "checkpoints")
    done = trained("interrupted", cwd=tmp_path)
    if refused(done, (4,)):
        assert hashes(folder / "checkpoints") == before
        assert not (folder / "report.json").exists()
        return
    expected, report = read(FOLDER / "interrupted_expected.json"), read(folder / "report.json")
    for split in ("validation", "test"):
        check_metrics(report[split], expected[split])
    (answer,) = served(folder / report["export"], FOLDER / "finished_request.json")
    check_outputs(answer["outputs"], expected["outputs"])
    assert expected["weights"].keys() <= answer["weights"].keys()
    for path, values in expected["weights"].items():
        np.testing.assert_allclose(answer["weights"][path], values, atol=TOLERANCE, err_msg=path)
    # It went on from step 52: what was logged before it stands, what it took since follows.
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    old = (FOLDER / "interrupted" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[: len(old)] == old
    assert json.loads(lines[-1])["step"] == expected["step"]
    first = json.loads(lines[len(old)])
    assert first["epoch"] == 3
    assert first["step"] > json.loads(old[-1])["step"]


def test_golden_interrupted_run_is_refused_under_another_recipe(tmp_path):
    folder = copied("interrupted", tmp_path)
    before = hashes(folder / "checkpoints")
    done = trained("interrupted", "--learning_rate=0.5", cwd=tmp_path)
    assert refused(done, (4,))
    assert hashes(folder / "checkpoints") == before
