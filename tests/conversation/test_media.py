"""Voice messages and pictures: handed to a person, cleaned, sealed, and gone when their time is over."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bot import i18n
from bot.conversation import inbox, media
from bot.conversation.guards import MOST_FILES
from bot.conversation.media import Keeper, Unusable, cleaned
from bot.db.session import Database
from bot.messages import LANGUAGES, Incoming, Kind, Language, Refused, Retryable, SendError
from bot.web import Service
from tests.conversation import oracles, sounds
from tests.conversation.conftest import rows, typed, until, value
from tests.conversation.letters import change
from tests.conversation.test_guards import over, said, tell
from tests.simulators.channel import FakeChannel
from tests.simulators.rasa import FakeRasa

SENT = sounds.ogg()
VOICE, _ = cleaned("voice", SENT)
Worker = tuple[Service, FakeRasa]


NESTED = b"".join((8 * (2000 - depth) + 8).to_bytes(4, "big") + b"moov" for depth in range(2000)) + bytes(8)


def picture(format_: str = "JPEG", size: tuple[int, int] = (64, 32)) -> bytes:
    """A picture that says where and when it was taken, and lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter
    exif[0x010F] = "CANARYPHONE"
    exif[0x9003] = "2026:11:22 09:00:00"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (34.0, 1.0, 13.0)
    written = io.BytesIO()
    given: dict[str, Any] = {"exif": exif} | ({"comment": b"CANARYCOMMENT"} if format_ == "JPEG" else {})
    Image.new("RGB", size, "red").save(written, format_, **given)
    return written.getvalue()


def large() -> bytes:
    """A few kilobytes that unpack into a hundred million and more."""
    written = io.BytesIO()
    Image.new("L", (6_000, 5_000)).save(written, "PNG", compress_level=1)
    return written.getvalue()


def sent(kind: str, file_id: str = "f1", channel: str = "web", hint: str = "fr", **given: Any) -> Incoming:
    """Somebody sends this."""
    details = {"media": kind, "file_id": file_id}
    address = typed("x").address
    return Incoming(channel, str(uuid.uuid4()), address, Kind.MEDIA, language_hint=hint, details=details, **given)


@pytest.fixture
def fetching(worker: Worker) -> FakeChannel:
    """The web chat's place taken by a platform that keeps files."""
    platform = FakeChannel("web", files={"f1": SENT, "p1": picture()})
    worker[0].media.channels = {"web": platform}
    return platform


async def kept(database: Database, count: int = 1) -> list[Any]:
    """The media, when nothing is pending any more."""
    await until(lambda: value(database, "SELECT count(*) = :n FROM media WHERE status <> 'pending'", n=count))
    return await rows(database, "SELECT m.*, p.key FROM media m JOIN person p ON p.id = m.person_id ORDER BY m.id")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_voice_message_is_acknowledged_and_handed_over(
    worker: Worker, fetching: FakeChannel, database: Database, language: Language
) -> None:
    """In the person's language, with the number of the handoff; the content sealed with the person's key."""
    await tell(database, sent("voice", hint=language))
    [row] = await kept(database)
    reference = await value(database, "SELECT reference FROM handoff WHERE reason = 'media'")
    assert reference in (await said(database))[0]
    assert (await said(database))[0][:20] == i18n.say("handoff.media", language)[:20]
    assert (row.status, row.mime, row.size, row.sha256) == (
        "kept",
        "audio/ogg",
        len(VOICE),
        hashlib.sha256(VOICE).digest(),
    )
    assert VOICE not in row.content_sealed and database.vault.open_bytes(row.key, row.content_sealed) == VOICE
    assert database.vault.open(row.key, row.details_sealed)["file_id"] == "f1"
    assert b"f1" not in row.details_sealed
    with pytest.raises(InvalidTag):
        database.vault.open_bytes(database.vault.new_key(), row.content_sealed)
    days = await value(database, "SELECT round(extract(epoch FROM expires_at - created_at) / 86400) FROM media")
    assert int(days) == worker[0].settings.rafiq_media_days == 30


async def test_twenty_voice_messages_page_one_person(worker: Worker, fetching: FakeChannel, database: Database) -> None:
    """One handoff while it waits; each is acknowledged and kept."""
    for _ in range(20):
        await tell(database, sent("voice"))
    assert {row.status for row in await kept(database, 20)} == {"kept"}
    assert await value(database, "SELECT count(*) FROM handoff") == 1
    assert len(await said(database)) == 20


@pytest.mark.parametrize(("kind", "number", "least"), [("voice", 80, MOST_FILES), ("photo", 30, 30)])
async def test_many_files_at_once_are_a_flood_and_kept(
    worker: Worker, fetching: FakeChannel, database: Database, kind: str, number: int, least: int
) -> None:
    """Thirty pictures of papers are all kept, however few are answered; eighty voice messages are not. One person of
    the team is asked for, and the sender is told once.
    """
    together = [sent(kind, {"voice": "f1", "photo": "p1"}[kind]) for _ in range(number)]
    await asyncio.gather(*(inbox.accept(database, together[start::5]) for start in range(5)))
    await until(lambda: over(database))
    files = await value(database, "SELECT count(*) FROM media")
    assert least <= files <= min(number, least + 15)  # whoever comes when it is over is answered as ever
    assert {row.status for row in await kept(database, files)} == {"kept"}
    assert await value(database, "SELECT count(*) FROM handoff") == 1
    assert (await said(database)).count(i18n.say("slow_down", "fr")) == 1
    assert len(await said(database)) < number
    assert await value(database, "SELECT count(*) FROM inbox") == number


async def test_an_album_is_kept_whole_and_answered_once(
    worker: Worker, fetching: FakeChannel, database: Database
) -> None:
    """Every picture of it; a cry under the last one is heard all the same; the next album is answered again."""

    def of(album: str, text: str = "") -> Incoming:
        one = sent("photo", "p1", text=text)
        return Incoming(**{**asdict(one), "details": {**one.details, "album": album}})

    await inbox.accept(database, [of("a"), of("a"), of("a")])
    await kept(database, 3)
    assert len(await said(database)) == 1 and await value(database, "SELECT count(*) FROM handoff") == 1
    await tell(database, of("a", "je veux mourir"))
    assert [row.reason for row in await rows(database, "SELECT reason FROM handoff ORDER BY id")] == [
        "media",
        "cue:suicidal",
    ]
    before = len(await said(database))
    await tell(database, of("b"))
    assert len(await said(database)) == before + 1
    assert {row.status for row in await kept(database, 5)} == {"kept"}


async def test_pictures_right_after_each_other_are_answered_once(
    worker: Worker, fetching: FakeChannel, database: Database
) -> None:
    """Where the platform knows no albums: all are kept; later ones, and voices, are answered again."""
    for _ in range(3):
        await tell(database, sent("photo", "p1"))
    assert len(await said(database)) == 1 and await value(database, "SELECT count(*) FROM handoff") == 1
    await tell(database, sent("voice"))
    await tell(database, sent("photo", "p1"))
    assert len(await said(database)) == 3
    await tell(database, sent("photo", "p1", text="mon passeport"))
    assert len(await said(database)) == 4
    await change(database, "UPDATE inbox SET received_at = received_at - interval '61 s'")
    await tell(database, sent("photo", "p1"))
    assert len(await said(database)) == 5
    assert {row.status for row in await kept(database, 7)} == {"kept"}
    assert not await oracles.never_silent(database)


async def test_a_picture_after_somebody_finished_is_answered(
    worker: Worker, fetching: FakeChannel, database: Database
) -> None:
    """However soon: nobody would look at it."""
    await tell(database, sent("photo", "p1"))
    await change(database, "UPDATE handoff SET status = 'released', look_at = NULL")
    await tell(database, sent("photo", "p1"))
    assert len(await said(database)) == 2
    assert await value(database, "SELECT count(*) FROM handoff WHERE status = 'waiting'") == 1


async def test_a_changed_caption_that_comes_before_its_picture(
    worker: Worker, fetching: FakeChannel, database: Database
) -> None:
    """It brings the picture with it, which is known when it comes; a word between two pictures changes nothing."""
    picture_ = sent("photo", "p1", text="ma crate")
    details = {**picture_.details, "original": picture_.external_id, "whole": True}
    edit = Incoming("web", "e1", picture_.address, Kind.EDITED, "ma carte", language_hint="fr", details=details)
    await inbox.accept(database, [edit])
    await kept(database)
    assert await inbox.accept(database, [picture_]) == [None]
    await tell(database, sent("photo", "p1"))
    assert {row.status for row in await kept(database, 2)} == {"kept"}
    assert len(await said(database)) == 1
    [row] = await rows(database, "SELECT content_sealed, key FROM inbox, person WHERE inbox.kind = 'media' LIMIT 1")
    assert database.vault.open(row.key, row.content_sealed)["text"] == "ma carte"
    assert await value(database, "SELECT count(*) FROM inbox WHERE kind = 'edited' AND content_sealed IS NULL") == 1


async def test_a_cry_under_a_picture_is_read(worker: Worker, fetching: FakeChannel, database: Database) -> None:
    """Safety reads captions; the picture is kept all the same."""
    await tell(database, sent("photo", "p1", text="je veux mourir"))
    await kept(database)
    assert [row.reason for row in await rows(database, "SELECT reason FROM handoff")] == ["cue:suicidal"]


async def test_a_video_is_not_fetched(worker: Worker, fetching: FakeChannel, database: Database) -> None:
    """Its id is kept for the person of the team, nothing of it."""
    await tell(database, sent("video", "unknown"))
    [row] = await kept(database)
    assert (row.status, row.error, row.content_sealed) == ("refused", "kind", None)
    assert await value(database, "SELECT count(*) FROM handoff") == 1


async def test_a_sticker_is_no_message_for_a_person(worker: Worker, fetching: FakeChannel, database: Database) -> None:
    """It is answered; nobody is called for it."""
    await tell(database, sent("sticker"))
    assert await said(database) == [i18n.say("media", "fr")]
    assert (
        await value(database, "SELECT count(*) FROM handoff")
        == await value(database, "SELECT count(*) FROM media")
        == 0
    )


@pytest.mark.parametrize(
    ("answers", "status", "error"),
    [
        ([Retryable("500"), SENT], "kept", None),
        ([Refused("gone")], "lost", "Refused"),
        ([b"MZ" + bytes(100)], "refused", "type"),
        ([b"OggS" + bytes(media.LARGEST)], "refused", "size"),
    ],
    ids=["comes later", "gone", "no sound", "too large"],
)
async def test_what_becomes_of_a_download(
    worker: Worker, database: Database, answers: list[bytes | SendError], status: str, error: str | None
) -> None:
    """Tried again where that helps; what is no sound or picture, or too large, is not kept."""
    platform = FakeChannel("web")

    class Files(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return answers.pop(0)

        def __iter__(self) -> Any:
            return iter(())

        def __len__(self) -> int:
            return 0

    platform.files = Files()
    worker[0].media.channels = {"web": platform}
    await tell(database, sent("voice"))
    [row] = await kept(database)
    assert (row.status, row.error, row.content_sealed is not None) == (status, error, status == "kept")


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_a_picture_says_nothing_but_its_pixels(format_: str) -> None:
    """No place, no date, no camera, no comment; the right way up."""
    content, mime = cleaned("photo", picture(format_))
    assert mime == "image/jpeg"
    with Image.open(io.BytesIO(content)) as clean:
        assert clean.size == (32, 64)
        assert not clean.getexif() and "comment" not in clean.info and "exif" not in clean.info
    assert b"CANARY" not in content and b"Exif" not in content


@pytest.mark.parametrize(
    ("content", "type_", "same"),
    [
        (sounds.ogg(), "audio/ogg", True),
        (sounds.ogg(b"", b"\x03vorbis"), "audio/ogg", True),
        (sounds.ogg() + b"TAG" + sounds.CANARY, "audio/ogg", False),
        (sounds.mp4(), "audio/mp4", True),
        (sounds.mp3(), "audio/mpeg", False),
        (b"\xff\xf1" + sounds.FRAMES + b"TAG" + sounds.CANARY.ljust(125), "audio/aac", False),
        (b"#!AMR\n" + sounds.FRAMES, "audio/amr", True),
    ],
    ids=["opus", "vorbis", "opus and a tag", "mp4", "mp3", "aac", "amr"],
)
def test_a_sound_says_nothing_but_its_sound(content: bytes, type_: str, same: bool) -> None:
    """No title, no name, no place, no time; every frame where it was, and what holds them still sound."""
    clean, mime = cleaned("voice", content)
    assert mime == type_ and sounds.FRAMES[:764] in clean
    assert b"CANARY" not in clean and b"Anna" not in clean and b"\xe0\0\0\1" not in clean
    assert (len(clean) == len(content)) is same and cleaned("voice", clean) == (clean, mime)
    if mime == "audio/ogg":
        pages = [b"OggS" + one for one in clean.split(b"OggS")[1:]]
        assert [int.from_bytes(page[22:26], "little") for page in pages] == [sounds.checksum(page) for page in pages]
    if mime == "audio/mp4":
        assert clean.index(b"mdat") == content.index(b"mdat")


def test_the_end_of_a_voice_message_may_be_missing() -> None:
    """It was cut on its way: what came is kept."""
    clean, _ = cleaned("voice", sounds.ogg()[:-100])
    assert b"CANARY" not in clean and len(clean) == len(sounds.ogg()) - 100


@given(st.sampled_from([sounds.ogg(), sounds.mp4(), sounds.mp3()]), st.data())
def test_what_is_broken_is_refused_or_clean(content: bytes, data: st.DataObject) -> None:
    """Whatever stands in it: no other error, and never a stall."""
    broken = bytearray(content)
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        broken[at] = data.draw(st.integers(0, 255))
    with suppress(Unusable):
        cleaned("voice", bytes(broken[: data.draw(st.integers(0, len(content)))]))


@pytest.mark.parametrize(
    "content",
    [b"", b"OggS", b"OggS" + bytes(200), b"\0\0\0\x0cftypM4A " + NESTED, b"ID3", b"GIF89a", SENT[:60]],
    ids=["nothing", "a beginning", "no comment", "nested", "a tag", "gif", "no comment yet"],
)
def test_what_is_no_sound_is_refused(content: bytes) -> None:
    """What cannot be cleaned is not kept."""
    with pytest.raises(Unusable):
        cleaned("voice", content)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff", picture()[:200], b"GIF89a" + bytes(50), b"<svg/>", picture("PNG", (10_000, 6_000)), large()],
    ids=["nothing", "a beginning", "half", "gif", "svg", "bomb", "large"],
)  # fmt: skip
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    """Whatever it says it is; and what would unpack into too many pixels."""
    with pytest.raises(Unusable):
        cleaned("photo", content)


async def test_pictures_are_drawn_one_after_the_other(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes hundreds of megabytes while it is drawn."""
    at_once, most = 0, 0

    def slow(kind: str, content: bytes) -> tuple[bytes, str]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.05)
        at_once -= 1
        return content, "image/jpeg"

    monkeypatch.setattr(media, "cleaned", slow)
    keeper = media.Keeper(database, {"web": FakeChannel("web", files={"p1": picture()})})
    key = database.vault.new_key()
    row = SimpleNamespace(channel="web", kind="photo", attempts=0, key=key)
    done = await asyncio.gather(*(keeper._fetched(row, {"file_id": "p1"}) for _ in range(3)))
    assert [one["status"] for one in done] == ["kept"] * 3 and most == 1


async def test_its_time_is_over(worker: Worker, fetching: FakeChannel, database: Database) -> None:
    """Retention deletes the row with all that is in it, and nothing before its time."""
    await tell(database, sent("voice"))
    await tell(database, sent("photo", "p1"))
    await kept(database, 2)
    keeper = Keeper(database, {})
    assert await keeper.expire() == 0
    await change(database, "UPDATE media SET expires_at = now() WHERE kind = 'voice'")
    assert await keeper.expire() == 1
    assert [row.kind for row in await rows(database, "SELECT kind FROM media")] == ["photo"]


async def test_erasing_and_taking_back_reach_it(worker: Worker, fetching: FakeChannel, database: Database) -> None:
    """A revoked picture goes; erasing the person takes everything."""
    first, second = sent("photo", "p1"), sent("voice")
    await tell(database, first)
    await tell(database, second)
    await kept(database, 2)
    await inbox.accept(
        database, [Incoming("web", "r", first.address, Kind.REVOKED, details={"original": first.external_id})]
    )
    assert [row.kind for row in await rows(database, "SELECT kind FROM media")] == ["voice"]
    await tell(database, typed("supprimer"))
    worker[1].behave = worker[1].greet
    async with database.session() as session:
        from bot.db.models import IssuedButton

        conversation = await value(database, "SELECT id FROM conversation")
        session.add(
            IssuedButton(id="erase", conversation_id=conversation, position=1, title="x", action={"do": "erase", "with": {}},
                         expires_at=await value(database, "SELECT now() + interval '1 day'"))
        )  # fmt: skip
        await session.commit()
    await tell(database, Incoming("web", "p", first.address, Kind.PRESS, press="erase"))
    assert await value(database, "SELECT count(*) FROM media") == 0


async def test_two_keepers_fetch_once(database: Database, worker: Worker) -> None:
    """Whoever holds the lock fetches; the other finds it done."""
    platform = FakeChannel("web", files={"f1": VOICE})
    worker[0].media.channels = {}
    await worker[0].lanes.stop()
    await inbox.accept(database, [sent("voice")])
    await worker[0].turns.work(1)
    assert await over(database)
    keepers = [Keeper(database, {"web": platform}) for _ in range(2)]
    [media_id] = await keepers[0].due()
    await keepers[0].work(media_id)
    await keepers[1].work(media_id)
    [row] = await kept(database)
    assert (row.status, row.attempts) == ("kept", 1)


async def test_a_process_without_the_channel_leaves_it_to_others(database: Database, worker: Worker) -> None:
    """It is not lost: who has the channel fetches it."""
    await worker[0].lanes.stop()
    await inbox.accept(database, [sent("voice")])
    await worker[0].turns.work(1)
    without, owner = Keeper(database, {}), Keeper(database, {"web": FakeChannel("web", files={"f1": VOICE})})
    [media_id] = await owner.due()
    assert await without.due() == []
    await without.work(media_id)  # woken by the turn's call all the same
    assert await value(database, "SELECT status FROM media") == "pending"
    await owner.work(media_id)
    [row] = await kept(database)
    assert (row.status, row.attempts) == ("kept", 1)
