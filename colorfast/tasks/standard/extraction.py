"""Read one detail out of a short notice."""

import random
from pathlib import Path

from colorfast.io.validation import read_toml
from colorfast.tasks import RawTask, exactly

_DATA = read_toml(Path(__file__).with_suffix(".toml"))


def make(rng: random.Random) -> RawTask:
    """A notice with a question about one of its details."""
    details = {key: rng.choice(values) for key, values in _DATA["details"].items()}
    details["price"] = str(rng.randint(5, 95))
    details["time"] = f"{rng.randint(8, 18)}:{rng.choice(('00', '15', '30', '45'))}"
    key = rng.choice(sorted(_DATA["questions"]))
    notice = rng.choice(_DATA["frames"]).format(**details)
    prompt = f"{notice}\n{_DATA['questions'][key]} Answer with that only."
    answer = details[key]
    variants = [answer, f"${answer}", f"the {answer}"]
    return prompt, [exactly("exact", f"Answer {answer}", any=variants)], answer
