"""Decoding with `transformers.generate`, as a script without a framework would."""

from __future__ import annotations

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.benchmarks.workload import MODEL, TOKENS, measure, prompts, setup


def main() -> None:
    """`python -m tests.benchmarks.decode_transformers bfloat16 8`"""
    dtype, group = getattr(torch, sys.argv[1]), int(sys.argv[2])
    setup()
    tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=dtype).eval()
    batch = tokenizer([text for text in prompts() for _ in range(group)], return_tensors="pt", padding=True)

    def work() -> int:
        with torch.inference_mode():
            out = model.generate(
                **batch,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=TOKENS,
                min_new_tokens=TOKENS,
                return_dict_in_generate=True,
                output_logits=True,
            )
        steps = len(out.logits)
        for step in range(steps):  # the sampler's log-probabilities, which RL needs
            chosen = out.sequences[:, step - steps, None]
            out.logits[step].float().log_softmax(-1).gather(-1, chosen)
        return steps * len(out.sequences)

    measure(work, 1)


main()
