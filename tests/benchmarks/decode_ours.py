"""Decoding with the built-in engine."""

from __future__ import annotations

import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from r1net.protocol.job import Sampling
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Prompt
from tests.benchmarks.workload import MODEL, TOKENS, measure, prompts, setup


def main() -> None:
    """`python -m tests.benchmarks.decode_ours bfloat16 8`"""
    dtype, group = getattr(torch, sys.argv[1]), int(sys.argv[2])
    setup()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    engine = BuiltinEngine(AutoConfig.from_pretrained(MODEL), dtype)
    engine.load(AutoModelForCausalLM.from_pretrained(MODEL, dtype=dtype).state_dict())
    batch = [
        Prompt(tokenizer(text).input_ids, [number * group + row for row in range(group)])
        for number, text in enumerate(prompts())
    ]

    def work() -> int:
        answers = engine.generate(batch, Sampling(max_tokens=TOKENS), [])
        return sum(len(completion.token_ids) for answer in answers for completion in answer)

    measure(work, 2)


main()
