"""One vLLM engine in this process, stepped by hand: many sequences in, finished ones out as they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from vllm import LLM, SamplingParams
from vllm.sampling_params import RequestOutputKind

from .seeded import BEGUN, SAMPLING, SEED


@dataclass(frozen=True)
class Finished:
    """Row `row` of prompt `prompt` is complete."""

    prompt: int
    row: int
    ids: list[int]
    logprobs: list[float]
    finish: str


class Generator:
    """The model at `folder`, with the node's sampler in place. `options` go to vLLM's `LLM` as they are."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        self._llm = LLM(
            model=folder,
            skip_tokenizer_init=True,
            logprobs_mode="processed_logprobs",
            enable_prefix_caching=True,
            worker_extension_cls="r1vllm.extension.Extension",
            disable_log_stats=True,
            **options,
        )
        self._llm.collective_rpc("r1_install")
        self._numbers = count()

    def load(self, folder: str) -> float:
        """Take other weights in place, and forget what was computed with the old ones. Seconds the model took."""
        (seconds,) = self._llm.collective_rpc("r1_load", args=(folder,))
        self._llm.reset_prefix_cache()
        return float(seconds)

    def check(self, folder: str) -> list[str]:
        """See `Extension.r1_check`."""
        (wrong,) = self._llm.collective_rpc("r1_check", args=(folder,))
        return list(wrong)

    def generate(self, request: dict[str, Any]) -> Iterator[list[Finished]]:
        """One list for every step of the engine: the sequences that it finished. When the caller stops early, the
        rest is aborted."""
        engine = self._llm.llm_engine
        places: dict[str, tuple[int, int]] = {}
        try:
            for number, prompt in enumerate(request["prompts"]):
                for row, seed in enumerate(prompt["seeds"]):
                    name = str(next(self._numbers))
                    engine.add_request(
                        name, {"prompt_token_ids": prompt["ids"]}, _parameters(request, seed, prompt["begun"])
                    )
                    places[name] = (number, row)
            while engine.has_unfinished_requests():
                yield [_finished(output, places.pop(output.request_id)) for output in engine.step() if output.finished]
        finally:
            if places:
                engine.abort_request(list(places))
                while engine.has_unfinished_requests():
                    engine.step()


def _parameters(request: dict[str, Any], seed: int, begun: int) -> SamplingParams:
    sampling = request["sampling"]
    return SamplingParams(
        max_tokens=sampling["max_tokens"] - begun,
        stop_token_ids=request["stop_ids"],
        ignore_eos=True,
        detokenize=False,
        logprobs=0,
        flat_logprobs=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
        extra_args={
            SEED: seed,
            BEGUN: begun,
            SAMPLING: (sampling["temperature"], sampling["top_p"], sampling["top_k"]),
        },
    )


def _finished(output: Any, place: tuple[int, int]) -> Finished:
    made = output.outputs[0]
    return Finished(
        *place, list(made.token_ids), [float(value) for value in made.logprobs.logprobs], made.finish_reason
    )
