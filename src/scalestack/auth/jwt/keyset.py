"""The keys that a provider publishes (RFC 7517): and which of them may verify what. No I/O."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from jwt import PyJWK
from jwt.exceptions import PyJWTError

_MOST: Final = 100  # keys of a set that are looked at
# By algorithm, the type of its keys (RFC 7518 section 6.1, RFC 8037 section 2).
_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class KeySet:
    """An unchanging set of public keys, each bound to the algorithms that it may verify.

    What an unfit key would be for can't be told, so that it is left out (RFC 7517 section 5): one of another type,
    for encryption, with its private part in it, or of a length or on a curve that its algorithm does not take.
    """

    def __init__(self, keys: Sequence[Any], algorithms: Sequence[str]) -> None:
        """`algorithms` are those that are allowed at all."""
        self._by_name: dict[tuple[str, str], PyJWK] = {}  # by id and algorithm; the first one counts
        self._by_algorithm: dict[str, list[PyJWK]] = defaultdict(list)
        fit = []
        for data in keys[:_MOST]:
            if not isinstance(data, dict) or not _verifies(data):
                continue
            bound = [key for name in algorithms if (key := _key(data, name)) is not None]
            if bound:
                fit.append(data)
            for key in bound:
                self._by_algorithm[key.algorithm_name].append(key)
                if isinstance(data.get("kid"), str):
                    self._by_name.setdefault((data["kid"], key.algorithm_name), key)
        self._content = json.dumps(fit, sort_keys=True)

    def find(self, id: str | None, algorithm: str) -> PyJWK | None:
        """The key for a token's `kid` and `alg`; without a `kid`, the only one that there is for the `alg`."""
        if id is not None:
            return self._by_name.get((id, algorithm))
        keys = self._by_algorithm.get(algorithm, ())
        return keys[0] if len(keys) == 1 else None

    def same(self, other: KeySet | None) -> bool:
        """Whether the other one has the same keys."""
        return other is not None and self._content == other._content

    def __bool__(self) -> bool:
        """Whether there is any key."""
        return bool(self._by_algorithm)


def _verifies(data: dict[str, Any]) -> bool:
    """Whether the key says, or leaves open, that it is for signatures (RFC 7517 sections 4.2 and 4.3)."""
    if data.get("use", "sig") != "sig" or "d" in data:
        return False
    operations = data.get("key_ops", ["verify"])
    return isinstance(operations, list) and "verify" in operations


def _key(data: dict[str, Any], algorithm: str) -> PyJWK | None:
    """The key for this algorithm; None where it is for another, or no good for this one."""
    if data.get("alg", algorithm) != algorithm or data.get("kty") != _TYPES[algorithm[:2]]:
        return None
    try:
        key = PyJWK(data, algorithm)
        prepared = key.Algorithm.prepare_key(key.key)
    except (PyJWTError, TypeError, ValueError, AttributeError):  # whatever the members of the key may be
        return None
    return None if key.Algorithm.check_key_length(prepared) else key
