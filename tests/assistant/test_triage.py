"""The safety triage: what it must notice, what it must leave alone, and how fast."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.assistant.triage import RULES, Cue, Rules, Triage
from bot.training import Models

ROOT = Path(__file__).parents[2]
DEVELOPMENT = ROOT / "tests" / "understanding" / "cues.dev.tsv"
P0 = ("danger_now", "suicidal")

PLAIN = [
    ("danger_now", "Notre bateau coule, au secours"),
    ("danger_now", "Our boat is sinking, help"),
    ("danger_now", "القارب يغرق، النجدة"),
    ("danger_now", "flouka katghre9 3te9ouna"),
    ("suicidal", "Je veux mourir"),
    ("suicidal", "I want to kill myself"),
    ("suicidal", "أريد أن أموت"),
    ("suicidal", "بغيت نموت"),
    ("suicidal", "bghit nmout"),
    ("child_alone", "J'ai 15 ans et je suis seul ici"),
    ("child_alone", "I am 15 and I am alone here"),
    ("child_alone", "عندي 15 عام وأنا بوحدي"),
    ("staff_misconduct", "L'agent m'a demandé de l'argent"),
    ("staff_misconduct", "The officer asked me for money"),
    ("staff_misconduct", "الموظف طلب مني رشوة"),
    ("trafficking", "Mon patron a pris mon passeport et je travaille sans salaire"),
    ("trafficking", "My boss took my passport and I work without pay"),
    ("trafficking", "المشغل أخذ جواز سفري وأعمل بدون راتب"),
    ("violence", "Mon mari me frappe"),
    ("violence", "My husband beats me"),
    ("violence", "زوجي يضربني"),
    ("violence", "rajli kaydrebni"),
    ("detention", "La police a arrêté mon frère"),
    ("detention", "The police arrested my brother"),
    ("detention", "الشرطة اعتقلت أخي"),
    ("pressure", "On m'a forcé à signer le retour"),
    ("pressure", "They forced me to sign the return"),
    ("pressure", "بززو عليا نسني الرجوع"),
    ("fear_of_return", "J'ai peur de rentrer dans mon pays, ils vont me tuer"),
    ("fear_of_return", "I am afraid to go back, they will kill me"),
    ("fear_of_return", "أخاف أن أعود إلى بلدي بسبب الحرب"),
    ("medical_urgent", "Je suis enceinte et j'ai très mal au ventre"),
    ("medical_urgent", "My insulin is finished"),
    ("medical_urgent", "الدواء ديالي تسالا"),
]

HARMLESS = [
    "Bonjour",
    "Comment m'inscrire au retour volontaire ?",
    "Combien d'argent pour un projet ?",
    "Mort de rire, merci",
    "Personne ne m'a forcé",
    "Je n'ai pas peur de rentrer",
    "Mon rendez-vous est quand ?",
    "How do I register to go home?",
    "I am dead tired after work",
    "Nobody forced me, it is my choice",
    "Which documents do I need?",
    "I want to open a shop with my brother",
    "Thank you, your officer was kind",
    "كيف أسجل في برنامج العودة؟",
    "شكرا بزاف",
    "ميت بالضحك",
    "ما خايفش نرجع",
    "bghit nrje3 l bladi kifach ndir",
    "Je veux rentrer dans mon pays",
    "je veux rentrer chez moi",
    "I want to go back to my country",
    "i wan go back home",
    "أريد العودة إلى بلدي",
    "بغيت نرجع لبلادي",
    "j'habite derrière la gare bleue",
    "salam labas",
    "",
    "?",
    "👍",
]


@pytest.fixture(scope="session")
def rules_alone() -> Triage:
    """What works before anything has been trained."""
    return Triage.load(Path("there is no such file"))


@pytest.fixture(scope="session")
def whole(models: Models) -> Triage:
    """Rules and classifier, as in service."""
    return Triage.load(models.cues)


@pytest.mark.parametrize(("cue", "text"), PLAIN)
def test_rules_alone_catch_the_plainest_words(rules_alone: Triage, cue: str, text: str) -> None:
    """Without any weights, the plainest wording of each cue is noticed in each language."""
    assert rules_alone.read(text) == Cue(cue, "P0" if cue in P0 else "P1")


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_messages_stay_silent(rules_alone: Triage, text: str) -> None:
    """Idioms, thanks and questions about the programme raise nothing."""
    assert rules_alone.read(text) is None


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_messages_stay_silent_with_weights(whole: Triage, text: str) -> None:
    """Nor does the classifier raise anything there."""
    assert whole.read(text) is None


@pytest.mark.parametrize(("cue", "text"), PLAIN)
def test_the_weights_do_not_silence_plain_words(whole: Triage, cue: str, text: str) -> None:
    """What the rules notice, rules and classifier together notice too, though perhaps as a graver cue."""
    found = whole.read(text)
    assert found is not None
    assert found.priority == "P0" or cue not in P0


def test_the_gravest_cue_is_named(rules_alone: Triage) -> None:
    """P0 comes before P1 whatever the order of the words."""
    assert rules_alone.read("Mon mari me frappe. Je veux mourir.") == Cue("suicidal", "P0")
    assert rules_alone.read("Je veux mourir. Mon mari me frappe.") == Cue("suicidal", "P0")


def test_a_joke_cancels_only_its_own_clause(rules_alone: Triage) -> None:
    """« mort de rire » does not hide what stands beside it."""
    assert rules_alone.read("mort de rire, mais mon mari me frappe") == Cue("violence", "P1")


def test_a_cry_inside_a_long_story_is_heard(whole: Triage) -> None:
    """Both ends of a long text are read, piece by piece."""
    story = "Bonjour, je voudrais savoir quels documents il faut pour le programme. " * 30
    assert whole.read(story + "Je veux mourir.") == Cue("suicidal", "P0")
    assert whole.read("Je veux mourir. " + story) == Cue("suicidal", "P0")


def test_cues_are_those_of_the_rules_file() -> None:
    """Two cues are P0, the other eight P1, gravest first."""
    priorities = Rules.load(RULES).priorities
    assert [name for name, priority in priorities.items() if priority == "P0"] == list(P0)
    assert list(priorities)[:2] == list(P0)
    assert len(priorities) == 10


def test_an_unknown_list_of_words_is_an_error() -> None:
    """A slip in the file of patterns is noticed at start."""
    cue = {"priority": "P1", "strong": ["$nothing"], "cancel": []}
    with pytest.raises(ValueError, match="nothing"):
        Rules({"words": {"neg": "no"}, "cues": {"violence": cue}, "frames": []})


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=400))
def test_never_raises(whole: Triage, text: str) -> None:
    """Whatever people send, reading it gives a cue or None."""
    assert isinstance(whole.read(text), Cue | None)


@settings(max_examples=200, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(
            [
                "mort",
                "tuer",
                "pas",
                "ma",
                "ما",
                "...",
                ".",
                ",",
                "15",
                "ans",
                "🆘",
                "نموت",
                "\ud800",
                "\u200f",
                "aaa",
                "seul",
            ]
        ),
        max_size=120,
    )
)
def test_never_raises_on_words_that_matter(whole: Triage, words: list[str]) -> None:
    """Nor on any mixture of the words that the patterns look at."""
    assert isinstance(whole.read(" ".join(words)), Cue | None)


@pytest.mark.parametrize(
    "text",
    ["mon mari me frappe " * 600, "a" * 10_000, "قتل" * 3_400, "mort. " * 1_700, "je veux pas vivre, " * 500],
)
def test_long_texts_are_fast(whole: Triage, text: str) -> None:
    """10,000 characters take less than 20 ms, even made to be slow."""
    triage = whole
    assert _fastest(triage, text) < 0.020


def test_ordinary_texts_are_fast(whole: Triage) -> None:
    """A typical message takes less than a millisecond."""
    triage = whole
    texts = [line.split("\t")[3] for line in DEVELOPMENT.read_text(encoding="utf-8").splitlines()]
    times = sorted(_fastest(triage, text) for text in texts[::10])
    assert times[len(times) // 2] < 0.001


def _fastest(triage: Triage, text: str) -> float:
    """Seconds of the fastest of five readings: the machine is shared."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        triage.read(text)
        times.append(time.perf_counter() - began)
    return min(times)
