"""The attack writes the first words of the reply, and the policy continues. Only the policy's own
words are scored."""

from __future__ import annotations

from colorfast.attacks.prompt import inserted_texts
from colorfast.models import Conversation
from colorfast.types import Message


def begin_reply(conversation: Conversation, text: str) -> Conversation:
    """The text as the beginning of the reply."""
    return (*conversation, Message(role="assistant", content=text))


ATTACKS = inserted_texts("prefill", "sentences", (begin_reply,), prefills=True)
