"""Replaying traces: what the policy they name says of their tokens, and what their seeds draw from it.

    replayer = Replayer.open(view, source, folder, device)
    for replay in replayer.replay(traces): ...

The reference is the model's own forward pass in float32 on the version's sampled weights, so that what differs is the
sampler's arithmetic and nothing of ours. How much honest arithmetic may differ depends on the policy (on
SmolLM2-135M it doubled within a dozen rounds), so a control in plain bf16 is run beside it, on the same tokens and
seeds: claims are judged by it. Machines that would have to emulate bf16 round float32 instead (`models.rounding`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from r1net.environments import sampling_seed
from r1net.protocol.job import JobSpec, JobView, Sampling
from r1net.protocol.trace import Split, Trace
from r1net.sandbox import SandboxedScorer, SandboxPool
from r1net.sandbox.replies import wrong_replies
from r1net.transport import Transport
from r1node.blobs import BlobCache, version_cache
from r1node.mixes import job_mix
from r1node.models.precision import has_fast_bf16
from r1node.models.rounding import rounding
from r1node.rollout.noise import Noise
from r1node.rollout.sampler import redraw, sample
from r1node.sandbox import job_scorer
from r1node.store import Store
from r1node.training.packing import Group, Sample
from r1node.training.policy import load_policy
from r1node.training.rows import Rows, lay_rows, row_batches, row_logits
from r1node.verification.mixed import require_own_part

HEAD_CHUNK = 128
"""Positions whose logits exist at one time."""

UNSEEN = 1.5
"""What rounding between a model's parts is multiplied by, for that within them. It came to 0.9 and 1.04 of the noise of
bfloat16 arithmetic on two models."""

FARTHEST = 100.0
"""Nats: a claim of minus infinity would say no more than this."""


@dataclass(frozen=True)
class Replay:
    """One trace beside its replay, a value for each completion token.

    `deltas`: recomputed minus claimed log-probability, nats. `misses` and `spreads`: see
    `r1node.rollout.sampler.Redraw`. `usual_deltas` and `usual_misses`: what the control brings instead of the worker.
    `foul`: what is wrong with the answers of the job's tool.
    """

    trace: Trace
    deltas: tuple[float, ...]
    misses: tuple[float, ...]
    spreads: tuple[float, ...]
    usual_deltas: tuple[float, ...]
    usual_misses: tuple[float, ...]
    foul: str | None = field(default=None, kw_only=True)


class Replayer:
    """One job's policy as the judge of its traces. Loads one version at a time."""

    def __init__(
        self, spec: JobSpec, model_dir: Path, scorer: SandboxedScorer, device: str = "cpu", token_budget: int = 1024
    ) -> None:
        self.spec = spec
        self.scorer = scorer
        self._device, self._budget = device, token_budget
        self._policy = load_policy(spec, model_dir, device)
        self._initial = self._policy.save()
        self._reference = self._policy.computing_copy(torch.float32)
        self._coarse = self._policy.computing_copy(torch.bfloat16) if has_fast_bf16(device) else None

    def load(self, policy: bytes | None = None) -> None:
        """Take a version's file; None is version 0."""
        self._policy.load(self._initial if policy is None else policy)
        weights = self._policy.merged()
        for module in (self._reference, self._coarse):  # in place: fresh memory is slow to touch
            for name, parameter in module.named_parameters() if module is not None else ():
                parameter.copy_(weights[name])

    @torch.inference_mode()
    def replay(self, traces: Sequence[Trace]) -> list[Replay]:
        """Replay traces of the version that is loaded; the answer's order is its own. Raises ProtocolError when the
        coordinator's mix doesn't fit what it admitted: then they can't be judged."""
        found: list[Replay] = []
        foul = {id(traces[position]): words for position, words in self._wrong_replies(traces)}
        for split in ("train", "heldout"):
            chosen = [trace for trace in traces if trace.split == split]
            found.extend(self._replay_split(chosen, self._sampling(split), foul))
        return [replace(one, foul=foul[id(one.trace)]) if id(one.trace) in foul else one for one in found]

    def _wrong_replies(self, traces: Sequence[Trace]) -> Iterator[tuple[int, str]]:
        """Of a job's own tool nobody is convicted: its code might tell this machine from another."""
        if self.spec.turns is None or self.spec.turns.code is None:
            yield from wrong_replies(traces, self.spec, self.scorer.replies)

    def _sampling(self, split: Split) -> Sampling:
        return self.spec.sampling if split == "train" else self.spec.evaluation.sampling

    def _replay_split(self, traces: Sequence[Trace], sampling: Sampling, foul: Collection[int]) -> Iterator[Replay]:
        # A sample is found again by its identity: packing sorts groups and splits wide ones.
        of_sample: dict[int, Trace] = {}
        groups = []
        grouped = _by_group(traces)
        prompts = self.scorer.prompts([(members[0].split, members[0].round, members[0].group) for members in grouped])
        require_own_part(grouped, prompts, foul, self.scorer)
        for members, prompt in zip(grouped, prompts, strict=True):
            samples = [Sample(trace.completion_ids, trace.logprobs, 0.0, trace.given) for trace in members]
            of_sample |= {id(sample): trace for sample, trace in zip(samples, members, strict=True)}
            groups.append(Group(prompt.ids, samples))
        for rows in row_batches(groups, self._budget):
            packed = [of_sample[id(sample)] for _, sample in rows]
            yield from self._replay_batch(packed, lay_rows(rows, self._device), sampling)

    def _replay_batch(self, traces: Sequence[Trace], batch: Rows, sampling: Sampling) -> list[Replay]:
        real = batch.mask_NT.bool()
        seeds = [sampling_seed(self.spec, t.split, t.round, t.group, t.index) for t in traces]
        rows, steps = (places.cpu() for places in real.nonzero(as_tuple=True))
        tokens = batch.target_NT[real]
        exact = row_logits(self._reference, batch)
        rounded = self._rounded(batch, exact)
        drawn = Noise(seeds, exact.shape[-1])
        parts = []
        for chunk in torch.arange(len(tokens)).split(HEAD_CHUNK):
            noise = drawn.at(rows[chunk], steps[chunk]).to(self._device)
            parts.append(self._compare(exact[chunk], rounded[chunk], noise, tokens[chunk], sampling))
        logprobs, *columns = (torch.cat(column) for column in zip(*parts, strict=True))
        columns.insert(0, (logprobs - batch.sampler_NT[real]).clamp(-FARTHEST, FARTHEST))
        of_traces = zip(*(column.split(real.sum(1).tolist()) for column in columns), strict=True)
        return [Replay(trace, *map(_floats, row)) for trace, row in zip(traces, of_traces, strict=True)]

    def _rounded(self, batch: Rows, exact: Tensor) -> Tensor:
        """The control's logits."""
        if self._coarse is not None:
            return row_logits(self._coarse, batch)
        with rounding(self._reference):
            return exact + UNSEEN * (row_logits(self._reference, batch) - exact)

    def _compare(
        self, exact: Tensor, rounded: Tensor, noise: Tensor, tokens: Tensor, sampling: Sampling
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Log-probabilities, misses and spreads of the tokens; deltas and misses of the control."""
        logits, usual = exact.float(), rounded.float()
        found = redraw(logits, noise, tokens, sampling)
        own_draw, _ = sample(usual, noise, sampling)
        usual_deltas = found.logprobs - redraw(usual, noise, tokens, sampling).logprobs
        return (
            *(found.logprobs, found.misses, found.spreads),
            *(usual_deltas, redraw(logits, noise, own_draw, sampling).misses),
        )


@dataclass(frozen=True)
class Archive:
    """Where the files of policy versions come from: the worker's own cache, else the coordinator."""

    base: str
    own: BlobCache
    source: Transport

    def policy(self, digest: str) -> bytes | None:
        """The file of a version; None for version 0. Raises Refused when nobody has it any more."""
        if digest == self.base:
            return None
        if self.own.has(digest):
            return self.own.path(digest).read_bytes()
        return self.source.get_blob(digest)


@dataclass(frozen=True)
class Desk:
    """Where a replay happens: its files come from `source`, policy versions lie below `folder`."""

    source: Transport
    store: Store
    folder: Path
    device: str
    sandbox: SandboxPool

    def open_job(self, view: JobView) -> tuple[Replayer, Archive]:
        """A job's replayer and archive. Fetches the model when it isn't there. Raises NoRoom."""
        spec = view.spec
        self.store.claim(spec)
        model_dir = self.store.model(spec.model, self.source)
        files = self.store.files(spec, self.source)
        scorer = job_scorer(self.sandbox, spec, model_dir, files, job_mix(view, self.source))
        replayer = Replayer(spec, model_dir, scorer, self.device)
        return replayer, Archive(spec.model.digest(), version_cache(self.folder), self.source)


def _by_group(traces: Sequence[Trace]) -> list[list[Trace]]:
    groups: dict[tuple[int, int], list[Trace]] = {}
    for trace in traces:
        groups.setdefault((trace.round, trace.group), []).append(trace)
    return list(groups.values())


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
