"""Where cheats are made: one job on a real model, honest work on it, and everything that passes for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from r1net.environments import sampling_seed
from r1net.models import describe_model, render_prompt, stop_tokens
from r1net.protocol.job import Grpo, JobSpec, PolicyVersion, RewardSpec, Sampling
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.trace import Trace
from r1net.protocol.work import RolloutTask
from r1net.scoring import JobScorer
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Completion, Prompt
from r1node.sandbox import job_scorer
from r1node.training.packing import Group, Sample
from r1node.training.policy import TrainablePolicy
from r1node.training.rows import lay_rows, row_batches, row_logits
from r1node.verification.replay import Replay, Replayer
from tests.e2e.demo.cheat import Forger
from tests.e2e.demo.profiles import Profile
from tests.sandbox import SANDBOX

FULL_RATE = 1e-5
"""Learning rate for all weights of a job that trains an adapter at a far higher one."""

JOB, WORKER = "0x" + "11" * 32, "0x" + "22" * 20
Weights = Mapping[str, Tensor]


class Workshop:
    """A profile's job, its model as version 0, and a replayer that has it loaded. `bundle` groups make a submission."""

    def __init__(self, profile: Profile, folder: Path, submissions: int, bundle: int, seed: int = 0) -> None:
        job = profile.job
        self.spec = JobSpec(
            name=profile.name,
            submitter=WORKER,
            model=describe_model(folder),
            environment=EnvironmentSpec(name=job["environment"], config=job["environment_config"]),
            rewards=(RewardSpec(name="correct"),),
            prompt=job.get("prompt") or render_prompt(folder, None, job.get("prefill", "")),
            stop_token_ids=stop_tokens(folder),
            stage=Grpo(rounds=1, groups_per_round=submissions * bundle),
            sampling=job["sampling"],
            dtype="bfloat16",
            payment_token=WORKER,
            budget=0,
            seed=seed,
        )
        self.bundle = bundle
        self.groups = range(submissions * bundle)
        self.rate = FULL_RATE if "lora" in job else float(job["optimizer"].learning_rate)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.scorer = JobScorer(self.spec, folder / "tokenizer.json")
        self.policy = TrainablePolicy(self.spec, folder)
        self.weights: Weights = {name: tensor.clone() for name, tensor in self.policy.merged().items()}
        self.replayer = Replayer(self.spec, folder, job_scorer(SANDBOX, self.spec, folder))
        self.replayer.load()

    @property
    def size(self) -> int:
        """Completions to a group."""
        return self.spec.stage.group_size

    def seeds(self, group: int, shift: int = 0) -> list[int]:
        """The group's seeds; with a shift, those of places that don't exist."""
        return [sampling_seed(self.spec, "train", 0, group, index + shift * self.size) for index in range(self.size)]

    def sample(
        self,
        weights: Weights | None = None,
        sampling: Sampling | None = None,
        prompts: Sequence[Prompt] | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> list[list[Completion]]:
        """What the engine makes of every group, honestly but for what is given."""
        engine = BuiltinEngine(self.policy.config, dtype)
        engine.load(weights or self.weights)
        chosen = prompts or [Prompt(self.prompt_ids(group), self.seeds(group)) for group in self.groups]
        return engine.generate(chosen, sampling or self.spec.sampling, self.spec.stop_token_ids)

    def prompt_ids(self, group: int) -> list[int]:
        """The canonical prompt."""
        return self.scorer.prompt_ids("train", 0, group)

    def answer(self, group: int) -> str:
        """The reference answer."""
        return self.scorer.problem("train", 0, group).answer

    def traces(self, completions: Sequence[Sequence[Completion]]) -> list[Trace]:
        """Completions handed in at their places."""
        return [
            self.trace(group, index, completion)
            for group, members in zip(self.groups, completions, strict=True)
            for index, completion in enumerate(members)
        ]

    def trace(self, group: int, index: int, completion: Completion) -> Trace:
        """One completion handed in as honest work of version 0."""
        scored = self.scorer.score("train", 0, group, completion.token_ids)
        return Trace(
            job_id=JOB,
            split="train",
            round=0,
            group=group,
            index=index,
            policy=self.spec.model.digest(),
            worker=WORKER,
            prompt_ids=tuple(self.prompt_ids(group)),
            completion_ids=tuple(completion.token_ids),
            logprobs=tuple(completion.logprobs),
            reward_parts=scored.parts,
            reward=scored.reward,
            finish_reason=completion.finish_reason,
            seed=self.seeds(group)[index],
        )

    def forged(self) -> list[Trace]:
        """What the demo's cheat hands in."""
        forger = Forger(self.scorer, self.tokenizer, WORKER)
        version = PolicyVersion(number=0, policy=self.spec.model.digest())
        task = RolloutTask(split="train", round=0, version=version, groups=tuple(self.groups))
        return [forger.trace(JOB, task, group, index) for group in self.groups for index in range(self.size)]

    def right_logprobs(self, traces: Sequence[Trace]) -> list[Trace]:
        """The same tokens with the log-probabilities that the claimed policy gives them: the cheat has the model."""
        return [
            replay.trace.model_copy(update={"logprobs": shifted(replay)}) for replay in self.replayer.replay(traces)
        ]

    def later_version(self, steps: int) -> Weights:
        """Weights after some steps of policy gradient."""
        module = self.policy.computing_copy(torch.float32).requires_grad_()
        optimizer = torch.optim.AdamW(module.parameters(), lr=self.rate, weight_decay=0.0)
        traces = self.traces(self.sample())[: 16 * self.size]
        for _ in range(steps):
            optimizer.zero_grad()
            for start in range(0, len(traces), self.size):
                self._loss(module, traces[start : start + self.size]).backward()
            optimizer.step()
        return {name: p.detach().to(self.policy.precision) for name, p in module.named_parameters()}

    def _loss(self, module: torch.nn.Module, members: Sequence[Trace]) -> Tensor:
        mean = sum(trace.reward for trace in members) / len(members)
        samples = [Sample(trace.completion_ids, trace.logprobs, trace.reward - mean) for trace in members]
        (rows,) = row_batches([Group(members[0].prompt_ids, samples)], 1_000_000)
        batch = lay_rows(rows)
        real = batch.mask_NT.bool()
        logprobs = row_logits(module, batch).log_softmax(-1)
        chosen = logprobs.gather(-1, batch.target_NT[real][:, None])[:, 0]
        return -(chosen * batch.advantages_N[:, None].expand_as(real)[real]).sum() / len(samples)


def noisy(weights: Weights, share: float) -> Weights:
    """Gaussian noise on every matrix, in shares of its own standard deviation."""
    torch.manual_seed(1)
    return {
        name: tensor + torch.randn_like(tensor) * tensor.std() * share if tensor.ndim == 2 else tensor
        for name, tensor in weights.items()
    }


def with_tokens(completion: Completion, at: int, token: int) -> Completion:
    """One token replaced, everything else as it was claimed."""
    ids = list(completion.token_ids)
    ids[at] = token
    return replace(completion, token_ids=ids)


def shifted(replay: Replay) -> tuple[float, ...]:
    """The log-probabilities that the replayed policy gives a trace's tokens."""
    moved = (claimed + delta for claimed, delta in zip(replay.trace.logprobs, replay.deltas, strict=True))
    return tuple(min(0.0, value) for value in moved)
