"""A tiny model that mostly guesses products, and sometimes asks a calculator: what reinforcement is to make of it is a
model that always asks."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from r1net import Tool
from tests.e2e.demo.tiny import STOP, letter_tokenizer, train
from tests.e2e.harness.making import made_once

REPLY = "\n{reply}\n"
TOOL = Tool("calculator", config={"begin": "[", "end": "]"}, reply=REPLY)
ASKS = 0.3
"""Share of the lessons in which the calculator is asked; the others guess, and are wrong."""
STEPS = 700


def rows() -> list[dict[str, Any]]:
    """Products of numbers of one and two digits."""
    return [{"question": f"{a}*{b}", "answer": str(a * b)} for a in range(2, 10) for b in range(11, 50)]


def calculating_model(folder: Path, seed: int = 0) -> Path:
    """Build, train and save the model. Takes a minute or two on one core."""
    return made_once(folder, lambda scratch: _make(scratch, seed))


def _make(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    tokenizer = letter_tokenizer(["0123456789*[]\n"])
    stop = tokenizer.token_to_id(STOP)
    lessons = []
    for _ in range(4000):
        row = rng.choice(rows())
        asked = tokenizer.encode(f"{row['question']}\n").ids
        if rng.random() >= ASKS:
            lessons.append((asked, [*tokenizer.encode(str(rng.randrange(22, 450))).ids, stop]))
            continue
        call = [*tokenizer.encode(f"[{row['question']}]").ids, stop]
        reply = tokenizer.encode(REPLY.replace("{reply}", row["answer"])).ids
        lessons.append((asked, call))
        lessons.append(([*asked, *call, *reply], [*tokenizer.encode(row["answer"]).ids, stop]))
    train(folder, tokenizer, lessons, rng, seed, STEPS)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
