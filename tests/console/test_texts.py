"""The team changes what the assistant says: checked, heard by every process, with history and a way back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from babel.messages.pofile import read_po
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect

from bot import i18n, texts
from bot.assistant import knowledge
from bot.console.access import Role
from bot.conversation import wording
from bot.conversation.wording import Wording
from bot.db.session import Database, Lane
from bot.jobs import Lanes, Worker
from bot.messages import LANGUAGES, Language
from bot.settings import Settings
from bot.supervisor import free_port
from bot.training import Models
from tests.channels.test_web_chat_page import browser  # noqa: F401 (a fixture)
from tests.console.conftest import Browser, Team, change, value
from tests.console.test_console_page import console_url, page, picture, sign_in  # noqa: F401 (fixtures)
from tests.conversation.conftest import Process, until
from tests.simulators.rasa import FakeRasa

GREETING = "Bonjour et bienvenue chez Rafiq, nouvelle version."
ANSWER = "topic.iom_what_is.answer"


@pytest.fixture(autouse=True)
def as_the_project_says() -> Iterator[None]:
    """What one test publishes, no other one reads."""
    yield
    i18n.publish({})


async def publish(member: Browser, text_id: str, text: str, language: Language = "fr", follows: int = 0) -> int:
    """Publish as the page does; the answer's status."""
    form = {"language": language, "text": text, "follows": str(follows)}
    return (await member.post(f"/console/texts/{text_id}", **form)).status_code


async def test_a_published_text_is_heard_and_undone(team: Team, database: Database, database_url: str) -> None:
    """By a process that listens, at once and without a query for a text; the history tells who and when."""
    boss = await team.at_work(Role.SUPERVISOR, name="Mona")
    reader = Wording(database)
    lanes = Lanes(database, database_url)
    lanes.add(Lane.TEXTS, Worker(reader.read, 1), reader.due)
    await lanes.start()
    project = i18n.say("greet", "fr")

    async def said(text: str) -> bool:
        return i18n.say("greet", "fr") == text

    try:
        assert await publish(boss, "greet", GREETING) == 303
        await until(lambda: said(GREETING))
        assert i18n.say("greet", "en") == i18n.project_text("greet", "en")
        assert {GREETING, project} <= set(i18n.every_language("greet"))  # both are recognised when they are typed
        shown = (await boss.get("/console/texts/greet")).text
        assert GREETING in shown and "Mona" in shown
        assert (
            await boss.post("/console/texts/greet/restore", language="fr", follows="1", version="")
        ).status_code == 303
        await until(lambda: said(project))
        assert (
            await boss.post("/console/texts/greet/restore", language="fr", follows="2", version="1")
        ).status_code == 303
        await until(lambda: said(GREETING))
    finally:
        await lanes.stop()
    told = "SELECT string_agg(action || ' ' || target || ' ' || (detail ->> 'language'), ', ' ORDER BY id) FROM audit"
    assert await value(database, f"{told} WHERE action LIKE 'text.%'") == (
        "text.published greet fr, text.restored greet fr, text.restored greet fr"
    )


async def test_a_lost_wake_up_call_is_found_by_the_sweep(team: Team, database: Database) -> None:
    """A process that heard nothing sees that there is something to read, once."""
    reader = Wording(database)
    await reader.read()
    assert await reader.due() == []
    assert await publish(await team.at_work(Role.COORDINATOR), "greet", GREETING) == 303
    assert await reader.due() != []
    await reader.read()
    assert await reader.due() == [] and i18n.say("greet", "fr") == GREETING


@pytest.mark.parametrize("reads", LANGUAGES)
async def test_what_is_wrong_is_refused_in_the_editors_language(
    team: Team, database: Database, reads: Language
) -> None:
    """The checks of `make check`, one by one; nothing is published, and what was typed is still there."""
    boss = await team.at_work(Role.SUPERVISOR)
    cases: list[tuple[str, str, str, dict[str, object]]] = [
        ("greet", "  ", "empty", {}),
        ("greet", "Bonjour {name}", "placeholders", {"wanted": "–"}),
        ("handoff.claimed", "Quelqu'un est là", "placeholders", {"wanted": "{name} {when}"}),
        ("greet", "Bonjour {", "braces", {}),
        ("greet", "Bonjour \u202egnp", "signs", {}),
        ("button.help", "x" * 21, "long", {"number": 21, "most": 20}),
        ("topic.iom_what_is.title", "x" * 21, "long", {"number": 21, "most": 20}),
        ("topic.iom_what_is.question", "x" * 73, "long", {"number": 73, "most": 72}),
        (ANSWER, "L'aide est de 4 321 euros.", "figure", {"figure": "4 321"}),
        (ANSWER, "Le numéro : ٠٦٧٧٨٨٩٩٠٠", "figure", {"figure": "0677889900"}),
        (ANSWER, "Écrivez à aide@example.org", "email", {"email": "aide@example.org"}),
        (ANSWER, "Demandez à Naji F. lui-même.", "name", {"name": "Naji F."}),
    ]
    for text_id, text, why, values in cases:
        answer = await boss.post(
            f"/console/texts/{text_id}?lang={reads}", language="fr", text=text, follows="0"
        )  # fmt: skip
        assert answer.status_code == 400, (text_id, text)
        assert texts.Wrong(why, values).sentence(reads).replace("'", "&#39;") in answer.text, (text_id, text)
        assert text.strip() in answer.text.replace("&#39;", "'")
    long = i18n.say(ANSWER, "fr")
    while len(knowledge.with_source(long, knowledge.topics()["iom_what_is"], "fr")) <= texts.MESSAGE:
        long += " et l'OIM"
    assert len(long) < texts.MESSAGE and await publish(boss, ANSWER, long) == 400  # its source needs room too
    assert await value(database, "SELECT count(*) FROM text_version") == 0


async def test_who_was_slower_is_told(team: Team, database: Database) -> None:
    """Two write at the same time: the second reads what the first one published, and their own words."""
    boss = await team.at_work(Role.SUPERVISOR)
    assert await publish(boss, "greet", GREETING) == 303
    answer = await boss.post("/console/texts/greet", language="fr", text="Bonjour autrement", follows="0")
    assert answer.status_code == 409 and "Bonjour autrement" in answer.text
    assert i18n.say("console.texts.faster", "en") in answer.text
    assert await publish(boss, "greet", "Bonjour autrement", follows=77) == 409
    assert await value(database, "SELECT count(*) FROM text_version") == 1


async def test_a_text_meets_the_project_again(team: Team, database: Database) -> None:
    """Equal to the catalogue: no override any more. The catalogue changed too: shown, and the team's is still said."""
    boss = await team.at_work(Role.SUPERVISOR)
    await publish(boss, "greet", GREETING)
    await publish(boss, "goodbye", "À bientôt, {name} !".replace("{name}", "vous"))
    mark = i18n.say("console.texts.overtaken", "en")
    assert mark not in (await boss.get("/console/texts/greet")).text
    await change(database, "UPDATE text_version SET project = 'as it was' WHERE text_id = 'greet'")
    await change(
        database,
        "UPDATE text_version SET text = :own WHERE text_id = 'goodbye'",
        own=i18n.project_text("goodbye", "fr"),
    )
    assert mark in (await boss.get("/console/texts/greet")).text
    async with database.session() as session:
        [one] = await wording.published(session)
    assert (one.text_id, one.overtaken, one.said) == ("greet", True, True)
    listed = (await boss.get("/console/texts?state=both")).text
    assert "/console/texts/greet" in listed and "/console/texts/goodbye" not in listed


async def test_a_placeholder_that_the_project_renamed_breaks_no_turn(team: Team, database: Database) -> None:
    """Such a text is not said, and stands among what lacks something."""
    boss = await team.at_work(Role.SUPERVISOR)
    await publish(boss, "greet", GREETING)
    await change(database, "UPDATE text_version SET text = 'Bonjour {old}'")
    await Wording(database).read()
    assert i18n.say("greet", "fr") == i18n.project_text("greet", "fr")
    assert "/console/texts/greet" in (await boss.get("/console/texts?state=lacks")).text
    assert i18n.say("console.texts.unfit.what", "en") in (await boss.get("/console/texts/greet")).text


async def test_an_export_changes_what_was_published_alone(team: Team, database: Database, tmp_path: Path) -> None:
    """The .po files say it, and every other line is as it was."""
    boss = await team.at_work(Role.SUPERVISOR)
    text = 'Bonjour « vous » :\n"bienvenue" \\ ici ; ' + "mots " * 40 + "fin"
    assert await publish(boss, "greet", text) == 303
    async with database.session() as session:
        [path] = wording.export(await wording.published(session), tmp_path)
    written, own = path.read_text("utf-8"), (i18n.LOCALES / path.relative_to(tmp_path)).read_text("utf-8")
    with path.open("rb") as file:
        catalog = {message.id: message.string for message in read_po(file)}
    assert catalog["greet"] == text
    before, _, after = own.partition('msgid "greet"\n')
    assert written.startswith(before) and written.endswith(after.split("\n\n", 1)[1])


async def test_who_reads_and_what_never_changes_here(team: Team, database: Database) -> None:
    """A counsellor reads without a form; the words of a consent and of a poster change with the project alone."""
    reader, boss = await team.at_work(), await team.at_work(Role.COORDINATOR)
    page_of = "/console/texts/greet"
    assert "<textarea" not in (await reader.get(page_of)).text and "<textarea" in (await boss.get(page_of)).text
    for text_id in ("first_contact.consent", "point.hello", "profile.name"):
        shown = (await boss.get(f"/console/texts/{text_id}")).text
        assert "<textarea" not in shown and i18n.say("console.texts.fixed", "en") in shown
        assert await publish(boss, text_id, "Bonjour") == 404
    for wrong in ("console.inbox", "nothing", "console.inbox.count"):
        assert (await boss.get(f"/console/texts/{wrong}")).status_code == 404
    assert await value(database, "SELECT count(*) FROM text_version") == 0


async def test_the_list_finds(team: Team) -> None:
    """By words in any language without marks, by part, by topic; a page at a time, below 200 KB."""
    reader = await team.at_work()
    for words in ("WHAT IS IOM", "Allemagne", topic_word()):
        shown = (await reader.get("/console/texts", params={"q": words, "topic": "iom_what_is"})).text
        assert "/console/texts/topic.iom_what_is." in shown, words
    whole = await reader.get("/console/texts")
    assert "page=2" in whole.text and len(whole.content) < 150_000
    safety = (await reader.get("/console/texts?area=safety&page=999")).text
    assert "/console/texts/care." in safety or "/console/texts/emergency." in safety
    assert "/console/texts/topic." not in safety


def topic_word() -> str:
    """A long Arabic word of the answer, without its marks."""
    return max(i18n.say(ANSWER, "ar").split(), key=len)


@pytest_asyncio.fixture
async def chat_url(settings: Settings, models: Models, database_url: str) -> AsyncIterator[str]:
    """The web chat of a service in a process of its own, on the same database as the console."""
    port, rasa = free_port(), FakeRasa()
    given = settings.model_copy(update={"rafiq_rasa_port": port, "rafiq_rasa_timeout": 5.0})
    async with rasa.serving(port), Process(given, database_url) as process:
        yield process.settings.own_url
        process.kill()  # it would wait for the open chat
        await process.died()


@pytest.mark.parametrize("language", ["fr", "ar"])
async def test_a_text_is_edited_and_the_web_chat_says_it(
    page: Page,  # noqa: F811
    browser: Chromium,  # noqa: F811
    team: Team,
    database: Database,
    chat_url: str,
    tmp_path: Path,
    language: Language,
) -> None:
    """In Chromium: search, edit with the preview, refused, published, said by another process, undone."""
    boss = await team.member(Role.SUPERVISOR, name="منى" if language == "ar" else "Mona")
    text = "مرحبًا بكم، هذه كلمات جديدة." if language == "ar" else GREETING
    await sign_in(page, boss, language)
    await page.goto("/console/texts")
    await page.get_by_label(i18n.say("console.texts.search", language)).fill("greet")
    await page.get_by_role("button", name=i18n.say("console.texts.go", language)).click()
    await picture(page, tmp_path, f"texts-{language}")
    await page.get_by_role("link", name="greet", exact=True).click()

    written = page.locator(f"#text-{language}")
    button = page.get_by_role("button", name=i18n.say("console.texts.publish", language)).nth(LANGUAGES.index(language))
    shown = page.locator(f"#preview-{language}")
    await written.fill(text + " {name}")
    await expect(shown.locator(".error")).to_be_visible()  # while it is being written
    await expect(shown.locator(".phone")).to_contain_text("Awa")
    await written.fill(text)
    await expect(shown.locator(".error")).to_have_count(0)
    await expect(shown.locator(".phone")).to_have_attribute("dir", "rtl" if language == "ar" else "ltr")
    await picture(page, tmp_path, f"text-{language}")
    await button.click()
    await expect(page.locator(".done")).to_be_visible()
    wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    await page.set_viewport_size({"width": 1280, "height": 900})
    await picture(page, tmp_path, f"text-published-{language}")

    phone = await (await browser.new_context(locale=language)).new_page()
    phone.set_default_timeout(30_000)
    await phone.goto(chat_url)
    log, typed = phone.locator("#log"), phone.locator("#input")
    await typed.fill("bonjour" if language == "fr" else "السلام عليكم")
    await typed.press("Enter")
    await expect(log).to_contain_text(text, timeout=30_000)
    await page.get_by_role("button", name=i18n.say("console.texts.undo", language)).click()
    await expect(page.locator(".done")).to_be_visible()
    await typed.fill("bonsoir" if language == "fr" else "مساء الخير")
    await typed.press("Enter")
    await expect(log).to_contain_text((i18n.project_text("greet", language) or "").split("\n")[0], timeout=30_000)
    await phone.context.close()
