"""The requests that the node makes to its server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from r1net.errors import EngineError
from r1net.protocol.job import Sampling
from r1node.rollout.engine import Completion, Prompt

CONNECT_LIMIT = 10.0
SILENCE_LIMIT = 900.0
"""Seconds without a word: a first step may compile, and a server that hangs must not hold a worker for ever."""


class ServerGone(Exception):
    """The server died, or its engine failed: it must be started anew."""


class Client:
    """One server at a loopback port, opened with its key."""

    def __init__(self, port: int, key: str) -> None:
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(SILENCE_LIMIT, connect=CONNECT_LIMIT),
            trust_env=False,  # no proxy stands before loopback
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def load(self, folder: Path) -> float:
        """Make the server take the weights of `folder`. Seconds it took. Raises EngineError when some layer doesn't
        compute with them, ServerGone."""
        try:
            answer = self._http.post("/load", json={"folder": str(folder)})
        except httpx.TransportError as error:
            raise ServerGone(str(error)) from error
        taken = _body(answer)
        if taken["wrong"]:
            raise EngineError(
                f"vLLM kept old weights in {len(taken['wrong'])} layers, {taken['wrong'][0]} among them",
                hint="set engine = builtin, and report the model's architecture",
            )
        return float(taken["seconds"])

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, stop_ids: Sequence[int]
    ) -> Iterator[list[tuple[int, int, Completion]]]:
        """Every few steps the completions that ended, with the numbers of their prompt and seed. Closing the iterator
        stops the server's work. Raises EngineError, ServerGone."""
        body = {
            "prompts": [
                {"ids": list(prompt.ids), "seeds": list(prompt.seeds), "begun": prompt.begun} for prompt in prompts
            ],
            "sampling": sampling.model_dump(include={"temperature", "top_p", "top_k", "max_tokens"}),
            "stop_ids": list(stop_ids),
        }
        ended = False
        try:
            with self._http.stream("POST", "/generate", json=body) as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    _body(answer)
                for line in answer.iter_lines():
                    told = json.loads(line)
                    ended = "end" in told
                    yield [_completion(one) for one in told.get("finished", [])]
        except httpx.TransportError as error:
            raise ServerGone(str(error)) from error
        if not ended:
            raise ServerGone("the answer broke off")


def _completion(told: dict[str, Any]) -> tuple[int, int, Completion]:
    made = Completion(token_ids=told["ids"], logprobs=told["logprobs"], finish_reason=told["finish"])
    return told["prompt"], told["row"], made


def _body(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    if answer.is_server_error:
        raise ServerGone(body["error"])
    if answer.status_code != httpx.codes.OK:
        raise EngineError(f"vLLM refused: {body.get('error', answer.status_code)}", hint="see the worker's vllm.log")
    return body
