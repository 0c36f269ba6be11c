"""Run folders in which a name that a run writes is a link, a FIFO or a socket."""

import contextlib
import os
import pathlib
import shutil
import socket
import sys

import pytest

from pipelines.storage import tfds
from tests.conftest import fake_load, tiny_settings, unchecked_exports
from trainers import errors, predict
from trainers.evaluation import evaluate
from trainers.reports import write
from trainers.serving import export
from trainers.store.finished import finished
from trainers.studies import child
from trainers.training import run

# Names that are there only while a run writes, or was killed as it wrote.
PASSING = (
    *(".writing-0123", "pipeline/.writing-0123", "predictions/.writing-0123"),
    *("checkpoints/.writing-0123", "checkpoints/step-00000008/.writing-0123"),
    *("checkpoints/.replaced-step-00000008", "checkpoints/.damaged-step-00000008"),
    *("tensorboard/train/.writing-0123", "tensorboard/plugins", "weights-last.npz"),
    *("export/mlp_binary/.writing-0123", "export/mlp_binary/2", "baselines/linear/.lock"),
)
MINE = b"mine, every byte of it"


def settings_of(folder, **changes):
    """Nothing is learnt, so that the first epoch is the best: there are weights of both steps."""
    still = {"keep": "last", "learning_rate": 1e-9, "schedule": "constant", "weight_decay": 0.0}
    return tiny_settings("mlp_binary", folder, **still, **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> pathlib.Path:
    """The folder of a run that is complete."""
    folder = tmp_path_factory.mktemp("links") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds, "load", fake_load)
        unchecked_exports(patch)
        run.run(settings_of(folder))
    (folder / "baselines" / "linear").mkdir(parents=True)
    assert (folder / "weights-best.npz").exists()
    return folder


COMMANDS = {
    "run": lambda folder, question: run.run(
        settings_of(folder, epochs=3, resume_with_changes=True)
    ),
    "evaluate": lambda folder, question: evaluate.evaluate_run(folder, "test"),
    "predict": lambda folder, question: predict.main(
        ["predict", f"--workdir={folder}", str(question)]
    ),
    "report": lambda folder, question: write.write_again(folder),
    "export": lambda folder, question: export.export_run(folder),
    "init_from": lambda folder, question: finished(folder),
}


def put(kind: str, path: pathlib.Path, mine: pathlib.Path, is_folder: bool) -> None:
    """Puts something in the place of a name."""
    if kind == "link":
        path.symlink_to(mine / ("folder" if is_folder else "file"))
    elif kind == "link to nothing":
        path.symlink_to(mine / "nothing")
    elif kind == "FIFO":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
            server.bind(path.name[-90:])  # what a socket's path may have
            os.replace(path.name[-90:], path.name)


@pytest.mark.parametrize("kind", ["link", "link to nothing", "FIFO", "socket"])
def test_no_command_follows_what_is_no_plain_file(kind, whole, tmp_path, monkeypatch, capsys):
    """Whatever name of a run it has: exit code 4, one line, and what is mine has its bytes."""
    monkeypatch.setattr(sys, "argv", ["command"])
    folder, mine, question = tmp_path / "run", tmp_path / "mine", tmp_path / "request.json"
    shutil.copytree(whole, folder)
    question.write_text('{"instances": []}')
    (mine / "folder").mkdir(parents=True)
    for name in ("file", "folder/run.json", "folder/events.out.tfevents.1.a", "folder/.writing-1"):
        (mine / name).write_bytes(MINE)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert len(names) > 30
    for name in (*names, *PASSING):
        path, kept = folder / name, tmp_path / "kept"
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.rename(kept)
        put(kind, path, mine, kept.is_dir())
        for command, act in COMMANDS.items():
            with pytest.raises(SystemExit) as caught:
                errors.run_command(lambda argv, act=act: act(folder, question))
            said = capsys.readouterr()
            assert (caught.value.code, said.out) == (4, ""), (command, name, said.err)
            assert said.err.startswith("error: ")
            assert said.err.count("\n") == 1
            assert "plain file" in said.err, (command, name, said)
        path.unlink()
        if kept.exists():
            kept.rename(path)
        found = {str(p.relative_to(mine)): p.read_bytes() for p in mine.rglob("*") if p.is_file()}
        assert set(found.values()) == {MINE}, name
        assert sorted(found) == [
            *("file", "folder/.writing-1", "folder/events.out.tfevents.1.a", "folder/run.json")
        ], name
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == names


def test_output_of_a_repeated_run_goes_into_no_link(tmp_path):
    (tmp_path / "mine").write_bytes(MINE)
    (tmp_path / "seed-0.log").symlink_to(tmp_path / "mine")
    with pytest.raises(errors.ArtefactError, match=r"seed-0\.log is not a plain file"):
        child.run(["--help"], tmp_path / "seed-0.log")
    assert (tmp_path / "mine").read_bytes() == MINE
