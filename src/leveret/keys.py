"""The API keys of this service: how their tokens begin, and what clients are told that they are for."""

from __future__ import annotations

from typing import Final

from scalestack.auth.keys.module import KeysModule
from scalestack.auth.keys.token import TokenFormat

_PREFIX: Final = "lvk"  # by which scanners of repositories know a token that was committed

TOKENS: Final = TokenFormat(_PREFIX)
LeveretKeys: Final = KeysModule.of(_PREFIX, "leveret", "; 'leveret keys create' makes one")
