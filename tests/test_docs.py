"""What the documents say is there."""

from __future__ import annotations

import re

from bot.cli import app
from bot.settings import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_command_of_the_readme_exists() -> None:
    """Each `rafiq …` that a document names is a command, and each command is in the README's table."""
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    groups = {str(group.name) for group in app.registered_groups}
    for file in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        named = set(re.findall(r"`(?:\.venv/bin/)?rafiq ([a-z-]+)", file.read_text(encoding="utf-8")))
        assert named <= commands | groups, file
    assert commands | groups <= set(re.findall(r"\| `rafiq ([a-z-]+)[^`]*` \|", README))


def test_every_make_target_that_is_named_exists() -> None:
    """`make run`, `make test` and the others are targets."""
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
    for file in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "bot").rglob("*.py"),
    ]:
        named = set(re.findall(r"(?:`|^|\()make ([a-z-]+)`?", file.read_text(encoding="utf-8"), re.M))
        assert named <= targets, file


def test_every_file_that_the_documents_name_exists() -> None:
    """Paths in backticks are paths of this project."""
    for file in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for path in re.findall(
            r"`((?:bot|nlu|flows|locales|knowledge|docs|tests|scripts|requirements)/[\w./-]*)`",
            file.read_text(encoding="utf-8"),
        ):
            assert (ROOT / path).exists(), f"{file.name} names {path}"


def test_ci_runs_what_the_readme_says() -> None:
    """CI calls the same commands as people do."""
    assert "make check test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in README and "make run" in README


def test_every_test_that_shows_reliability_exists() -> None:
    """Each test id of docs/reliability.md is a test's, and each row of the fault matrix has one."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 50
    for file, test in named:
        assert re.search(rf"^(?:async )?def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.M), (
            f"{file}::{test}"
        )
    matrix = page.partition("## The fault matrix")[2].partition("\n## ")[0]
    rows = {int(number): line for number, line in re.findall(r"^\| (\d+) (.*)$", matrix, re.M)}
    wanted = {1, 2, 3, *range(4, 8), 10, 11, *range(13, 20), 22, *range(24, 30)}
    assert set(rows) == wanted
    assert [number for number, line in rows.items() if "::test_" not in line] == []
