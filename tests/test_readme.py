"""README's commands: they parse always, and run where there is time."""

import pathlib
import re
import shlex

import pytest

from tests.conftest import ROOT, run_python
from trainers.config import flags
from trainers.studies import repeat

README = pathlib.Path(ROOT, "README.md").read_text(encoding="utf-8")
PAGES = [path.read_text(encoding="utf-8") for path in pathlib.Path(ROOT, "docs").rglob("*.md")]
BLOCKS = re.findall(r"```bash\n(.*?)```", "\n".join([README, *PAGES]), flags=re.DOTALL)
COMMANDS = [
    line.strip()
    for block in BLOCKS
    for line in re.split(r"\n|&&", block.replace("\\\n", " "))
    if "-m trainers." in line
]


def words_of(command: str) -> list[str]:
    words = shlex.split(command, comments=True)
    return words[words.index("-m") + 1 :]


def test_there_are_commands_to_check():
    modules = {words_of(command)[0] for command in COMMANDS}
    assert modules >= {
        f"trainers.{name}" for name in ("run", "evaluate", "export", "predict", "doctor")
    }


@pytest.mark.parametrize("command", [c for c in COMMANDS if "trainers.run" in c])
def test_run_commands_parse(command, tmp_path, monkeypatch):
    _, *words = words_of(command)
    monkeypatch.chdir(tmp_path)
    for folder in re.findall(
        r"--(?:init_from|judge)=(\S+)", command
    ):  # parsing looks for these runs
        pathlib.Path(folder).mkdir(parents=True)
        pathlib.Path(folder, "run.json").touch()
    flags.parse(["run", *words])


@pytest.mark.parametrize("command", [c for c in COMMANDS if "trainers.repeat" in c])
def test_repeat_commands_parse(command):
    words = words_of(command)
    repeat.plan([0], words[words.index("--") + 1 :])


LINKED = [pathlib.Path(ROOT, "README.md"), *pathlib.Path(ROOT, "docs").rglob("*.md")]


@pytest.mark.parametrize("page", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    # Brackets in code are not links.
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose)
    lost = [x for x in links if not x.startswith("http") and not (page.parent / x).exists()]
    assert lost == []


@pytest.mark.slow
def test_the_first_block_runs_as_it_stands(tmp_path):
    """Everything after the installation, typed in an empty folder with an empty data folder."""
    commands = [
        line.strip()
        for line in re.split(r"\n|&&", BLOCKS[0].replace("\\\n", " "))
        if "-m trainers." in line
    ]
    assert any("trainers.run" in command for command in commands)
    assert any("trainers.predict" in command for command in commands)
    for command in commands:
        environment = {"TFDS_DATA_DIR": str(tmp_path / "data")}
        done = run_python("-m", *words_of(command), cwd=tmp_path, **environment)
    assert '"class_name"' in done.stdout
