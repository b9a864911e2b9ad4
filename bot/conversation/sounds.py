"""A sound without what it says beside it: titles, names, dates, the place where it was recorded.

Nothing is decoded: what is not sound is taken out, or written over where other parts count on its length.
"""

from __future__ import annotations

PADDING = 65_536  # bytes that are looked through for the first frame behind a tag
DEEPEST = 8  # boxes in boxes
_CRC = []
for _byte in range(256):
    _value = _byte << 24
    for _ in range(8):
        _value = (_value << 1) ^ (0x04C11DB7 if _value & 0x80000000 else 0)
    _CRC.append(_value & 0xFFFFFFFF)

_COMMENTS = {b"OpusTags": b"", b"\x03vorbis": b"\x01"}  # how a comment begins, and what it ends with
_SAYING = (b"udta", b"meta", b"uuid", b"free", b"skip", b"wide")  # boxes of an MP4 that hold no sound
_HOLDING = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"mvex", b"moof", b"traf")
_TIMES = (b"mvhd", b"tkhd", b"mdhd")  # when it was made and changed


class NoSound(Exception):
    """It is none of the kinds that are taken, or broken."""


def cleaned(content: bytes) -> tuple[bytes, str]:
    """The sound alone, and its type as its bytes tell it. Raises `NoSound`."""
    if content.startswith(b"OggS"):
        return _ogg(content), "audio/ogg"
    if content[4:8] == b"ftyp":
        clean = bytearray(content)
        _boxes(clean, 0, len(clean))
        return bytes(clean), "audio/mp4"
    sound = _untagged(content)
    if sound.startswith(b"#!AMR"):
        return sound, "audio/amr"
    if _is_frame(sound, 0):
        return sound, "audio/aac" if sound[1] & 0x06 == 0 else "audio/mpeg"
    raise NoSound


# MP3 and AAC


def _untagged(content: bytes) -> bytes:
    """Without the tags before (ID3v2) and behind (APE, ID3v1) the frames."""
    tagged = content.startswith(b"ID3")
    while content.startswith(b"ID3") and len(content) > 10:
        size = sum((part & 0x7F) << shift for part, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))
        content = content[10 + size + (10 if content[5] & 0x10 else 0) :]
    while True:
        if content[-128:-125] == b"TAG":
            content = content[:-128]
        elif content[-32:-24] == b"APETAGEX":
            size = int.from_bytes(content[-20:-16], "little") + (32 if content[-9] & 0x80 else 0)
            content = content[: -max(size, 32)]
        else:
            break
    first = next((at for at in range(min(len(content), PADDING)) if _is_frame(content, at)), 0) if tagged else 0
    return content[first:]


def _is_frame(content: bytes, at: int) -> bool:
    return content[at : at + 1] == b"\xff" and len(content) > at + 1 and content[at + 1] & 0xE0 == 0xE0


# Ogg


def _ogg(content: bytes) -> bytes:
    """The second packet of each stream is its comment: emptied at the same length, with new checksums."""
    pages, end = _pages(content)
    clean = bytearray(content[:end])
    packets: dict[bytes, int] = {}  # the whole packets of each stream so far
    begun: dict[bytes, list[tuple[int, int, int]]] = {}  # page and place of the pieces of the one that goes on
    for page, lengths, start in pages:
        serial, at = content[page + 14 : page + 18], start
        for length in lengths:
            if packets.get(serial, 0) > 1:
                break
            pieces = begun.setdefault(serial, [])
            pieces.append((page, at, at + length))
            at += length
            if length < 255:
                packets[serial] = packets.get(serial, 0) + 1
                if packets[serial] == 2:
                    _empty(clean, pieces)
                    for changed in dict.fromkeys(piece[0] for piece in pieces):
                        _sum_up(clean, changed)
                begun[serial] = []
    if not packets or min(packets.values()) < 2:
        raise NoSound
    return bytes(clean)


def _pages(content: bytes) -> tuple[list[tuple[int, bytes, int]], int]:
    """Where each page begins, the lengths in it, where its bytes begin; and where the last one ends."""
    found, page = [], 0
    while content[page : page + 4] == b"OggS" and page + 27 <= len(content):
        start = page + 27 + content[page + 26]
        lengths = content[page + 27 : start]
        found.append((page, lengths, start))
        page = start + sum(lengths)
    return found, min(page, len(content))


def _empty(clean: bytearray, pieces: list[tuple[int, int, int]]) -> None:
    """Write a comment of nobody about nothing over this packet."""
    said = b"".join(bytes(clean[start:end]) for _, start, end in pieces)
    for begins, ends in _COMMENTS.items():
        nothing = begins + b"\0" * 8 + ends
        if said.startswith(begins) and len(said) >= len(nothing):
            nothing = nothing.ljust(len(said), b"\0")
            for _, start, end in pieces:
                clean[start:end], nothing = nothing[: end - start], nothing[end - start :]
            return
    raise NoSound


def _sum_up(clean: bytearray, page: int) -> None:
    """Write the checksum of a page that was changed."""
    start = page + 27 + clean[page + 26]
    clean[page + 22 : page + 26] = bytes(4)
    value = 0
    for byte in clean[page : start + sum(clean[page + 27 : start])]:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC[value >> 24 ^ byte]
    clean[page + 22 : page + 26] = value.to_bytes(4, "little")


# MP4


def _boxes(clean: bytearray, at: int, end: int, depth: int = 0) -> None:
    """Write over what these boxes say, at the same length: others count on where they stand."""
    while at < end:
        size, kind, head = int.from_bytes(clean[at : at + 4], "big"), bytes(clean[at + 4 : at + 8]), 8
        if size == 1:
            size, head = int.from_bytes(clean[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = end - at
        inside, over = at + head, at + size
        if inside > over or over > end or depth > DEEPEST:
            raise NoSound
        if kind in _SAYING:
            clean[at + 4 : at + 8] = b"free"
            clean[inside:over] = bytes(over - inside)
        elif kind in _HOLDING:
            _boxes(clean, inside, over, depth + 1)
        elif kind in _TIMES and over - inside > 20:
            length = 16 if clean[inside] == 1 else 8
            clean[inside + 4 : inside + 4 + length] = bytes(length)
        at = over
