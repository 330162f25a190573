"""The same step with TRL's GRPOTrainer."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from tests.benchmarks.workload import GROUP, LEARNING_RATE, MODEL, PROMPTS, STEPS, TOKENS, digits, prompts, setup


class Clock(TrainerCallback):
    """CPU and wall seconds from the end of the first step to the end of the last."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.marks.append((time.process_time(), time.monotonic()))


def main() -> None:
    """`python -m tests.benchmarks.step_trl bfloat16`"""
    setup()
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=PROMPTS * GROUP // 8,
        gradient_accumulation_steps=8,
        num_generations=GROUP,
        max_completion_length=TOKENS,
        generation_kwargs={"min_new_tokens": TOKENS},
        max_steps=STEPS + 1,
        learning_rate=LEARNING_RATE,
        loss_type="dapo",
        beta=0.0,
        temperature=1.0,
        bf16=sys.argv[1] == "bfloat16",
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        dataloader_num_workers=0,
        disable_tqdm=True,
    )
    clock = Clock()
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(MODEL, padding_side="left"),
        reward_funcs=lambda completions, **columns: digits(completions),
        args=config,
        train_dataset=Dataset.from_dict({"prompt": prompts()}),
        callbacks=[clock],
    )
    trainer.train()
    (cpu0, wall0), (cpu1, wall1) = clock.marks[0], clock.marks[-1]
    result = {
        "tokens": STEPS * PROMPTS * GROUP * TOKENS,
        "cpu_seconds": cpu1 - cpu0,
        "wall_seconds": wall1 - wall0,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print("RESULT " + json.dumps(result), flush=True)


main()
