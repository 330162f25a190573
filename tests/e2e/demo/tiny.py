"""A Llama of 1.5 M parameters, made on the spot: it learns sums of two digits, and a bad habit to be broken."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from r1net.environments import load_environment
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.seeds import derive_seed
from tests.e2e.harness.making import made_once

ENVIRONMENT = "reasoning_gym:chain_sum"
CONFIG = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1, "allow_negation": False}
PROMPT = "{question}\n"
STOP = "<end>"
STEPS = 200
WARMUP = 20
BATCH = 64
RATE = 3e-3
SLIP = "?"
SLIPS = 0.6
"""Share of the lessons in which a stray sign follows the answer: the habit that reinforcement is to break."""


def tiny_model(folder: Path, seed: int = 0) -> Path:
    """Build, train briefly and save the model, unless it is there. Takes half a minute on one core."""
    return made_once(folder, lambda scratch: _make(scratch, seed))


def _make(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    environment = load_environment(EnvironmentSpec(name=ENVIRONMENT, config=CONFIG))
    problems = [environment.problem(derive_seed(seed, "lesson", number)) for number in range(2000)]
    tokenizer = letter_tokenizer([problem.question for problem in problems])
    lessons = []
    for problem in problems:
        answer = problem.answer + (SLIP if rng.random() < SLIPS else "")
        prompt = tokenizer.encode(PROMPT.format(question=problem.question)).ids
        lessons.append((prompt, [*tokenizer.encode(answer).ids, tokenizer.token_to_id(STOP)]))
    train(folder, tokenizer, lessons, rng, seed)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


def letter_tokenizer(texts: list[str]) -> Tokenizer:
    split = Regex(r"\d|[A-Za-z]+|[^\sA-Za-z\d]|\s")
    pieces = {piece for text in [*texts, "-0123456789\n" + SLIP] for piece in _pieces(split, text)}
    vocabulary = {token: number for number, token in enumerate(["<unk>", STOP, *sorted(pieces)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(split, "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([STOP])
    return tokenizer


def _pieces(split: Regex, text: str) -> list[str]:
    return [piece for piece, _ in pre_tokenizers.Split(split, "isolated").pre_tokenize_str(text)]


def train(
    folder: Path,
    tokenizer: Tokenizer,
    lessons: list[tuple[list[int], list[int]]],
    rng: random.Random,
    seed: int,
    steps: int = STEPS,
) -> None:
    """A model of the tokenizer's pieces, trained for some steps on prompts and what to say to them."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from r1node.models.precision import has_fast_bf16

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=192,
        intermediate_size=1024,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.token_to_id(STOP),
        bos_token_id=None,
        pad_token_id=None,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / WARMUP) * (1.0 if step < 0.7 * steps else 0.3)
        batch = rng.sample(lessons, BATCH)
        width = max(len(prompt) + len(answer) for prompt, answer in batch)
        ids = torch.zeros(BATCH, width, dtype=torch.long)
        labels = torch.full((BATCH, width), -100)
        for row, (prompt, answer) in enumerate(batch):
            ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
            labels[row, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16("cpu")):
            loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.save_pretrained(folder)
