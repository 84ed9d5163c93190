"""One answer at a time from any OpenAI-compatible server."""

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
"""Errors that another try may fix: a cut or slow line, too many requests, a server error, a body
that is not JSON."""
Messages = Sequence[dict[str, str]]
Item = TypeVar("Item")
Result = TypeVar("Result")


class RefusedError(ColorfastError):
    """The server accepts the key and the model, and refuses this request."""


@dataclass(frozen=True)
class Token:
    """A token of an answer, and the log-probabilities (in nats) of the likeliest tokens in its
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
    """The name of an endpoint in errors."""
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
        base_url=endpoint.base_url,
        api_key=key,
        timeout=endpoint.timeout,
        max_retries=endpoint.tries - 1,
    )


async def ask(
    server: openai.AsyncOpenAI, endpoint: Endpoint, messages: Messages, **settings: Any
) -> Answer:
    """One answer to a request with these settings, retried while the server or the line fails.

    Raises the last of the `PASSING` errors when no try is left, and ColorfastError for what another
    try cannot fix.
    """
    try:
        return _read(await _create(server, endpoint, messages, **settings))
    except (openai.AuthenticationError, openai.PermissionDeniedError):
        raise ColorfastError(
            f"{where(endpoint)}: the server refuses the key in {endpoint.key_env}; set another"
        ) from None
    except openai.NotFoundError:
        raise ColorfastError(
            f"{where(endpoint)}: no such model or address; check base_url and model"
        ) from None
    except openai.APIStatusError as error:
        if isinstance(error, PASSING):
            raise
        reason = " ".join(str(error).split())[:120]
        raise RefusedError(
            f"{where(endpoint)}: refused the request ({error.status_code}: {reason})"
        ) from None


async def _create(
    server: openai.AsyncOpenAI, endpoint: Endpoint, messages: Messages, **settings: Any
) -> Any:
    """The server's completion. The client retries faults of line and server; it does not retry a
    body that is not JSON, which a busy proxy may send."""
    for left in reversed(range(endpoint.tries)):
        try:
            return await server.chat.completions.create(
                model=endpoint.model, messages=messages, **settings
            )
        except json.JSONDecodeError:
            if not left:
                raise
            await asyncio.sleep(endpoint.pause)


def _read(completion: Any) -> Answer:
    """Servers leave out different fields, so everything but the text may be missing."""
    usage = getattr(completion, "usage", None)
    choices = getattr(completion, "choices", None)
    choice = choices[0] if choices else None
    text = choice.message.content if choice else None
    likely = []
    for token in getattr(getattr(choice, "logprobs", None), "content", None) or ():
        tops = {top.token: top.logprob for top in token.top_logprobs or ()}
        likely.append(Token(token.token, {token.token: token.logprob} | tops))
    return Answer(
        # a JSON body may hold half a surrogate pair, which no file could
        text.encode("utf-8", "replace").decode() if isinstance(text, str) else "",
        getattr(usage, "prompt_tokens", 0) or 0,
        getattr(usage, "completion_tokens", 0) or 0,
        truncated=getattr(choice, "finish_reason", None) == "length",
        likely=tuple(likely),
    )


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
