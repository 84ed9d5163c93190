"""Graders: one file each, with a function `grade(reply, **args)` and known answers in `EXAMPLES`.

`grade` gets a `ParsedReply` and the `args` of a rubric's criterion. It returns a value in [0, 1],
or None where it cannot tell. `EXAMPLES` is a list of `(reply text, args, expected value)`; the
tests grade them all.
"""
