"""A small job: a byte tokenizer, a made-up model, fixed keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from r1net.environments import sampling_seed
from r1net.protocol.canonical import sha256
from r1net.protocol.files import FileRef
from r1net.protocol.job import (
    Evaluation,
    Grpo,
    JobSpec,
    ModelRef,
    PolicyVersion,
    Prices,
    RewardSpec,
    Sampling,
    Verification,
)
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.trace import Trace
from r1net.protocol.work import Lease, RolloutTask, TrainTask
from r1net.rewards import computed_outside, total
from r1net.scoring import JobScorer

CHAIN_ID = 31337
REGISTRY = "0x" + "11" * 20
TOKEN = Account.from_key("0x" + "22" * 32).address
SUBMITTER_KEY: LocalAccount = Account.from_key("0x" + "33" * 32)
SUBMITTER = SUBMITTER_KEY.address
STOP = 256


def key(number: int) -> LocalAccount:
    """A fixed key."""
    account: LocalAccount = Account.from_key(hashlib.sha256(f"key {number}".encode()).digest())
    return account


def tokenizer_json() -> bytes:
    """A byte-level tokenizer: 256 bytes and one stop token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: n for n, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    assert tokenizer.token_to_id("<|end|>") == STOP
    return tokenizer.to_str().encode()


CONFIG = {"model_type": "llama", "vocab_size": 260, "max_position_embeddings": 1 << 20}
MODEL_FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "tokenizer.json": tokenizer_json(),
    "model.safetensors": b"weights, as far as the coordinator can tell",
}


def sharded(
    count: int, content: Callable[[int], bytes] = lambda number: f"shard {number}".encode()
) -> dict[str, bytes]:
    """The files of a model whose weights are in so many shards."""
    shards = {f"model-{n:05d}-of-{count:05d}.safetensors": content(n) for n in range(1, count + 1)}
    index = {"weight_map": {f"layer {number}": name for number, name in enumerate(shards)}}
    small = {name: data for name, data in MODEL_FILES.items() if name != "model.safetensors"}
    return small | {"model.safetensors.index.json": json.dumps(index).encode()} | shards


def job_spec(**changes: Any) -> JobSpec:
    """A small GRPO job on chain_sum."""
    spec = JobSpec(
        name="sums",
        submitter=SUBMITTER,
        model=ModelRef(
            name="bytes",
            files={name: FileRef(sha256=sha256(data), size=len(data)) for name, data in MODEL_FILES.items()},
        ),
        environment=EnvironmentSpec(name="reasoning_gym:chain_sum", config={"min_terms": 2, "max_terms": 2}),
        rewards=(RewardSpec(name="correct"), RewardSpec(name="format", weight=0.25)),
        prompt="Q: {question}\nA:",
        stop_token_ids=(STOP,),
        stage=Grpo(rounds=2, groups_per_round=4, group_size=2),
        sampling=Sampling(max_tokens=12),
        evaluation=Evaluation(problems=3, sampling=Sampling(temperature=0.0, max_tokens=12)),
        verification=Verification(rate=0),
        prices=Prices(rollout_token=1000, trained_token=500, verified_token=100),
        payment_token=TOKEN,
        budget=10**9,
        seed=7,
    )
    return spec.model_copy(update=changes)


def file_of(version: int, part: str) -> bytes:
    """The file of a version, as honest trainers come to it."""
    return f"{part} of version {version}".encode()


def next_version(task: TrainTask, flavour: str = "", files: Callable[[int, str], bytes] = file_of) -> PolicyVersion:
    """What a training step comes to."""
    number = task.version.number + 1
    policy, optimizer = files(number, "policy") + flavour.encode(), files(number, "optimizer")
    return PolicyVersion(number=number, policy=sha256(policy), optimizer=sha256(optimizer))


def honest_trace(scorer: JobScorer, lease: Lease, group: int, index: int) -> Trace:
    """One completion: right for even seeds, else wrong and cut off at the length limit."""
    assert isinstance(lease.task, RolloutTask)
    seed = sampling_seed(scorer.spec, lease.task.split, lease.task.round, group, index)
    return trace_of(scorer, lease, group, index, right=seed % 2 == 0)


def trace_of(scorer: JobScorer, lease: Lease, group: int, index: int, right: bool) -> Trace:
    """One completion that is right, or else wrong and cut off at the length limit."""
    task = lease.task
    assert isinstance(task, RolloutTask)
    spec = scorer.spec
    limit = (spec.sampling if task.split == "train" else spec.evaluation.sampling).max_tokens
    seed = sampling_seed(spec, task.split, task.round, group, index)
    answer = scorer.problem(task.split, task.round, group).answer or "any"
    encode = Tokenizer.from_str(tokenizer_json().decode()).encode
    ids = [*encode(answer).ids, STOP] if right else encode("y" * limit).ids
    scored = scorer.score(task.split, task.round, group, ids)
    return Trace(
        job_id=lease.job_id,
        split=task.split,
        round=task.round,
        group=group,
        index=index,
        policy=task.version.policy,
        worker=lease.worker,
        prompt_ids=tuple(scorer.prompt_ids(task.split, task.round, group)),
        completion_ids=tuple(ids),
        logprobs=tuple(-0.25 for _ in ids),
        reward_parts=scored.parts,
        reward=total([reward for reward in spec.rewards if not computed_outside(reward)], scored.parts),
        finish_reason="stop" if ids[-1] == STOP else "length",
        seed=seed,
    )
