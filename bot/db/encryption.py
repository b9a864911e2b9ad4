"""Personal fields are encrypted with a key per person; that key is wrapped by the master key.

Deleting the person's key makes what was written with it unreadable wherever that key is gone: a backup of before
holds it still, and goes when its own time is over. Look-ups go by a keyed hash (`digest`), so that an address can be
found without being readable. The master key can change (bot/db/keys.py): a wrapped key begins with the id of the one
that wrapped it.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import os
from contextlib import suppress
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12  # bytes, the size AES-GCM is made for
ID = 4  # bytes of a master key's id
_WRAPPED = NONCE + 32 + 16  # bytes of a wrapped key without the id, as it was before master keys could change


class Vault:
    """Seals and opens personal fields. `master` is 32 bytes; it wraps, those `before` it are read while it is changed.

    `lookup` is the key of `digest`, which outlives master keys; without it, it is that of the oldest of them.
    """

    def __init__(self, master: bytes, *before: bytes, lookup: bytes | None = None) -> None:
        masters = (master, *before)
        if any(len(one) != 32 for one in masters):
            raise ValueError("a master key must be 32 bytes")
        self.id = key_id(master)
        self._wraps = {key_id(one): AESGCM(hmac.digest(one, b"rafiq wrap", hashlib.sha256)) for one in masters}
        self._digest_key = lookup or lookup_key(masters[-1])

    def new_key(self) -> bytes:
        """A new person's key, wrapped: what the database stores."""
        return self._wrapped(AESGCM.generate_key(256))

    def is_current(self, wrapped_key: bytes) -> bool:
        """Whether the current master key wraps this one."""
        return len(wrapped_key) == ID + _WRAPPED and wrapped_key[:ID] == self.id

    def rewrapped(self, wrapped_key: bytes) -> bytes:
        """The same key, wrapped by the current master key; `InvalidTag` when no master key opens it."""
        return self._wrapped(self._unwrapped(wrapped_key))

    def wrapped_lookup(self) -> bytes:
        """The key of `digest`, wrapped by the current master key."""
        return self._wrapped(self._digest_key)

    def with_lookup(self, wrapped: bytes) -> Vault:
        """This vault with the key of `digest` that `wrapped_lookup` gave."""
        other = copy.copy(self)
        other._digest_key = self._unwrapped(wrapped)
        return other

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
        return AESGCM(self._unwrapped(wrapped_key))

    def _wrapped(self, key: bytes) -> bytes:
        return self.id + _encrypt(self._wraps[self.id], key)

    def _unwrapped(self, wrapped_key: bytes) -> bytes:
        if len(wrapped_key) == ID + _WRAPPED:
            wrap = self._wraps.get(wrapped_key[:ID])
            if wrap is None:
                raise InvalidTag
            return _decrypt(wrap, wrapped_key[ID:])
        for wrap in self._wraps.values():
            with suppress(InvalidTag):
                return _decrypt(wrap, wrapped_key)
        raise InvalidTag


def key_id(master: bytes) -> bytes:
    """What a wrapped key says of the master key that wrapped it; it tells nothing else."""
    return hmac.digest(master, b"rafiq id", hashlib.sha256)[:ID]


def lookup_key(master: bytes) -> bytes:
    """The key of look-ups that an installation begins with."""
    return hmac.digest(master, b"rafiq digest", hashlib.sha256)


def _encrypt(cipher: AESGCM, plain: bytes) -> bytes:
    nonce = os.urandom(NONCE)
    return nonce + cipher.encrypt(nonce, plain, None)


def _decrypt(cipher: AESGCM, sealed: bytes) -> bytes:
    return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], None)
