"""Processes killed in the middle of an epoch end with the bits of one that was not."""

import signal

import pytest
from conftest import run_python

from trainers import checkpoint

_KILLING = """
import os, signal, sys
from trainers import checkpoint, run
save = checkpoint.save
def save_and_die(folder, state, **options):
    save(folder, state, **options)
    if state.step >= int(os.environ["KILL_AT"]):
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save = save_and_die
run.main(sys.argv)
"""


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_sigkill_in_the_middle_of_an_epoch(replicas, tmp_path, built_in_data):
    """Real processes, real data: killed twice at a checkpoint within an epoch, the same bits."""
    command = [
        *(
            "-m",
            "trainers.run",
            "--model=cifar_cnn",
            "--pipeline=shapes",
            f"--data_dir={built_in_data}",
        ),
        *("--epochs=2", "--pipeline_options=augment=True", "--hparams=dropout=0.1"),
        *("--checkpoint_minutes=0", f"--replicas={replicas}", "--batch_size=256"),
    ]
    run_python(*command, f"--workdir={tmp_path / 'quiet'}")
    killed = f"--workdir={tmp_path / 'killed'}"
    for step in (17, 70):
        done = run_python("-c", _KILLING, *command[2:], killed, check=False, KILL_AT=str(step))
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert checkpoint.steps(tmp_path / "killed" / "checkpoints")[-1] % 52
    run_python(*command, f"--workdir={tmp_path / 'killed'}")
    files = [
        checkpoint.sha256(tmp_path / place / "checkpoints" / "step-00000104" / "state.npz")
        for place in ("quiet", "killed")
    ]
    assert files[0] == files[1]
