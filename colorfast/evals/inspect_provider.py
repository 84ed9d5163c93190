"""Models of colorfast as models of Inspect, and results of Inspect's tasks as rows of our score
table."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
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
MAX_TOKENS = 512
"""Tokens of a reply where a task names no limit."""
WORDS = ("C", "I", "P", "N", "yes", "no", "true", "false")
"""The words that Inspect reads as numbers: correct, incorrect, partly, no answer."""


@dataclass(eq=False)
class WaitingRequest:
    """A request that waits for its reply. `settings`: the token limit and the temperature."""

    conversation: Conversation
    name: str
    settings: tuple[int, float]
    reply: Reply | None = None


class ColorfastAPI(ModelAPI):
    """`colorfast/NAME`: any name that `models.resolve` takes. Requests that come together are
    answered in one batch.

    Honors max_tokens (else 512), temperature (else 0, greedy), seed and stop_seqs; calls no tools.
    A draw is named by its conversation, the seed and how often they came before, so that a run can
    be repeated and two models answer with the same draws.
    """

    def __init__(self, model_name: str, batch_size: int = 32, **inspect_args: Any):
        try:
            super().__init__(model_name, **inspect_args)
        except TypeError as error:
            raise ColorfastError(f"colorfast/{model_name}: {error}; there is batch_size") from None
        self.batch_size = batch_size
        self.waiting: list[WaitingRequest] = []
        self.lock = anyio.Lock()
        self.counts: Counter[str] = Counter()

    @cached_property
    def policy(self) -> LocalPolicy:
        """Loaded on first use: Inspect makes an instance only to look at a model's name."""
        from colorfast.models.local import load_policy  # torch

        return load_policy(self.model_name, self.batch_size)

    def max_tokens(self) -> int:
        """The default length cap."""
        return MAX_TOKENS

    def max_connections(self) -> int:
        """How many requests Inspect sends at once."""
        return self.batch_size

    def collapse_user_messages(self) -> bool:
        """True: chat templates may require that turns alternate."""
        return True

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """One reply. Raises ColorfastError for tools and for content other than text."""
        if tools:
            raise ColorfastError(
                f"colorfast/{self.model_name} calls no tools, and this task offers {tools[0].name}"
            )
        conversation = tuple(_message(message) for message in input if message.text)
        turns = json.dumps([[message.role, message.content] for message in conversation])
        name = f"inspect-{config.seed or 0}-{hashlib.sha256(turns.encode()).hexdigest()}"
        self.counts[name] += 1
        settings = (config.max_tokens or MAX_TOKENS, config.temperature or 0.0)
        reply = await self._reply(
            WaitingRequest(conversation, f"{name}-{self.counts[name]}", settings)
        )
        text = reply.text
        for stop in config.stop_seqs or ():
            text = text.split(stop)[0]
        output = ModelOutput.from_content(
            self.model_name, text, "max_tokens" if reply.truncated else "stop"
        )
        length = len(self.policy.encode(conversation))
        output.usage = ModelUsage(
            input_tokens=length, output_tokens=reply.tokens, total_tokens=length + reply.tokens
        )
        return output

    async def _reply(self, request: WaitingRequest) -> Reply:
        """The first request that gets the lock is answered together with all waiting requests of
        its settings; they find their replies when they get the lock."""
        self.waiting.append(request)
        try:
            async with self.lock:
                if request.reply is None:
                    await anyio.sleep(GATHER)
                    unanswered = [other for other in self.waiting if other.reply is None]
                    batch = [other for other in unanswered if other.settings == request.settings]
                    await anyio.to_thread.run_sync(self._answer, batch)
        finally:
            self.waiting.remove(request)
        assert request.reply is not None
        return request.reply

    def _answer(self, batch: Sequence[WaitingRequest]) -> None:
        max_tokens, temperature = batch[0].settings
        conversations = [request.conversation for request in batch]
        names = [request.name for request in batch]
        replies = self.policy.sample(conversations, names, max_tokens, temperature)
        for request, reply in zip(batch, replies, strict=True):
            request.reply = reply


@modelapi(name="colorfast")
def colorfast() -> type[ModelAPI]:
    """The class that the `inspect_ai` entry point registers."""
    return ColorfastAPI


def _message(message: ChatMessage) -> Message:
    parts = [part for part in message.content if not isinstance(part, str)]
    if message.role == "tool" or any(part.type not in ("text", "reasoning") for part in parts):
        raise ColorfastError("colorfast models read text only, and this task has other content")
    return Message(role=message.role, content=message.text)


def run_task(model: str, task: str, limit: int | None, log_dir: Path) -> list[Score]:
    """Run an Inspect task on a model and turn its log into scores: eval `inspect/TASK` (or
    `inspect/TASK/SCORER` where there are several scorers), item the sample's id, sample its epoch.
    What has no value in [0, 1] is None with a reason.

    `task`: a registered name such as `inspect_evals/gsm8k`, or `FILE.py@NAME`. `limit`: how many
    samples, None for all. The log is kept in `log_dir`. Raises ColorfastError when the model or the
    task cannot be loaded, or every sample failed.
    """
    try:
        # Not memoized: earlier requests would change the draws.
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
    except Exception as error:  # a task is code of others and can raise anything
        reason = _line(str(error)) or type(error).__name__
        raise ColorfastError(f"inspect task {task}: {reason}") from None
    samples = sorted(log.samples or [], key=lambda sample: (str(sample.id), sample.epoch))
    errors = [sample.error for sample in samples if sample.error]
    reason = ""
    if log.status != "success":
        reason = _line(log.error.message) if log.error else log.status
    elif len(errors) == len(samples):
        cause = _line(errors[0].message) if errors else "it has no samples"
        reason = f"no sample came through ({cause})"
    if reason:
        raise ColorfastError(f"inspect task {task}: {reason} (log: {log.location})")
    scores: list[Score] = []
    for sample in samples:
        scores += _scores(log, sample)
    return scores


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


def _scores(log: EvalLog, sample: EvalSample) -> Iterator[Score]:
    task = f"inspect/{log.eval.task.rsplit('/', 1)[-1]}"
    scorers = [scorer.name for scorer in log.eval.scorers or []]
    for scorer in sample.scores or scorers[:1] or [""]:
        value, reason = _value(sample, scorer)
        yield Score(
            f"{task}/{scorer}" if len(scorers) > 1 else task,
            str(sample.id),
            sample.epoch,
            value,
            reason=_line(reason),
            reply=sample.output.completion,
            truncated=bool(sample.output.choices) and sample.output.stop_reason == "max_tokens",
        )


def _value(sample: EvalSample, scorer: str) -> tuple[float | None, str]:
    """(value in [0, 1], "") or (None, reason)."""
    if sample.error:
        return None, f"error: {sample.error.message}"
    score = (sample.scores or {}).get(scorer)
    if score is None:
        return None, f"no score: {sample.limit.type} limit" if sample.limit else "no score"
    value, reason = _number(score.value)
    return value, reason and str(score.reason or score.explanation or reason)


def _number(value: Value) -> tuple[float | None, str]:
    """(value in [0, 1], "") or (None, reason). `value_to_float` takes what it does not understand
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
