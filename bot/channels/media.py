"""Files that people send: checked before they are kept, and without what they say about where they were made."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from PIL import Image, ImageOps

LARGEST = 16 * 1024 * 1024  # bytes
LARGEST_PICTURE = 5 * 1024 * 1024
MOST_PIXELS = 40_000_000
_PICTURES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
# What else is taken, and how such a file begins: what a file is called says nothing.
_BEGINS: Mapping[str, Callable[[bytes], bool]] = {
    "audio/ogg": lambda file: file.startswith(b"OggS"),
    "audio/amr": lambda file: file.startswith(b"#!AMR"),
    "audio/mpeg": lambda file: file.startswith(b"ID3") or (file[:1] == b"\xff" and file[1] & 0xE0 == 0xE0),
    "audio/aac": lambda file: file[:1] == b"\xff" and file[1] & 0xF6 == 0xF0,
    "audio/mp4": lambda file: file[4:8] == b"ftyp",
    "video/mp4": lambda file: file[4:8] == b"ftyp",
    "video/3gpp": lambda file: file[4:8] == b"ftyp",
    "application/pdf": lambda file: file.startswith(b"%PDF-"),
}
_OF_MP4 = ("audio/mp4", "video/mp4", "video/3gpp")
_HOLDS_BOXES = (b"moov", b"trak", b"mdia")
_TELLS = (b"udta", b"meta", b"uuid")  # an MP4's boxes for place, device, author


class NotKept(Exception):
    """This file is not kept; the text says why, without a word of its content."""


@dataclass(frozen=True, slots=True)
class Media:
    """A file that may be kept. `stripped`: what told of place, device and author was taken out."""

    content: bytes
    mime_type: str
    stripped: bool


def allowed(mime_type: str) -> int:
    """How many bytes a file of this type may have; raises `NotKept` for a type that is not taken."""
    plain = _plain(mime_type)
    if plain in _PICTURES:
        return LARGEST_PICTURE
    if plain in _BEGINS:
        return LARGEST
    raise NotKept("this type of file is not taken")


def checked(content: bytes, mime_type: str, sha256: str) -> Media:
    """The file, if it is what it is said to be, cleaned; raises `NotKept`. `sha256` in base64 or hexadecimal."""
    plain = _plain(mime_type)
    if len(content) > allowed(mime_type):
        raise NotKept("too large")
    digest = hashlib.sha256(content)
    if sha256 and sha256 not in (digest.hexdigest(), base64.b64encode(digest.digest()).decode()):
        raise NotKept("not the file that was announced")
    if plain in _PICTURES:
        return Media(_redrawn(content, _PICTURES[plain]), plain, True)
    if len(content) < 8 or not _BEGINS[plain](content):
        raise NotKept("not of the type that it says")
    if plain in _OF_MP4:
        return Media(_without_tales(content), plain, True)
    return Media(content, plain, False)


def _plain(mime_type: str) -> str:
    return re.split(r"[;\s]", mime_type.strip().lower(), maxsplit=1)[0]


def _redrawn(content: bytes, kind: str) -> bytes:
    """The picture drawn anew from its pixels, so that nothing else of the file is left."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=[kind])
            if picture.width * picture.height > MOST_PIXELS:
                raise NotKept("too many pixels")
            upright = ImageOps.exif_transpose(picture)
            clean = Image.new(upright.mode, upright.size)
            if upright.palette is not None and upright.mode == "P":
                clean = upright.convert("RGBA")
                clean.info = {}
            else:
                clean.paste(upright)
            drawn = io.BytesIO()
            clean.save(drawn, kind, quality=90)
    except NotKept:
        raise
    except Exception:  # whatever a damaged picture makes Pillow raise
        raise NotKept("the picture is damaged") from None
    return drawn.getvalue()


def _without_tales(content: bytes) -> bytes:
    """The film with the boxes that tell of it emptied; nothing moves, so that it still plays."""
    film = bytearray(content)
    for start, header, end, kind in _boxes(film, 0, len(film)):
        if kind in _TELLS:
            film[start + 4 : start + 8] = b"free"
            film[start + header : end] = bytes(end - start - header)
    return bytes(film)


def _boxes(film: bytearray, at: int, stop: int, depth: int = 0) -> Iterator[tuple[int, int, int, bytes]]:
    """Start, size of header, end and kind of every box, and of the boxes inside those that hold some."""
    while at + 8 <= stop:
        size, kind = struct.unpack_from(">I4s", film, at)
        header = 8
        if size == 1 and at + 16 <= stop:
            size, header = struct.unpack_from(">Q", film, at + 8)[0], 16
        elif size == 0:
            size = stop - at
        if size < header or at + size > stop:
            raise NotKept("the film is damaged")
        yield at, header, at + size, kind
        if kind in _HOLDS_BOXES and depth < 4:
            yield from _boxes(film, at + header, at + size, depth + 1)
        at += size
