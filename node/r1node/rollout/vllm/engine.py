"""`RolloutEngine` on a vLLM server of the node's own."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from r1net.errors import EngineError, PreflightError
from r1net.protocol.architectures import longest_sequence
from r1net.protocol.job import Sampling
from r1node.rollout.engine import Completion, Progress, Prompt
from r1node.rollout.vllm.client import Client, ServerGone
from r1node.rollout.vllm.environment import Environment
from r1node.rollout.vllm.process import ServerProcess, server, surroundings
from r1node.rollout.vllm.weights import ModelFolder

log = logging.getLogger(__name__)

MAX_SEQUENCES = 512
"""Decoded at one time; on a CPU wider batches gain nothing more."""

GPU_SHARE = 0.4
"""Of a GPU's memory, weights and cache together: the trainer lives on the same one."""

CACHE_SHARE, CACHE_BOUNDS = 0.15, (2**29, 2**33)
"""Of a CPU host's free memory, for keys and values; at least and at most so many bytes."""

CPU_BLOCK = 32
"""Tokens to a block of the cache. The default of 128 shares no prompt shorter than that."""

OUTPUT_LAYER = "lm_head.weight"


class VllmEngine:
    """Implements `RolloutEngine`. The server starts at the first `load`, takes later weights in place, is started
    once more when it dies, and ends with this object or the node, whichever goes first.

    `folder` gets the log (vllm.log). All weights are held in the precision `dtype`.
    """

    def __init__(
        self,
        config: Any,
        dtype: torch.dtype,
        device: str,
        environment: Environment,
        folder: Path,
        threads: int = 1,
        share: float = 1.0,
    ) -> None:
        environment.require()
        self._environment, self._folder, self._threads = environment, folder, threads
        self._options = options(config, dtype, device, share)
        self._device = device
        self._tied = bool(getattr(config, "tie_word_embeddings", False))
        self._vocabulary = int(config.vocab_size)
        self._positions = longest_sequence(config.to_dict())
        self._running = _Running(ModelFolder(config, dtype, folder / "model"))
        self._finalizer = weakref.finalize(self, self._running.end)

    @property
    def server_pid(self) -> int | None:
        """Process id of the server, while it runs."""
        process = self._running.process
        return process.pid if process is not None and process.alive else None

    def close(self) -> None:
        """Stop the server and delete the copy of the weights."""
        self._finalizer()

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See `RolloutEngine.load`. Raises EngineError."""
        if self._tied:  # vLLM passes over it, and it is a fifth of a small model
            weights = {name: tensor for name, tensor in weights.items() if name != OUTPUT_LAYER}
        self._running.model.write(weights)
        client = self._running.client
        if client is None:
            self._start()
            return
        try:
            seconds = client.load(self._running.model.path)
            log.debug("vLLM took the weights in %.2f s", seconds)
        except ServerGone as gone:
            self._restart(gone)  # it reads the new weights as it starts
        except EngineError:
            self._running.stop()  # half of one policy, half of another: good for nothing
            raise

    def unload(self) -> None:
        """See `RolloutEngine.unload`. The server keeps its copy: to start it anew takes longer than any task."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        stop_ids: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Completion]]:
        """See `RolloutEngine.generate`. Raises EngineError when the server died twice, PreflightError for sequences
        that the model cannot take."""
        if not self._running.model.written:
            raise RuntimeError("generate() before load()")
        self._require_fit(prompts, sampling)
        client = self._running.client or self._start()
        try:
            return self._attempt(client, prompts, sampling, stop_ids, progress)
        except ServerGone as gone:
            client = self._restart(gone)
        try:
            return self._attempt(client, prompts, sampling, stop_ids, progress)
        except ServerGone as gone:
            raise EngineError(
                f"vLLM died twice over one task: {self._why(gone)}",
                hint="try fewer groups at a time, or engine = builtin",
            ) from gone

    def _require_fit(self, prompts: Sequence[Prompt], sampling: Sampling) -> None:
        """The server would end such sequences early, or die of them."""
        if any(not 0 <= token < self._vocabulary for prompt in prompts for token in prompt.ids):
            raise PreflightError(
                f"a prompt has tokens outside the model's vocabulary of {self._vocabulary}",
                hint="the job's tokenizer is not the model's",
            )
        needed = max((len(prompt.ids) - prompt.begun for prompt in prompts), default=0) + sampling.max_tokens
        if needed > self._positions:
            raise PreflightError(
                f"{needed} tokens in a sequence, and the model has {self._positions} positions",
                hint="lower the job's max_tokens, or train a model with a longer context",
            )

    def _attempt(
        self,
        client: Client,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        stop_ids: Sequence[int],
        progress: Progress | None,
    ) -> list[list[Completion]]:
        made: dict[tuple[int, int], Completion] = {}
        total = sum(len(prompt.seeds) for prompt in prompts)
        stream = client.generate(prompts, sampling, stop_ids)
        try:
            for finished in stream:
                made |= {(number, row): completion for number, row, completion in finished}
                if progress is not None:
                    progress(len(made), total)
        finally:
            stream.close()  # type: ignore[attr-defined] # hangs up, which stops the server's work
        return [[made[number, row] for row in range(len(prompt.seeds))] for number, prompt in enumerate(prompts)]

    def _start(self) -> Client:
        running = self._running
        env = surroundings(self._environment, self._threads, self._device)
        process = server(self._environment.python, env, running.model.path, self._folder, self._options)
        process.start()
        running.process, running.client = process, Client(process.port, process.key)
        return running.client

    def _restart(self, gone: ServerGone) -> Client:
        log.warning("vLLM is started anew: %s", self._why(gone))
        self._running.stop()
        return self._start()

    def _why(self, gone: ServerGone) -> str:
        process = self._running.process
        return f"{gone}; {process.reason()}" if process is not None else str(gone)


@dataclass
class _Running:
    """What must be ended when the engine goes. Apart from the engine, so that its end can be tied to that."""

    model: ModelFolder
    process: ServerProcess | None = None
    client: Client | None = None

    def stop(self) -> None:
        if self.client is not None:
            self.client.close()
        if self.process is not None:
            self.process.stop()
        self.client = self.process = None

    def end(self) -> None:
        self.stop()
        self.model.remove()


def options(config: Any, dtype: torch.dtype, device: str, share: float) -> dict[str, object]:
    """Options of vLLM's `LLM`, for what the host has; `share` is what the worker may take of a GPU's memory."""
    chosen: dict[str, object] = {
        "dtype": str(dtype).removeprefix("torch."),
        "max_num_seqs": MAX_SEQUENCES,
        "max_model_len": longest_sequence(config.to_dict()),  # beyond it vLLM takes long RoPE's other factors
        "seed": 0,
    }
    if device == "cpu":
        lowest, highest = CACHE_BOUNDS
        room = int(psutil.virtual_memory().available * CACHE_SHARE)
        return chosen | {"kv_cache_memory_bytes": min(max(room, lowest), highest), "block_size": CPU_BLOCK}
    return chosen | {"gpu_memory_utilization": GPU_SHARE * share}
