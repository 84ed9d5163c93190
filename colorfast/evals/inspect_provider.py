"""Models that colorfast can load, as models of Inspect; and Inspect's tasks as rows of our score
table."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorfast.models import Conversation
from colorfast.types import ColorfastError, Message, Reply, Score

if TYPE_CHECKING:  # torch, which is loaded with the model
    from colorfast.models.local import LocalPolicy
try:
    import anyio
    from inspect_ai import eval as evaluate_task
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.model import (
        ChatMessage,
        GenerateConfig,
        ModelAPI,
        ModelOutput,
        ModelUsage,
        get_model,
        modelapi,
    )
    from inspect_ai.scorer import Value, value_to_float
    from inspect_ai.tool import ToolChoice, ToolInfo
except ModuleNotFoundError:
    raise ColorfastError('Inspect is not installed; pip install "colorfast[inspect]"') from None

GATHER = 0.02
"""Seconds that the first request of a batch waits for others."""
ROOM = 512
"""Tokens of a reply where a task names no limit."""
WORDS = ("C", "I", "P", "N", "yes", "no", "true", "false")
"""The words that Inspect reads as numbers: correct, incorrect, partly, no answer."""


@dataclass(eq=False)
class Asked:
    """One request that waits for its reply."""

    conversation: Conversation
    name: str
    max_tokens: int
    temperature: float
    reply: Reply | None = None


class ColorfastAPI(ModelAPI):
    """`colorfast/NAME`: any name that `models.resolve` takes. Requests that come together are
    answered in one batch.

    Honours max_tokens (else 512), temperature (else 0, greedy), seed and stop_seqs; calls no tools.
    A draw is named by its conversation, the seed and how often they came before, so that a run can
    be repeated and two models answer with the same draws.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008
        batch_size: int = 32,
        **model_args: Any,
    ):
        super().__init__(model_name, base_url, api_key, [], config)
        if model_args:
            raise ColorfastError(
                f"colorfast/{model_name}: unknown model argument {', '.join(model_args)}; there is"
                " batch_size"
            )
        self.batch_size = batch_size
        self.waiting: list[Asked] = []
        self.one_at_a_time = anyio.Lock()
        self.came: Counter[str] = Counter()

    @cached_property
    def policy(self) -> LocalPolicy:
        """Loaded when first asked: Inspect makes an instance only to look at a model's name."""
        from colorfast.models.local import load_policy

        return load_policy(self.model_name, self.batch_size)

    def max_tokens(self) -> int:
        return ROOM

    def max_connections(self) -> int:
        return self.batch_size

    def collapse_user_messages(self) -> bool:
        return True  # chat templates may want turns to alternate

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        if tools:
            raise ColorfastError(
                f"colorfast/{self.model_name} calls no tools, and this task offers {tools[0].name}"
            )
        conversation = tuple(_message(m) for m in input if m.text)
        said = json.dumps([[m.role, m.content] for m in conversation])
        name = f"inspect-{config.seed or 0}-{hashlib.sha256(said.encode()).hexdigest()}"
        self.came[name] += 1
        asked = Asked(
            conversation,
            f"{name}-{self.came[name]}",
            config.max_tokens or ROOM,
            config.temperature or 0.0,
        )
        reply = await self._reply(asked)
        text = reply.text
        for stop in config.stop_seqs or ():
            text = text.split(stop)[0]
        output = ModelOutput.from_content(
            self.model_name, text, stop_reason="max_tokens" if reply.truncated else "stop"
        )
        length = len(self.policy.encode(conversation))
        output.usage = ModelUsage(
            input_tokens=length, output_tokens=reply.tokens, total_tokens=length + reply.tokens
        )
        return output

    async def _reply(self, asked: Asked) -> Reply:
        """The first that comes to the lock answers for all who wait; they find their replies when
        their turn comes."""
        self.waiting.append(asked)
        try:
            async with self.one_at_a_time:
                if asked.reply is None:
                    await anyio.sleep(GATHER)
                    batch = [
                        a
                        for a in self.waiting
                        if (a.max_tokens, a.temperature) == (asked.max_tokens, asked.temperature)
                    ]
                    batch = [a for a in batch if a.reply is None]
                    await anyio.to_thread.run_sync(self._answer, batch)
        finally:
            self.waiting.remove(asked)
        assert asked.reply is not None
        return asked.reply

    def _answer(self, batch: list[Asked]) -> None:
        first = batch[0]
        replies = self.policy.sample(
            [a.conversation for a in batch],
            [a.name for a in batch],
            first.max_tokens,
            first.temperature,
        )
        for asked, reply in zip(batch, replies, strict=True):
            asked.reply = reply


@modelapi(name="colorfast")
def colorfast() -> type[ModelAPI]:
    """What the `inspect_ai` entry point registers."""
    return ColorfastAPI


def _message(message: ChatMessage) -> Message:
    if message.role == "tool" or any(
        c.type not in ("text", "reasoning") for c in message.content if not isinstance(c, str)
    ):
        raise ColorfastError("colorfast models read text only, and this task has other content")
    return Message(role=message.role, content=message.text)


def run_task(model: str, task: str, limit: int | None, log_dir: Path) -> list[Score]:
    """Run one of Inspect's tasks on a model and turn its log into scores: eval `inspect/TASK` (and
    `inspect/TASK/SCORER` where there are several scorers), item the sample's id, sample its epoch.
    What has no value in [0, 1] is None with a reason.

    `task`: a registered name such as `inspect_evals/gsm8k`, or `FILE.py@NAME`. `limit`: how many
    samples, None for all. The log is kept in `log_dir`. Raises ColorfastError when the model or the
    task cannot be loaded, or no sample came through.
    """
    try:
        # not the memoised model: what it was asked before would change its draws
        loaded = get_model(f"colorfast/{model}", memoize=False)
        assert isinstance(loaded.api, ColorfastAPI) and loaded.api.policy
        (log,) = evaluate_task(
            task,
            model=loaded,
            limit=limit,
            log_dir=str(log_dir),
            display="none",
            fail_on_error=False,
            log_realtime=False,
            ctl_server=False,
            score_display=False,
        )
    except ColorfastError:
        raise
    except Exception as error:  # a task is code of others: whatever it raises is its failure
        raise ColorfastError(
            f"inspect task {task}: {_line(str(error)) or type(error).__name__}"
        ) from None
    if log.status != "success":
        raise ColorfastError(
            f"inspect task {task}: {_line(log.error.message) if log.error else log.status} (log:"
            f" {log.location})"
        )
    samples = sorted(log.samples or [], key=lambda s: (str(s.id), s.epoch))  # they come as they end
    errors = [s.error for s in samples if s.error]
    if len(errors) == len(samples):
        reason = _line(errors[0].message) if errors else "it has no samples"
        raise ColorfastError(
            f"inspect task {task}: no sample came through ({reason}; log: {log.location})"
        )
    return [score for sample in samples for score in _scores(log, sample)]


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


def _scores(log: EvalLog, sample: EvalSample) -> Iterator[Score]:
    name = f"inspect/{log.eval.task.rsplit('/', 1)[-1]}"
    scorers = [s.name for s in log.eval.scorers or []]
    found = sample.scores or {}
    for scorer in found or scorers[:1] or [""]:
        if sample.error:
            value, reason = None, f"error: {_line(sample.error.message)}"
        elif scorer not in found:
            value, reason = (
                None,
                f"no score: {sample.limit.type} limit" if sample.limit else "no score",
            )
        else:
            value, reason = _number(found[scorer].value)
            reason = reason and str(found[scorer].reason or found[scorer].explanation or reason)
        yield Score(
            f"{name}/{scorer}" if len(scorers) > 1 else name,
            str(sample.id),
            sample.epoch,
            value,
            reason=_line(reason),
            reply=sample.output.completion,
            truncated=bool(sample.output.choices) and sample.output.stop_reason == "max_tokens",
        )


def _number(value: Value) -> tuple[float | None, str]:
    """(value in [0, 1], "") or (None, reason). What `value_to_float` does not understand it takes
    for 0, which is no measurement."""
    if not isinstance(value, str | int | float):
        return None, "a score of several values"
    try:
        number = value_to_float()(value) if value in WORDS else float(value)
    except ValueError:
        return None, f"{value!r} is no number"
    if math.isnan(number):
        return None, "unscored"
    return (number, "") if 0 <= number <= 1 else (None, f"{number:g} lies outside [0, 1]")
