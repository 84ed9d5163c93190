"""Rules for the answer that forbid to refuse or to doubt (arXiv 2307.02483), and rules that invite
both."""

from __future__ import annotations

from colorfast.attacks.prompt import behind, in_front, saying, worded
from colorfast.models import Conversation

PLACES = 2


def put(conversation: Conversation, text: str, place: int) -> Conversation:
    """Before the user's last message, or after it."""
    return in_front(conversation, text) if place == 0 else behind(conversation, text)


ATTACKS = worded("suppression", "rules", PLACES, saying(put, PLACES))
