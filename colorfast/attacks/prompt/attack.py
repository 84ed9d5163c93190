"""An attack, the policy under attack, and the scripted policies that check an attack."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from colorfast.io.storage import digest
from colorfast.models import Conversation, Policy
from colorfast.models.policy_wrapper import PolicyWrapper
from colorfast.models.request_batcher import Asker, Request, SampleRequest
from colorfast.models.scripted import Known, Scripted
from colorfast.types import Source


@dataclass(frozen=True)
class AttackedPolicy(PolicyWrapper):
    """A policy that receives every conversation as the attack changes it."""

    attack: Attack
    strength: int
    repetition: int

    def rewrite(self, request: Request) -> Asker[Any]:
        """See `PolicyWrapper.rewrite`."""
        if isinstance(request, SampleRequest):
            request = replace(request, names=self.draw_names(request.names))
        changed = [
            self.attack.change(c, self.strength, self.repetition) for c in request.conversations
        ]
        return (yield replace(request, conversations=changed))

    def draw_names(self, names: Sequence[str]) -> list[str]:
        """Names of the random draws. Repetition 0 keeps the names, so that a clean reply and an
        attacked one share their randomness."""
        return [f"{n}-again-{self.repetition}" if self.repetition else n for n in names]


def wording_index(conversation: Conversation, repetition: int, n: int) -> int:
    """Which of n wordings a conversation gets. It depends on the conversation's last message, so it
    is the same in every arm. Each repetition takes the next wording."""
    sha256 = hashlib.sha256(conversation[-1].content.encode()).hexdigest()
    return (int(sha256[:8], 16) + repetition) % n


@dataclass(frozen=True)
class Attack:
    """A way to push a policy, in rising `strengths` along `axis` (sentences, turns, shots).

    `evals`: what it tries to lower, besides the held-out scenarios. `change(conversation, strength,
    repetition)`: the attacked conversation. `detect(conversation)`: the strength of the attack in a
    conversation that reaches the policy, 0 for none. `texts()`: everything that the attack says, as
    plain data. `wordings`: how many variants there are; n repetitions use n of them.
    `counterpart`: the attack of the same form that pushes toward good; empty for such an attack.
    `prefills`: it writes the first words of the reply (see `Policy.continues`). `control`: it is
    harmless and left out of summaries over attacks. `files`: the downloads that it reads.
    """

    id: str
    family: str
    axis: str
    strengths: tuple[int, ...]
    evals: tuple[str, ...] = ()
    change: Callable[[Conversation, int, int], Conversation] = lambda conversation, *_: conversation
    detect: Callable[[Conversation], int] = lambda conversation: 0
    texts: Callable[[], Any] = tuple
    wordings: int = 1
    counterpart: str = ""
    prefills: bool = False
    control: bool = False
    files: tuple[Source, ...] = ()
    policy: type[AttackedPolicy] = AttackedPolicy

    @property
    def judged(self) -> bool:
        """Measured at every strength and compared with its counterpart."""
        return bool(self.counterpart)

    @property
    def harmful(self) -> bool:
        """Judged, and no control."""
        return self.judged and not self.control

    @property
    def strongest(self) -> tuple[str, int]:
        """The attack's id and its highest strength."""
        return self.id, self.strengths[-1]

    def wrap(self, policy: Policy, strength: int, repetition: int) -> AttackedPolicy:
        """The policy under attack."""
        return self.policy(policy, self, strength, repetition)

    def fingerprint(self, strength: int, repetitions: int) -> str:
        """Identifies what the attack says at a strength, in twelve hex digits. Scores with
        different fingerprints do not compare."""
        return digest([self.id, self.axis, strength, repetitions, self.wordings, self.texts()])[:12]


CLEAN = Attack("none", "none", "", (0,))
"""No attack, measured in the same way as every attack."""


def fragile(attack: Attack, known: Known, least: int = 1) -> Policy:
    """A scripted policy that gives in to this attack from the strength `least` on. The attack must
    break it, and a helpful attack must mend it."""
    return Scripted(known, lambda conversation: attack.detect(conversation) >= least)


def robust(known: Known) -> Policy:
    """A scripted policy that no attack moves."""
    return Scripted(known, lambda conversation: False)
