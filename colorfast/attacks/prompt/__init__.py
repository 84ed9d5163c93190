"""Attacks on the prompt: a policy wrapper changes every conversation before the policy answers.

Each family is one file with its `ATTACKS`. Its texts are in the TOML file of the same name.
"""

from colorfast.attacks.prompt.attack import CLEAN, Attack, fragile, robust, wording_index
from colorfast.attacks.prompt.texts import (
    after_question,
    as_system_message,
    before_question,
    inserted_texts,
)

__all__ = [
    "CLEAN",
    "Attack",
    "after_question",
    "as_system_message",
    "before_question",
    "fragile",
    "inserted_texts",
    "robust",
    "wording_index",
]
