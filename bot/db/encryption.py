"""Personal fields are encrypted with a key per person; that key is wrapped by the master key.

Deleting the person's key makes what was written with it unreadable wherever that key is gone: a backup of before
holds it still, and goes when its own time is over. Look-ups go by a keyed hash (`digest`), so that an address can be
found without being readable.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12  # bytes, the size AES-GCM is made for


class Vault:
    """Seals and opens personal fields. `master` is 32 bytes."""

    def __init__(self, master: bytes) -> None:
        if len(master) != 32:
            raise ValueError("the master key must be 32 bytes")
        self._wrap = AESGCM(hmac.digest(master, b"rafiq wrap", hashlib.sha256))
        self._digest_key = hmac.digest(master, b"rafiq digest", hashlib.sha256)

    def new_key(self) -> bytes:
        """A new person's key, wrapped: what the database stores."""
        return _encrypt(self._wrap, AESGCM.generate_key(256))

    def seal(self, wrapped_key: bytes, value: Any) -> bytes:
        """Encrypt a JSON value for the person whose wrapped key this is."""
        return _encrypt(self._cipher(wrapped_key), json.dumps(value, ensure_ascii=True).encode())

    def open(self, wrapped_key: bytes, sealed: bytes) -> Any:
        """The value that `seal` was given; `cryptography.exceptions.InvalidTag` if the key is not the right one."""
        return json.loads(_decrypt(self._cipher(wrapped_key), sealed))

    def seal_bytes(self, wrapped_key: bytes, content: bytes) -> bytes:
        """Encrypt bytes as they are; `open_bytes` gives them back."""
        return _encrypt(self._cipher(wrapped_key), content)

    def open_bytes(self, wrapped_key: bytes, sealed: bytes) -> bytes:
        """The bytes that `seal_bytes` was given; raises as `open` does."""
        return _decrypt(self._cipher(wrapped_key), sealed)

    def digest(self, *parts: str) -> bytes:
        """A keyed hash of these words, 32 bytes, for look-ups."""
        return hmac.digest(self._digest_key, "\x1f".join(parts).encode("utf-8", "surrogatepass"), hashlib.sha256)

    def _cipher(self, wrapped_key: bytes) -> AESGCM:
        return AESGCM(_decrypt(self._wrap, wrapped_key))


def _encrypt(cipher: AESGCM, plain: bytes) -> bytes:
    nonce = os.urandom(NONCE)
    return nonce + cipher.encrypt(nonce, plain, None)


def _decrypt(cipher: AESGCM, sealed: bytes) -> bytes:
    return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], None)
