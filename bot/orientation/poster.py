"""The poster of an orientation point, to print and to send: PDF or PNG, A4 or A6, in one or more languages.

Whoever sees it, on a wall or in a pocket, reads a name, that it is free, and two codes: neither which service it
leads to nor which point it belongs to.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import fontpkg_ibm_plex_sans_arabic as font
import segno
import typst
from phonenumbers import PhoneNumberFormat, format_number, parse

from bot import i18n
from bot.db.encryption import Vault
from bot.messages import Language
from bot.orientation import points
from bot.settings import Settings, SettingsError

Size = Literal["a4", "a6"]
Format = Literal["pdf", "png"]
SIZES: Mapping[Size, tuple[int, int]] = {"a4": (210, 297), "a6": (105, 148)}  # millimetres
FORMATS: Sequence[Format] = ("pdf", "png")
ACROSS = 1654  # pixels of a PNG's width, whatever its size on paper
_TEMPLATE = Path(__file__).with_suffix(".typ")


@dataclass(frozen=True, slots=True)
class Code:
    """A QR code: where it leads, and what to type without a camera."""

    platform: str
    link: str
    handle: str


def codes(settings: Settings, vault: Vault, code: bytes, language: Language) -> list[Code]:
    """The codes of the point with this number; `language` is the greeting's. `SettingsError` when there is none."""
    found = []
    if settings.telegram_username is not None:
        name = settings.telegram_username
        found.append(Code("Telegram", f"https://t.me/{name}?start={points.token(vault, code)}", f"@{name}"))
    if settings.whatsapp_number is not None:
        number = settings.whatsapp_number
        text = quote(points.greeting(vault, code, language), safe="")
        readable = format_number(parse(f"+{number}"), PhoneNumberFormat.INTERNATIONAL)
        found.append(Code("WhatsApp", f"https://wa.me/{number}?text={text}", readable))
    if not found:
        raise SettingsError("TELEGRAM_USERNAME and WHATSAPP_NUMBER are missing: a poster leads to one of them, or both")
    return found


def draw(shown: Sequence[Code], languages: Sequence[Language], size: Size, form: Format) -> bytes:
    """The poster as a file's content."""
    width, height = SIZES[size]
    described = {
        "width": width,
        "height": height,
        "names": list(dict.fromkeys(i18n.say("profile.name", language) for language in languages)),
        "says": [
            {
                "language": language,
                "headline": i18n.say("poster.headline", language),
                "short": i18n.say("profile.short", language),
                "scan": i18n.say("poster.scan", language),
                "free": i18n.say("poster.free", language),
            }
            for language in languages
        ],
        "codes": [{"platform": one.platform, "handle": one.handle, "svg": _svg(one.link)} for one in shown],
    }
    drawn = typst.compile(
        _TEMPLATE,
        font_paths=[font.ROOT / "files"],
        ignore_system_fonts=True,
        format=form,
        ppi=ACROSS / width * 25.4,
        sys_inputs={"poster": json.dumps(described)},
    )
    if not isinstance(drawn, bytes):
        raise ValueError("the texts of this poster do not fit on one page")
    return drawn


def _svg(link: str) -> str:
    drawn = io.BytesIO()
    segno.make_qr(link, error="m").save(drawn, kind="svg", border=4, xmldecl=False)
    return drawn.getvalue().decode()
