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


# how many requirements of levels 1 and 2 each section of OWASP ASVS 5.0.0 has; they are its first ones
ASVS = {
    1: (2, 9, 11, 3, 2), 2: (3, 3, 4, 1), 3: (0, 2, 4, 6, 5, 0, 2), 4: (3, 1, 2, 4), 5: (1, 3, 2, 3),
    6: (3, 12, 4, 4, 5, 3, 0, 4), 7: (3, 4, 2, 5, 2, 2), 8: (2, 3, 1, 1), 9: (3, 4), 10: (2, 2, 4, 11, 5, 2, 3),
    11: (2, 3, 3, 4, 1, 1, 0), 12: (3, 2, 4), 13: (1, 5, 2, 5), 14: (2, 4, 3), 15: (3, 3, 7, 0), 16: (1, 5, 4, 3, 3),
    17: (1, 4, 2),
}  # fmt: skip


def numbers(written: str) -> list[str]:
    """« 7.2.1 to 7.2.4, 7.3.1 » one by one."""
    found = []
    for first, last in re.findall(r"(\d+\.\d+\.\d+)(?: to \d+\.\d+\.(\d+))?", written):
        section, _, number = first.rpartition(".")
        found += [f"{section}.{one}" for one in range(int(number), int(last or number) + 1)]
    return found


def test_every_requirement_of_asvs_has_its_place() -> None:
    """Each of levels 1 and 2 is held, with tests that exist, or said to be not of this kind, another's or not held;
    none is said to be two of these."""
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    wanted = {
        f"{chapter}.{section}.{number}"
        for chapter, counts in ASVS.items()
        for section, count in enumerate(counts, 1)
        for number in range(1, count + 1)
    }
    assert len(wanted) == 253
    rows = re.findall(r"^\| (\d[^|]*) \|[^|]*\| ([^|]*) \|$", page, re.M)
    held = {one for first, _ in rows for one in numbers(first)}
    others = [
        one
        for title in ("Not of this kind", "Of whoever runs it", "Not held")
        for line in page.partition(f"## {title}\n")[2].partition("\n## ")[0].splitlines()
        for part in re.findall(r"(?:^- |\. )((?:\d+\.\d+\.\d+(?: to |, )?)+):", line)
        for one in numbers(part)
    ]
    assert len(others) == len(set(others)) and held.isdisjoint(others)
    assert wanted - held - set(others) == set()
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    for first, shown in rows:
        assert "test_" in shown or "`make check`" in shown, first
        for name in re.findall(r"`(test_\w+)`", shown):
            assert f"def {name}(" in tests, name
