"""What a voice message says about itself beside the voice (who made it, where, when, with what): taken out.

The sound itself is not touched. What cannot be read as what it says it is stays as it came.
"""

from __future__ import annotations

import zlib
from typing import Final

_SAID: Final = (b"udta", b"meta", b"uuid")  # boxes of MP4 that only tell: titles, places, pictures
_AROUND: Final = (b"moov", b"trak", b"mdia")  # those that hold others
_DATED: Final = (b"mvhd", b"tkhd", b"mdhd")  # those with times: made, changed
_MOST_BOXES: Final = 1000  # side by side
_COMMENTS: Final = {b"OpusTags": b"", b"\x03vorbis": b"\x01"}  # how an Ogg stream's comments begin, and must end


def without_tags(content: bytes, mime: str) -> bytes:
    """The same sound without its tags."""
    if mime == "audio/ogg":
        return _ogg(content)
    if mime == "audio/mp4":
        cleaned = bytearray(content)
        _mp4(cleaned, 0, len(cleaned))
        return bytes(cleaned)
    return without_id3(content)


def without_id3(content: bytes) -> bytes:
    """What stands between ID3's tags, at the beginning and at the end."""
    while content.startswith(b"ID3") and len(content) >= 10:
        size = 0
        for seven_bits in content[6:10]:
            size = size << 7 | seven_bits & 0x7F
        content = content[10 + size + (10 if content[5] & 0x10 else 0) :]
    return content[:-128] if content[-128:-125] == b"TAG" else content


def _mp4(cleaned: bytearray, at: int, end: int, deep: int = 0) -> None:
    """Overwrites in place, so that what points into the sound still does."""
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        size, kind, head = int.from_bytes(cleaned[at : at + 4]), bytes(cleaned[at + 4 : at + 8]), 8
        if size == 1:
            size, head = int.from_bytes(cleaned[at + 8 : at + 16]), 16
        elif size == 0:
            size = end - at
        inside, after = at + head, at + size
        if size < head or after > end:
            return
        if kind in _AROUND and deep < len(_AROUND):
            _mp4(cleaned, inside, after, deep + 1)
        elif kind in _SAID:
            cleaned[at + 4 : at + 8] = b"free"
            cleaned[inside:after] = bytes(after - inside)
        elif kind in _DATED and after - inside >= 20:
            length = 16 if cleaned[inside] == 1 else 8
            cleaned[inside + 4 : inside + 4 + length] = bytes(length)
        at = after


def _ogg(content: bytes) -> bytes:
    """The second packet of an Ogg stream holds its comments: they become none, its pages keep their lengths."""
    cleaned, at, magic = bytearray(content), 0, b""
    first = True
    while content[at : at + 4] == b"OggS" and at + 27 <= len(content):
        sizes = content[at + 27 : at + 27 + content[at + 26]]
        body = at + 27 + content[at + 26]
        end = body + sum(sizes)
        if end > len(content):
            break
        if not first:
            beginning = b""
            if not magic:
                magic = next((one for one in _COMMENTS if content.startswith(one, body)), b"")
                beginning = magic + bytes(8) + _COMMENTS.get(magic, b"")
            last = next((place for place, size in enumerate(sizes) if size < 255), None)
            length = sum(sizes if last is None else sizes[: last + 1])
            if not magic or length < len(beginning):
                break
            cleaned[body : body + length] = beginning + bytes(length - len(beginning))
            cleaned[at + 22 : at + 26] = bytes(4)
            cleaned[at + 22 : at + 26] = checksum(cleaned[at:end]).to_bytes(4, "little")
            if last is not None:
                break
        first, at = False, end
    return bytes(cleaned)


def checksum(page: bytes | bytearray) -> int:
    """An Ogg page's: the CRC of 32 bits that zlib has, with every bit the other way round, and not inverted."""
    total = zlib.crc32(page.translate(_TURNED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{total:032b}"[::-1], 2)


_TURNED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
