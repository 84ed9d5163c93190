"""Any OpenAI-compatible server: one answer at a time, asked again while the line or the server
fails."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from colorfast.config import Endpoint
from colorfast.types import ColorfastError

try:
    import openai
    import tenacity
except ModuleNotFoundError:
    raise ColorfastError(
        'the client for model servers is missing; pip install "colorfast[judge]"'
    ) from None

PASSING = (
    openai.APIConnectionError,
    openai.RateLimitError,
    openai.InternalServerError,
    json.JSONDecodeError,
)
"""Faults that may pass: a cut or slow line, too many requests, a server error, a body that is not
JSON."""
Messages = Sequence[dict[str, str]]
Item = TypeVar("Item")
Result = TypeVar("Result")


class RefusedError(ColorfastError):
    """The server understood the key and the model, and will not take this request."""


@dataclass(frozen=True)
class Token:
    """A token of an answer, and the log-probabilities (in nats) of what might have stood in its
    place, itself included."""

    text: str
    tops: dict[str, float]


@dataclass(frozen=True)
class Answer:
    """`truncated`: it hit the length cap. `likely` is empty where the server gives no
    log-probabilities."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    truncated: bool = False
    likely: tuple[Token, ...] = ()


def where(endpoint: Endpoint) -> str:
    """How errors name it."""
    return f"model {endpoint.model} at {endpoint.base_url}"


def client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """A client for an endpoint; its key comes from the environment. Raises ColorfastError when the
    variable is not set."""
    key = os.environ.get(endpoint.key_env)
    if not key:
        raise ColorfastError(
            f"model {endpoint.model}: set {endpoint.key_env} to the endpoint's key (any word for a"
            " local server)"
        )
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url, api_key=key, timeout=endpoint.timeout, max_retries=0
    )


async def ask(
    server: openai.AsyncOpenAI, endpoint: Endpoint, messages: Messages, **settings: Any
) -> Answer:
    """One answer, asked again with growing pauses while the server or the line fails; `settings` go
    into the request.

    Raises the last passing error when the tries are used up, and ColorfastError for what trying
    again cannot mend.
    """
    tries = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(PASSING),
        stop=tenacity.stop_after_attempt(endpoint.tries),
        wait=tenacity.wait_random_exponential(multiplier=endpoint.pause, max=30),
        reraise=True,
    )
    try:
        async for attempt in tries:
            with attempt:
                told: Any = await server.chat.completions.create(
                    model=endpoint.model, messages=messages, **settings
                )
    except (openai.AuthenticationError, openai.PermissionDeniedError):
        raise ColorfastError(
            f"{where(endpoint)}: it refuses the key in {endpoint.key_env}; set another"
        ) from None
    except openai.NotFoundError:
        raise ColorfastError(
            f"{where(endpoint)}: no such model or address; check base_url and model"
        ) from None
    except openai.APIStatusError as error:
        if isinstance(error, PASSING):
            raise
        said = " ".join(str(error).split())[:120]
        raise RefusedError(
            f"{where(endpoint)}: refused the request ({error.status_code}: {said})"
        ) from None
    return _read(told)


def _read(told: Any) -> Answer:
    """Servers differ in what they leave out, so all but the text may be missing."""
    used = getattr(told, "usage", None)
    choice = told.choices[0] if getattr(told, "choices", None) else None
    logs = getattr(getattr(choice, "logprobs", None), "content", None) or ()
    return Answer(
        _text(choice and choice.message.content),
        getattr(used, "prompt_tokens", 0) or 0,
        getattr(used, "completion_tokens", 0) or 0,
        truncated=getattr(choice, "finish_reason", None) == "length",
        likely=tuple(
            Token(
                t.token,
                {t.token: t.logprob} | {top.token: top.logprob for top in t.top_logprobs or ()},
            )
            for t in logs
        ),
    )


def _text(said: Any) -> str:
    """A body of JSON may hold half a character, which no file could."""
    return said.encode("utf-8", "replace").decode() if isinstance(said, str) else ""


async def complete(
    server: openai.AsyncOpenAI, endpoint: Endpoint, messages: Messages, schema: dict[str, Any]
) -> Answer:
    """One answer that follows a JSON schema, under the endpoint's own settings; raises as `ask`
    does."""
    form = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": schema},
    }
    return await ask(
        server,
        endpoint,
        messages,
        temperature=endpoint.temperature,
        max_tokens=endpoint.max_tokens,
        response_format=form,
    )


def send_each(
    endpoint: Endpoint,
    items: Sequence[Item],
    send: Callable[[openai.AsyncOpenAI, Item], Awaitable[Result]],
) -> list[Result]:
    """Call `send(server, item)` for every item, `endpoint.concurrency` at a time; results in order.

    The first error stops the other calls and is raised, so a dead server is not asked for hours.
    """

    async def send_all() -> list[Result]:
        gate = asyncio.Semaphore(endpoint.concurrency)

        async def send_one(item: Item) -> Result:
            async with gate:
                return await send(server, item)

        async with client(endpoint) as server, asyncio.TaskGroup() as group:
            tasks = [group.create_task(send_one(item)) for item in items]
        return [task.result() for task in tasks]

    try:
        return asyncio.run(send_all())
    except* Exception as errors:
        raise errors.exceptions[0] from None
