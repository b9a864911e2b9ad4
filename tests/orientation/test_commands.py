"""`rafiq points` and `rafiq poster`, as staff use them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from bot.cli import app
from bot.db.encryption import Vault
from bot.orientation import points
from bot.settings import Settings, SettingsError
from tests.orientation.test_poster import decoded


def rafiq(*arguments: str) -> str:
    """What the command prints."""
    return CliRunner().invoke(app, arguments, catch_exceptions=False).stdout


@pytest.mark.usefixtures("staffed")
def test_from_a_new_point_to_its_poster(settings: Settings, tmp_path: Path) -> None:
    """Added, listed, printed in its own languages; once revoked, printed no more."""
    assert rafiq("points", "add", "Dar", "--city", "Oujda", "--languages", "ar,fr", "--notes", "Mon-Fri 9-12") == "1\n"
    assert rafiq("points", "list") == "1\tactive\tDar\tOujda\tar,fr\tMon-Fri 9-12\n"
    [path] = rafiq("poster", "1", "--size", "a6", "--format", "png", "-o", str(tmp_path / "new")).splitlines()
    assert path == str(tmp_path / "new" / "rafiq-1-a6-ar-fr.png")
    links = decoded(Image.open(path).convert("L"))
    [telegram] = [link for link in links if link.startswith("https://t.me/")]
    assert len(links) == 2 and points.read(Vault(settings.master_key), telegram.rpartition("=")[2])
    [path] = rafiq("poster", "1", "--languages", "en", "-o", str(tmp_path)).splitlines()
    assert path == str(tmp_path / "rafiq-1-a4-en.pdf") and Path(path).read_bytes().startswith(b"%PDF-")
    assert rafiq("points", "revoke", "1") == "point 1 is revoked\n"
    assert rafiq("points", "list").startswith("1\trevoked 2")
    for again in (("points", "revoke", "1"), ("poster", "1"), ("poster", "2")):
        with pytest.raises(SettingsError, match="is no active point"):
            rafiq(*again)


@pytest.mark.usefixtures("staffed")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("points", "add", "Dar", "--city", "Oujda", "--languages", "fr,de"), "--languages is fr,de"),
        (("points", "add", "Dar", "--city", "Oujda", "--languages", "fr,fr"), "--languages is fr,fr"),
        (("points", "add", " ", "--city", "Oujda"), "a point needs a name"),
        (("poster", "1", "--size", "a5"), "--size is a5: it must be one of a4, a6"),
        (("poster", "1", "--format", "svg"), "--format is svg: it must be one of pdf, png"),
        (("poster", "1", "--languages", "ar,"), "--languages is ar,"),
    ],
)
def test_a_wrong_option_is_named(arguments: tuple[str, ...], says: str) -> None:
    """In one line, before anything is done."""
    with pytest.raises(SettingsError) as error:
        rafiq(*arguments)
    assert str(error.value).startswith(says) and "\n" not in str(error.value)
