"""Closed-book questions with one short answer."""

from __future__ import annotations

import random

from colorfast.tasks import Made, exactly

_CAPITALS = dict(
    France="Paris", Italy="Rome", Spain="Madrid", Germany="Berlin", Japan="Tokyo", Egypt="Cairo",
    Canada="Ottawa",
    Australia="Canberra", Brazil="Brasilia", India="New Delhi", China="Beijing", Russia="Moscow",
    Greece="Athens",
    Portugal="Lisbon", Norway="Oslo", Sweden="Stockholm", Finland="Helsinki", Poland="Warsaw",
    Austria="Vienna",
    Ireland="Dublin", Kenya="Nairobi", Peru="Lima", Chile="Santiago", Cuba="Havana",
    Turkey="Ankara", Iraq="Baghdad",
    Thailand="Bangkok", Vietnam="Hanoi", Hungary="Budapest", Denmark="Copenhagen",
)  # fmt: skip
_OPPOSITES = dict(
    hot="cold", big="small", fast="slow", happy="sad", day="night", up="down", open="closed",
    full="empty", early="late",
    light="dark", hard="soft", old="young", rich="poor", strong="weak", wet="dry", high="low",
    loud="quiet", long="short",
)  # fmt: skip
_PLURALS = dict(
    child="children", mouse="mice", foot="feet", tooth="teeth", goose="geese", man="men",
    leaf="leaves", knife="knives",
    box="boxes", city="cities", person="people", wolf="wolves", baby="babies", bus="buses",
)  # fmt: skip
_SYMBOLS = dict(
    oxygen="O", hydrogen="H", carbon="C", nitrogen="N", gold="Au", silver="Ag", iron="Fe",
    sodium="Na", potassium="K",
    helium="He", calcium="Ca", copper="Cu", zinc="Zn", lead="Pb",
)  # fmt: skip
_NEXT = dict(
    Monday="Tuesday", Tuesday="Wednesday", Thursday="Friday", Saturday="Sunday",
    January="February", March="April",
    May="June", June="July", August="September", October="November", November="December",
    spring="summer",
)  # fmt: skip
_KINDS = (
    ("What is the capital of {}?", _CAPITALS),
    ("What is the opposite of {!r}?", _OPPOSITES),
    ("What is the plural of {!r}?", _PLURALS),
    ("What is the chemical symbol of {}?", _SYMBOLS),
    ("What comes right after {}?", _NEXT),
)


def make(rng: random.Random) -> Made:
    ask, table = rng.choice(_KINDS)
    key = rng.choice(sorted(table))
    return (
        f"{ask.format(key)} Answer in one word.",
        [exactly("exact", f"Answer {table[key]}", any=[table[key]])],
        table[key],
    )
