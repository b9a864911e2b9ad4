"""Posters: what their codes say to ZBar, and what stands on them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import fontpkg_ibm_plex_sans_arabic as font
import numpy as np
import pytest
from PIL import Image, ImageFont

from bot import i18n
from bot.db.encryption import Vault
from bot.messages import LANGUAGES, Language
from bot.orientation import points, poster
from bot.orientation.poster import Code, Size
from bot.settings import Settings, SettingsError

VAULT = Vault(bytes(range(32)))
CODE = b"\x07cafe"
TOKEN = points.token(VAULT, CODE)
NODE = shutil.which("node")
ZBAR = Path(__file__).parents[1] / "simulators" / "zbar.cjs"
SETTINGS = Settings(_env_file=None, telegram_username="@rafiq_example_bot", whatsapp_number="+212 600-000 000")
ONE_OR_MORE: Sequence[Sequence[Language]] = (("fr",), ("ar",), ("fr", "en", "ar"))


def codes(language: Language = "fr", settings: Settings = SETTINGS) -> list[Code]:
    """The codes of our point."""
    return poster.codes(settings, VAULT, CODE, language)


def picture(languages: Sequence[Language], size: Size = "a4") -> Image.Image:
    """The poster as a grey picture."""
    return Image.open(io.BytesIO(poster.draw(codes(languages[0]), languages, size, "png"))).convert("L")


def decoded(image: Image.Image) -> set[str]:
    """What ZBar reads in it."""
    assert NODE is not None, "scripts/setup-system installs Node"
    run = subprocess.run(
        [NODE, ZBAR, str(image.width), str(image.height)], input=image.tobytes(), capture_output=True, timeout=60, check=True
    )  # fmt: skip
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("size", poster.SIZES)
@pytest.mark.parametrize("languages", ONE_OR_MORE)
def test_zbar_reads_both_codes(languages: Sequence[Language], size: Size) -> None:
    """One opens the bot with the token, one WhatsApp with a greeting in the poster's first language."""
    telegram, whatsapp = sorted(map(urlsplit, decoded(picture(languages, size))))
    assert (telegram.scheme, telegram.netloc, telegram.path) == ("https", "t.me", "/rafiq_example_bot")
    assert parse_qs(telegram.query) == {"start": [TOKEN]}
    assert (whatsapp.scheme, whatsapp.netloc, whatsapp.path) == ("https", "wa.me", "/212600000000")
    assert parse_qs(whatsapp.query) == {"text": [f"{i18n.say('point.hello', languages[0])} ({TOKEN})"]}


def test_zbar_reads_a_bad_photograph() -> None:
    """Small, turned, grey and pressed as a messenger does it."""
    image = picture(("fr", "en", "ar"), "a6").resize((620, 874)).rotate(7, expand=True, fillcolor=120)
    image = image.point([60 + value // 2 for value in range(256)])
    pressed = io.BytesIO()
    image.save(pressed, "JPEG", quality=35)
    assert decoded(Image.open(pressed).convert("L")) == {one.link for one in codes()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_neither_paper_nor_link_says_which_service(language: Language) -> None:
    """The neutral name, that it is free, and nothing of what people write about."""
    texts = [i18n.say(f"poster.{part}", language) for part in ("headline", "scan", "free")]
    texts += [
        i18n.say("profile.name", language),
        i18n.say("profile.short", language),
        i18n.say("point.hello", language),
    ]
    shown = " ".join([*texts, *(one.link + one.handle for one in codes(language))]).lower()
    for word in ("iom", "oim", "avrr", "migr", "retour", "return", "asil", "asyl", "هجر", "عود", "لجوء", "دولي"):
        assert word not in shown


def test_a_pdf_is_one_page_with_its_letters_in_it() -> None:
    """The fonts come along; who made it, when and for whom is not told, so the same poster is the same file."""
    drawn = [poster.draw(codes(), LANGUAGES, size, "pdf") for size in poster.SIZES for _ in range(2)]
    assert drawn[0] == drawn[1] and drawn[2] == drawn[3]
    for pdf, box in ((drawn[0], b"595.2756 841.8898"), (drawn[2], b"297.6378 419.52756")):
        assert pdf.startswith(b"%PDF-") and b"/Count 1" in pdf and box in pdf
        assert b"IBMPlexSansArabic-Bold" in pdf and b"/FontFile" in pdf
        assert b"/Author" not in pdf and b"/CreationDate" not in pdf


def test_every_letter_is_in_the_font() -> None:
    """No text of a poster, in any language, would show an empty box."""
    letters = ImageFont.truetype(str(font.ROOT / "files" / "IBMPlexSansArabic-Bold.ttf"), 40)
    missing = bytes(letters.getmask("\uffff"))
    ids = ("poster.headline", "poster.scan", "poster.free", "profile.name", "profile.short")
    shown = set("".join(i18n.say(text_id, language) for text_id in ids for language in LANGUAGES)) | set(
        "@_+0123456789·"
    )
    assert [letter for letter in shown if not letter.isspace() and bytes(letters.getmask(letter)) == missing] == []


def test_arabic_runs_from_right_to_left_and_is_joined() -> None:
    """In the band below, the full stop stands at the left end, and there are fewer shapes than letters."""
    pixels = np.asarray(picture(("ar",)))
    dark_rows = np.flatnonzero(pixels[:, 3] < 100)
    band = pixels[dark_rows[0] : dark_rows[-1]] > 200
    columns = np.flatnonzero(band.any(axis=0))
    shapes = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    height = {side: np.ptp(np.flatnonzero(band[:, shapes[side]].any(axis=1))) for side in (0, -1)}
    assert height[0] * 3 < height[-1]
    assert len(shapes) < 0.8 * sum(letter.isalpha() for letter in i18n.say("poster.free", "ar"))


def test_one_code_where_only_one_platform_is_set() -> None:
    """The poster leads where people are answered; without any platform there is none."""
    alone = Settings(_env_file=None, whatsapp_number="212600000000")
    [code] = codes(settings=alone)
    assert code.platform == "WhatsApp"
    image = Image.open(io.BytesIO(poster.draw([code], ["en"], "a4", "png"))).convert("L")
    assert decoded(image) == {code.link}
    with pytest.raises(SettingsError, match="TELEGRAM_USERNAME and WHATSAPP_NUMBER are missing"):
        codes(settings=Settings(_env_file=None))
