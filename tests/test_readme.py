"""README's commands: they parse always, and run where there is time."""

import pathlib
import re
import shlex
import subprocess

import pytest

from tests.conftest import ROOT, run_python
from trainers.config import flags
from trainers.config.settings import Settings
from trainers.studies import repeat

README = pathlib.Path(ROOT, "README.md").read_text(encoding="utf-8")
PAGES = [path.read_text(encoding="utf-8") for path in pathlib.Path(ROOT, "docs").rglob("*.md")]


def blocks_of(*pages: str) -> list[str]:
    return re.findall(r"```bash\n(.*?)```", "\n".join(pages), flags=re.DOTALL)


def commands_of(blocks: list[str]) -> list[str]:
    return [
        line.strip()
        for block in blocks
        for line in re.split(r"\n|&&", block.replace("\\\n", " "))
        if "-m trainers." in line
    ]


BLOCKS = blocks_of(README, *PAGES)
COMMANDS = commands_of(BLOCKS)


def words_of(command: str) -> list[str]:
    words = shlex.split(command, comments=True)
    return words[words.index("-m") + 1 :]


def test_there_are_commands_to_check():
    modules = {words_of(command)[0] for command in COMMANDS}
    assert modules >= {
        f"trainers.{name}" for name in ("run", "evaluate", "export", "predict", "doctor")
    }


def settings_of(command: str) -> Settings | None:
    """None of one that only prints. Makes the runs that it begins with, in the current folder."""
    _, *words = words_of(command)
    for folder in re.findall(r"--(?:init_from|judge)=(\S+)", command):
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        pathlib.Path(folder, "run.json").touch()
    return flags.parse(["run", *words])


@pytest.mark.parametrize("command", [c for c in COMMANDS if "trainers.run" in c])
def test_run_commands_parse(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings_of(command)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_shell_reads_the_commands(block):
    subprocess.run(["/bin/bash", "-n"], input=block, text=True, check=True)


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.splitlines()[0])
def test_no_command_of_a_page_finds_its_folder_taken_by_another_one(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    taken = {}
    for command in commands_of(blocks_of(page)):
        settings = settings_of(command) if words_of(command)[0] == "trainers.run" else None
        if settings and not settings.dry_run:
            run = {**settings.identity(), "data_files": settings.data_files}
            assert taken.setdefault(settings.run_dir, run) == run, command


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
