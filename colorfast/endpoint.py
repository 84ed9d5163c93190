"""Any OpenAI-compatible server: one structured answer at a time, asked again while the line or the server fails."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import openai
import tenacity

from colorfast.types import ColorfastError, Endpoint

PASSING = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError, json.JSONDecodeError)
"""Faults that may pass: a cut or slow line, too many requests, a server error, a body that is not JSON."""


@dataclass(frozen=True)
class Answer:
    text: str
    prompt_tokens: int
    completion_tokens: int


def client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """A client for an endpoint; its key comes from the environment. Raises ColorfastError when the variable is not set."""
    key = os.environ.get(endpoint.key_env)
    if not key:
        raise ColorfastError(f"model {endpoint.model}: set {endpoint.key_env} to the endpoint's key (any word for a local server)")
    return openai.AsyncOpenAI(base_url=endpoint.base_url, api_key=key, timeout=endpoint.timeout, max_retries=0)


async def complete(server: openai.AsyncOpenAI, endpoint: Endpoint, messages: list[dict[str, str]], schema: dict[str, Any]) -> Answer:
    """One answer, asked again with growing pauses while the server or the line fails.

    Raises the last passing error when the tries are used up, and ColorfastError for what trying again cannot mend.
    """
    tries = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(PASSING),
        stop=tenacity.stop_after_attempt(endpoint.tries),
        wait=tenacity.wait_random_exponential(multiplier=endpoint.pause, max=30),
        reraise=True,
    )
    where = f"model {endpoint.model} at {endpoint.base_url}"
    try:
        async for attempt in tries:
            with attempt:
                told: Any = await server.chat.completions.create(
                    model=endpoint.model,
                    messages=messages,
                    temperature=endpoint.temperature,
                    max_tokens=endpoint.max_tokens,
                    response_format={"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}},
                )
    except (openai.AuthenticationError, openai.PermissionDeniedError):
        raise ColorfastError(f"{where}: it refuses the key in {endpoint.key_env}; set another") from None
    except openai.NotFoundError:
        raise ColorfastError(f"{where}: no such model or address; check base_url and model") from None
    except openai.APIStatusError as error:
        if isinstance(error, PASSING):
            raise
        raise ColorfastError(f"{where}: refused the request ({error.status_code}: {str(error)[:120]})") from None
    used = getattr(told, "usage", None)
    text = told.choices[0].message.content if getattr(told, "choices", None) else ""
    return Answer(text or "", getattr(used, "prompt_tokens", 0) or 0, getattr(used, "completion_tokens", 0) or 0)
