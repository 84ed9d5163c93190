"""Rules that forbid the policy to refuse or to doubt (arXiv 2307.02483), and rules that invite
both."""

from __future__ import annotations

from colorfast.attacks.prompt import after_question, before_question, inserted_texts

ATTACKS = inserted_texts("suppression", "rules", (before_question, after_question))
