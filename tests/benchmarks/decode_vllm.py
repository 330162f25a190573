"""Decoding with vLLM as it comes: compiled, its own sampler, log-probabilities on. Run by vLLM's own interpreter."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from vllm import LLM, SamplingParams, TokensPrompt

from tests.benchmarks.workload import MODEL, TOKENS, measure


def main() -> None:
    """`python -m tests.benchmarks.decode_vllm bfloat16 8 PROMPTS.json`; PROMPTS holds lists of token ids."""
    dtype, group, prompts = sys.argv[1], int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
    llm = LLM(
        model=str(MODEL),
        dtype=dtype,
        max_num_seqs=512,
        max_model_len=2048,
        kv_cache_memory_bytes=3 * 2**30,
        enable_prefix_caching=True,
        logprobs_mode="processed_logprobs",
        skip_tokenizer_init=True,
    )
    batch = [TokensPrompt(prompt_token_ids=ids) for ids in prompts for _ in range(group)]
    parameters = SamplingParams(
        temperature=1.0, max_tokens=TOKENS, ignore_eos=True, detokenize=False, logprobs=0, flat_logprobs=True
    )

    def work() -> int:
        llm.reset_prefix_cache()  # every round has prompts of its own
        return sum(len(answer.outputs[0].token_ids) for answer in llm.generate(batch, parameters, use_tqdm=False))

    measure(work, 2)


if __name__ == "__main__":
    main()
