"""Persona prefixes (method, section 7): a role before the conversation or before the question, and
its helpful counterpart."""

from __future__ import annotations

from colorfast.attacks.prompt import as_system, in_front, saying, worded
from colorfast.models import Conversation

PLACES = 2


def put(conversation: Conversation, text: str, place: int) -> Conversation:
    """As the system message, or before the user's last."""
    return as_system(conversation, text) if place == 0 else in_front(conversation, text)


ATTACKS = worded("persona", "sentences", PLACES, saying(put, PLACES))
