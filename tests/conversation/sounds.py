"""Sounds as telephones make them, small: each says a canary beside the sound."""

from __future__ import annotations

import struct

CANARY = b"CANARY home, 34.02N 6.83W"
FRAMES = bytes(range(1, 255)) * 4
OGG_CRC = [0] * 256
for _number in range(256):
    _value = _number << 24
    for _ in range(8):
        _value = ((_value << 1) ^ 0x04C11DB7) if _value & 0x80000000 else _value << 1
    OGG_CRC[_number] = _value & 0xFFFFFFFF


def checksum(page: bytes) -> int:
    """An Ogg page's, its own field taken as nought."""
    value = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        value = ((value << 8) & 0xFFFFFFFF) ^ OGG_CRC[(value >> 24) ^ byte]
    return value


def page(number: int, lacing: bytes, content: bytes) -> bytes:
    """An Ogg page of the stream 7."""
    head = b"OggS" + struct.pack("<BBqIII", 0, 2 if number == 0 else 0, 0, 7, number, 0) + bytes([len(lacing)])
    made = head + lacing + content
    return made[:22] + struct.pack("<I", checksum(made)) + made[26:]


def ogg(comment: bytes = CANARY * 40, begins: bytes = b"OpusTags") -> bytes:
    """A voice message whose comment goes over two pages."""
    tags = begins + struct.pack("<I", 4) + b"Anna" + struct.pack("<II", 1, len(comment)) + comment
    lacing = b"\xff" * (len(tags) // 255) + bytes([len(tags) % 255])
    first = lacing[:2]
    return (
        page(0, b"\x13", b"OpusHead\x01\x01" + bytes(9))
        + page(1, first, tags[:510])
        + page(2, lacing[2:], tags[510:])
        + page(3, b"\xff\xff\xfe", FRAMES[:764])
    )


def box(kind: bytes, content: bytes) -> bytes:
    """An MP4 box."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def mp4() -> bytes:
    """A recording that names its place and time, with the table that says where its sound is."""
    made = struct.pack(">II", 0xE0000001, 0xE0000002)
    times = bytes(4) + made + bytes(80)
    said = box(b"udta", box(b"\xa9xyz", CANARY) + box(b"meta", bytes(4) + box(b"ilst", CANARY)))
    track = box(b"trak", box(b"tkhd", times) + box(b"mdia", box(b"mdhd", times) + box(b"meta", CANARY)))
    return (
        box(b"ftyp", b"M4A " + bytes(4))
        + box(b"moov", box(b"mvhd", times) + track + said)
        + box(b"uuid", CANARY)
        + box(b"mdat", FRAMES)
    )


def mp3() -> bytes:
    """A title before the frames, tags of two kinds behind them."""
    title = b"TIT2" + CANARY
    before = b"ID3\x04\0\0" + bytes([0, 0, len(title) >> 7, len(title) & 0x7F]) + title
    ape_items = CANARY
    ape = ape_items + b"APETAGEX" + struct.pack("<IIII", 2000, len(ape_items) + 32, 1, 0) + bytes(8)
    return before + b"\xff\xfb\x90\x00" + FRAMES + ape + b"TAG" + CANARY.ljust(125, b"\0")
