"""The reply's first words are given, and the policy goes on from there. Only what it says itself is
scored."""

from __future__ import annotations

from colorfast.attacks.prompt import saying, worded
from colorfast.models import Conversation
from colorfast.types import Message


def put(conversation: Conversation, text: str, place: int) -> Conversation:
    return (*conversation, Message(role="assistant", content=text))


ATTACKS = worded("prefill", "sentences", 1, saying(put, 1))
