"""People ask; the assistant answers from its texts, in their language, and never invents."""

from __future__ import annotations

import pytest

from bot import i18n
from bot.assistant import knowledge
from bot.db.session import Database
from bot.journeys import learning
from bot.messages import LANGUAGES, Language
from bot.settings import Settings
from bot.web import Service
from tests.journeys.talk import Talk

ASKED = {
    "avrr_what_is": ("c'est quoi le programme de retour volontaire ?", "what is the voluntary return programme?", "ما هو برنامج العودة الطوعية؟"),
    "avrr_is_voluntary": ("est-ce qu'on peut me forcer à rentrer ?", "can anyone force me to go back?", "هل يمكن لأحد أن يجبرني على العودة؟"),
    "is_it_guaranteed": ("est-ce que je suis sûr d'être accepté ?", "is it guaranteed that I will be accepted?", "هل القبول مضمون؟"),
    "is_it_free": ("c'est gratuit ou il faut payer quelque chose ?", "is it free or do I have to pay?", "هل الخدمة مجانية أم يجب أن أدفع؟"),
    "allocation_amount": ("combien d'argent vous donnez ?", "how much money will I get?", "كم المبلغ الذي سأحصل عليه؟"),
    "step_travel_document": ("je n'ai pas de passeport, comment faire ?", "I have no passport, what can I do?", "ليس لدي جواز سفر ماذا أفعل؟"),
    "contact_iom_morocco": ("quel est le numéro de l'OIM à Rabat ?", "what is the phone number of IOM in Rabat?", "ما هو رقم هاتف المنظمة الدولية للهجرة في الرباط؟"),
    "scam_warning": ("un homme me demande de l'argent pour l'inscription", "a man asks me money to register with IOM", "شخص يطلب مني المال للتسجيل"),
}  # fmt: skip


@pytest.mark.parametrize("topic", ASKED)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_question_gets_its_vetted_answer(
    service: Service, settings: Settings, topic: str, language: Language
) -> None:
    """The first sentence of the answer, its source line, two or three next questions as buttons."""
    talk = Talk(settings)
    said = await talk.say(ASKED[topic][LANGUAGES.index(language)])
    assert said == knowledge.answer(topic, language)
    assert talk.spoken == language
    assert 2 <= len(talk.buttons) <= 4


@pytest.mark.parametrize(
    ("typed", "language"),
    [
        ("slt c koi le retour volontaire svp", "fr"),
        ("abeg wetin be this voluntary return programme", "en"),
        ("slm chno huwa lbarnamaj dyal ro9o3 tawei", "ar"),
    ],
)
async def test_the_language_people_write_is_the_language_of_the_answer(
    service: Service, settings: Settings, typed: str, language: Language
) -> None:
    """SMS French, Pidgin and Arabizi are answered in French, English and Arabic."""
    talk = Talk(settings)
    await talk.say(typed)
    assert talk.spoken == language


async def test_a_chosen_language_stays_until_another_is_asked_for(service: Service, settings: Settings) -> None:
    """Chosen by button, it survives a message in another language; « English please » changes it."""
    talk = Talk(settings)
    await talk.start()
    await talk.press("العربية")
    assert talk.spoken == "ar"
    await talk.say("combien d'argent vous donnez ?")
    assert talk.spoken == "ar"
    await talk.say("English please")
    assert talk.spoken == "en"
    await talk.say("بالعربية")
    assert talk.spoken == "ar"


async def test_ok_never_changes_the_language(service: Service, settings: Settings) -> None:
    """A word that everybody uses says nothing about the language."""
    talk = Talk(settings)
    await talk.say("ما هو برنامج العودة الطوعية؟")
    for word in ("ok", "merci", "salam", "ok merci"):
        await talk.say(word)
        assert talk.spoken == "ar", word


@pytest.mark.parametrize(
    ("typed", "language"),
    [
        ("C'est gratuit ? Et combien de temps ça prend ?", "fr"),
        ("Is it free and how long does it take", "en"),
        ("هل البرنامج مجاني؟ وكم من الوقت يستغرق؟", "ar"),
    ],
)
async def test_two_questions_in_one_message(
    service: Service, settings: Settings, typed: str, language: Language
) -> None:
    """The first is answered, the second is offered as the first button, and its answer follows."""
    talk = Talk(settings)
    said = await talk.say(typed)
    assert said.startswith(knowledge.answer("is_it_free", language))
    assert talk.buttons[0] == knowledge.title("how_long", language)
    assert await talk.press(talk.buttons[0]) == knowledge.answer("how_long", language)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_nonsense_gets_choices_and_then_a_person(
    service: Service, settings: Settings, language: Language
) -> None:
    """Not understood: choices; a second time in a row: a person is asked for."""
    talk = Talk(settings, language=language)
    await talk.start()
    await talk.say("xqzv blorptak fnurgle wexil")
    assert talk.buttons
    said = await talk.say("zzkt prlmq vvrrx jjwq")
    assert talk.buttons or "H-" in said


async def test_a_pressed_suggestion_is_an_example_if_its_writer_agrees(
    service: Service, settings: Settings, database: Database
) -> None:
    """Noted at the press without the words; the words only after a yes, and asked for once."""
    talk = Talk(settings, language="fr")
    await talk.start()
    words = "euh pour le machin là"
    await talk.say(words)
    assert talk.buttons[-1] == i18n.say("button.none_of_these", "fr")
    label = talk.buttons[0]
    said = await talk.press(label)
    assert i18n.say("learning.ask", "fr") in said
    assert [example async for example in learning.export(database)] == []
    await talk.press(i18n.say("button.keep_words", "fr"))
    [example] = [example async for example in learning.export(database)]
    assert example["text"] == words
    assert knowledge.title(example["label"], "fr") == label
    assert example["label"] in example["offered"]
    said = await talk.say("mes données")
    assert i18n.say("my_data.sentences", "fr", number=1) in said
    assert i18n.say("my_data.consent", "fr") not in said
    await talk.press(i18n.say("button.delete_my_data", "fr"))
    await talk.press(i18n.say("button.delete_yes", "fr"))
    assert [example async for example in learning.export(database)] == []


async def test_who_does_not_agree_is_not_asked_again(service: Service, settings: Settings, database: Database) -> None:
    """Passed over once, the question for the words does not come back, and no words are kept."""
    talk = Talk(settings, language="fr")
    await talk.start()
    asked = []
    for _ in range(2):
        await talk.say("euh pour le machin là")
        assert talk.buttons[-1] == i18n.say("button.none_of_these", "fr")
        asked.append(i18n.say("learning.ask", "fr") in await talk.press(talk.buttons[0]))
    assert asked == [True, False]
    assert [example async for example in learning.export(database)] == []


async def test_every_answer_can_be_asked_for_by_its_button(service: Service, settings: Settings) -> None:
    """Buttons lead from answer to answer, and each message fits one bubble."""
    talk = Talk(settings, language="fr")
    await talk.say("c'est quoi le programme de retour volontaire ?")
    for _ in range(6):
        said = await talk.press(talk.buttons[0])
        assert said and len(said) <= 1024


async def test_the_opening_says_who_speaks(service: Service, settings: Settings) -> None:
    """An assistant and no person, no money asked, three languages as buttons."""
    talk = Talk(settings, language="en")
    said = await talk.start()
    assert said == i18n.say("welcome", "en")
    assert "not a person" in said and "money" in said
    assert talk.buttons == ["Français", "English", "العربية"]
