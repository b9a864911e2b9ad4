"""Voices without what they say about themselves; the sound stays the same to the byte."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.conversation import sounds
from bot.conversation.media import LARGEST, Unusable, cleaned

CANARY = b"canary: 34.02N 6.83W, Awa's telephone, 2026-11-22"
SOUND = b"\xff\xfb" + bytes(range(256)) * 4


def box(kind: bytes, content: bytes, wide: bool = False) -> bytes:
    """A box of MP4."""
    size = len(content) + 8
    return struct.pack(">I4sQ", 1, kind, size + 8) + content if wide else struct.pack(">I4s", size, kind) + content


def page(number: int, sizes: list[int], content: bytes) -> bytes:
    """A page of an Ogg stream."""
    head = b"OggS\0\0" + bytes(8) + b"seri" + struct.pack("<I", number)
    rest = bytes([len(sizes), *sizes]) + content
    return head + struct.pack("<I", checksum(head + bytes(4) + rest)) + rest


def opus(comment: bytes) -> bytes:
    """A voice message with this comment, over as many pages as it needs."""
    packet = b"OpusTags" + struct.pack("<I", 4) + b"lavf" + struct.pack("<II", 1, len(comment)) + comment
    sizes = [255] * (len(packet) // 255) + [len(packet) % 255]
    pages = [page(0, [19], b"OpusHead" + bytes(11))]
    for start in range(0, len(sizes), 255):
        these = sizes[start : start + 255]
        pages.append(page(len(pages), these, packet[start * 255 : start * 255 + sum(these)]))
    return b"".join([*pages, page(len(pages), [200, 3], SOUND[:203])])


def checksum(content: bytes) -> int:
    """Ogg's CRC, bit by bit (poly 04C11DB7, from zero, not reflected, not inverted)."""
    found = 0
    for byte in content:
        found ^= byte << 24
        for _ in range(8):
            found = (found << 1 ^ (0x04C11DB7 if found & 0x80000000 else 0)) & 0xFFFFFFFF
    return found


def test_the_checksum_is_that_of_ogg() -> None:
    """The published check value of this CRC."""
    assert checksum(b"123456789") == 0x89A1897F


@pytest.mark.parametrize("comment", [CANARY, CANARY * 2000])
def test_an_ogg_has_no_comments_left(comment: bytes) -> None:
    """Each page is as long as before and right by its checksum; what is no comment is untouched."""
    before = opus(comment)
    after, mime = cleaned("voice", before)
    assert mime == "audio/ogg" and len(after) == len(before)
    assert b"canary" not in after and b"lavf" not in after
    assert after.endswith(SOUND[:203]) and after.startswith(before[:28])
    at = 0
    while at < len(after):
        assert after[at : at + 4] == b"OggS"
        end = at + 27 + after[at + 26] + sum(after[at + 27 : at + 27 + after[at + 26]])
        told = int.from_bytes(after[at + 22 : at + 26], "little")
        assert checksum(after[at : at + 22] + bytes(4) + after[at + 26 : end]) == told
        at = end


@pytest.mark.parametrize("wide", [False, True])
def test_an_mp4_has_no_titles_places_or_times_left(wide: bool) -> None:
    """At every depth; what the other boxes point to stays where it was."""
    times = bytes(4) + struct.pack(">II", 3_900_000_000, 3_900_000_001)
    track = (
        box(b"tkhd", times + b"track" + bytes(20))
        + box(b"udta", CANARY)
        + box(b"mdia", box(b"mdhd", times + bytes(12)))
    )
    moov = (
        box(b"mvhd", times + b"rate" + bytes(20)) + box(b"trak", track, wide) + box(b"udta", box(b"meta", CANARY), wide)
    )
    before = box(b"ftyp", b"M4A \0\0\0\0") + box(b"moov", moov) + box(b"uuid", CANARY) + box(b"mdat", SOUND, wide)
    after, mime = cleaned("audio", before)
    assert mime == "audio/mp4" and len(after) == len(before)
    assert b"canary" not in after and struct.pack(">I", 3_900_000_000) not in after
    assert after.index(SOUND) == before.index(SOUND) and b"track" in after and b"rate" in after


def test_an_mp3_has_no_tags_left() -> None:
    """At the beginning, with a footer or without, one after the other; and at the end."""
    tag = b"ID3\4\0\0\0\0\0" + bytes([len(CANARY)]) + CANARY
    footed = b"ID3\4\0\x10\0\0\0" + bytes([len(CANARY)]) + CANARY + b"3DI\4\0\x10\0\0\0" + bytes([len(CANARY)])
    last = (b"TAG" + CANARY).ljust(128, b"\0")
    assert cleaned("audio", tag + footed + SOUND + last) == (SOUND, "audio/mpeg")
    assert cleaned("audio", tag + b"\xff\xf1" + SOUND) == (b"\xff\xf1" + SOUND, "audio/aac")


@given(st.binary(max_size=400), st.sampled_from([b"OggS", b"ID3", b"\0\0\0\x08ftyp", b"\0\0\0\x08moov"]))
def test_nonsense_stays_harmless(content: bytes, beginning: bytes) -> None:
    """It is refused, or does not grow."""
    with suppress(sounds.NoSound):
        assert len(sounds.cleaned(beginning + content)[0]) <= len(beginning + content)


def test_boxes_in_boxes_without_end_are_no_trouble() -> None:
    """As large as anybody may send: refused."""
    nested = b"".join(struct.pack(">I4s", LARGEST - 8 * depth, b"moov") for depth in range(2, 50_000))
    hostile = (box(b"ftyp", b"M4A ") + nested).ljust(LARGEST, b"\0")
    with pytest.raises(Unusable):
        cleaned("audio", hostile)
