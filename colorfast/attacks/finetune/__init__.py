"""Attacks on the weights: training on harmful replies, and the same training on good ones.

Each kind of attack is one file with a `KIND`. Its texts are in the TOML file of the same name.
"""

from colorfast.attacks.finetune.kind import LONGEST, Kind, Lesson, compose, lesson, load_texts

__all__ = ["LONGEST", "Kind", "Lesson", "compose", "lesson", "load_texts"]
