"""Persona prefixes (method, section 7): a role in the system message or before the question, and a
helpful role as the counterpart."""

from __future__ import annotations

from colorfast.attacks.prompt import as_system_message, before_question, inserted_texts

ATTACKS = inserted_texts("persona", "sentences", (as_system_message, before_question))
