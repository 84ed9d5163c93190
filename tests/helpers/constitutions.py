"""Our constitution, and a small one in the form of a published model spec."""

from __future__ import annotations

from colorfast.corpus import constitution

OURS = constitution.load("colorfast")
SPEC = """# Overview {#overview}
Not an instruction.

# Chapter {#chapter}
An introduction.

## Tell the [truth](#truth) {#tell authority=root}
The assistant should *never* lie[^ab1c]. See also [?](#be_kind).

!!! meta "Commentary"
    Not an instruction either.

    Nor this.

**Example**: a lie

~~~xml
# not a heading
~~~

## A part {#part}
### Be kind {#be_kind authority=user}
Kindness costs nothing:

- be kind
- stay kind
"""
