"""Templates: what Meta is asked to approve, and how its own are compared with that."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest
import typer.testing
from pydantic import SecretStr

from bot import doctor
from bot.channels.whatsapp_templates import NotFetched, definitions, differences, fetch, submissions
from bot.cli import app
from bot.messages import LANGUAGES, Language
from bot.settings import Settings, SettingsError
from tests.simulators.whatsapp import ACCOUNT_ID, APP_SECRET, PHONE_NUMBER_ID, TOKEN, VERIFY_TOKEN, WhatsAppServer

# What a telephone that others see must not say.
TELLING = re.compile(
    r"iom|oim|rafiq|migra|retour|return|asile|asylum|voyage|travel|pays|country|منظمة|هجرة|عودة|لجوء|بلد", re.I
)


@pytest.fixture
async def server() -> AsyncIterator[WhatsAppServer]:
    """A WhatsApp where every template is approved."""
    async with WhatsAppServer() as running:
        yield running


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", definitions())
def test_each_template_in_each_language(name: str, language: Language) -> None:
    """Within Meta's limits, neutral, the same values and as many buttons in every language."""
    one = definitions()[name]
    text, buttons = one.texts[language], one.buttons[language]
    assert re.fullmatch(r"[a-z_]{1,512}", name)
    assert 30 <= one.seconds <= 43_200
    assert len(text) <= 1024 and "\n" not in text
    assert not text.startswith("{{") and not text.endswith("}}") and "}}{{" not in text.replace(" ", "")
    assert re.findall(r"\{\{(\d)\}\}", text) == [str(n) for n in range(1, len(one.examples.get(language, ())) + 1)]
    assert 1 <= len(buttons) <= 3 and len(set(buttons)) == len(buttons) and all(len(title) <= 25 for title in buttons)
    assert len(buttons) == len(one.buttons["en"])
    assert not TELLING.search(text + " ".join(buttons))


def test_what_has_to_be_there() -> None:
    """An invitation, reminders that cannot come after the hour they are for, and « you have a reply »."""
    assert definitions().keys() == {"check_in", "interview_tomorrow", "interview_soon", "reply_waiting", "reply_soon"}
    assert definitions()["interview_soon"].seconds <= 3600 and definitions()["reply_soon"].seconds <= 3600
    for one in submissions():
        assert one["category"] == "UTILITY"
        assert one["message_send_ttl_seconds"] == definitions()[one["name"]].seconds
    assert len(submissions()) == 5 * len(LANGUAGES)


async def test_all_pages_are_read(server: WhatsAppServer) -> None:
    """Meta gives a few at a time; approved as submitted, there is no difference."""
    found = await _fetched(server)
    assert len(found) == len(server.templates) > 5
    assert list(differences(found)) == []


async def _fetched(server: WhatsAppServer, token: str = TOKEN) -> list[dict[str, object]]:
    url = f"{server.url}/v25.0/{ACCOUNT_ID}/message_templates"
    return [dict(one) for one in await asyncio.to_thread(fetch, url, token)]


async def test_each_difference_is_named(server: WhatsAppServer) -> None:
    """Missing, not approved, moved to a dearer kind, with other words, another time to live."""
    changed = server.templates
    del changed[0]
    changed[0]["status"] = "PAUSED"
    changed[1]["category"] = "MARKETING"
    changed[2]["components"] = [{"type": "BODY", "text": "Revenez !"}]
    changed[3]["message_send_ttl_seconds"] = 60
    assert list(differences(await _fetched(server))) == [
        "check_in fr: not submitted",
        "check_in en: PAUSED",
        "check_in ar: MARKETING, not UTILITY",
        "interview_tomorrow fr: other words or buttons",
        "interview_tomorrow en: another time to live",
    ]


async def test_a_wrong_token_is_said_without_it(server: WhatsAppServer) -> None:
    """One line for the operator."""
    with pytest.raises(NotFetched, match="HTTP 401") as caught:
        await _fetched(server, "EAAGsecret")
    assert "EAAGsecret" not in str(caught.value)


async def test_the_doctor(server: WhatsAppServer) -> None:
    """Whether WhatsApp takes token and number."""
    given = Settings(
        _env_file=None,
        whatsapp_token=SecretStr(TOKEN),
        whatsapp_phone_number_id=PHONE_NUMBER_ID,
        whatsapp_api_url=server.url,
    )
    assert (await asyncio.to_thread(doctor._whatsapp, given)).good
    server.token = "another"
    refused = await asyncio.to_thread(doctor._whatsapp, given)
    assert not refused.good and "refused" in refused.detail
    assert not doctor._whatsapp(Settings(_env_file=None)).needed


async def test_the_command(server: WhatsAppServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rafiq whatsapp templates` prints JSON; with a token it ends with 1 when Meta's differ."""

    def run() -> typer.testing.Result:
        return typer.testing.CliRunner().invoke(app, ["whatsapp", "templates"])

    alone = await asyncio.to_thread(run)
    assert alone.exit_code == 0 and json.loads(alone.stdout) == submissions()
    assert "WHATSAPP_ACCOUNT_ID" in alone.stderr
    for name, value in {
        "WHATSAPP_TOKEN": TOKEN,
        "WHATSAPP_PHONE_NUMBER_ID": PHONE_NUMBER_ID,
        "WHATSAPP_ACCOUNT_ID": ACCOUNT_ID,
        "WHATSAPP_APP_SECRET": APP_SECRET,
        "WHATSAPP_VERIFY_TOKEN": VERIFY_TOKEN,
        "WHATSAPP_API_URL": server.url,
    }.items():
        monkeypatch.setenv(name, value)
    same = await asyncio.to_thread(run)
    assert same.exit_code == 0 and "templates: 0 differences" in same.stderr
    server.templates.pop()
    other = await asyncio.to_thread(run)
    assert other.exit_code == 1 and "reply_soon ar: not submitted" in other.stderr
    server.token = "another"
    refused = await asyncio.to_thread(run)
    assert isinstance(refused.exception, SettingsError) and TOKEN not in refused.stderr + refused.stdout
