"""Graders: one file each, with `grade(reading, **args) -> float | None` in [0, 1] and `EXAMPLES` of
known answers.

`EXAMPLES` is a list of `(reply text, args, expected value)`; the tests grade them all.
"""
