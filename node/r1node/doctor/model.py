"""Whether this host would compute a model right, tried on the model: what `join` does at every job, beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from r1net.errors import UsageError
from r1net.findings import Finding
from r1net.models import describe_model
from r1net.protocol.architectures import require_supported
from r1net.protocol.job import Grpo, JobSpec, ModelRef, Precision, RewardSpec, Sampling
from r1net.protocol.model_files import check_config
from r1net.protocol.problems import EnvironmentSpec
from r1net.tokens import stop_tokens
from r1node.devices import pick_device
from r1node.models.precision import computing
from r1node.rollout.choice import choose
from r1node.settings import Settings
from r1node.training.policy import load_policy
from r1node.training.trainer import Trainer
from r1node.verification.selfcheck import check

_NOBODY = "0x" + "00" * 20
_PROMPT = 32
"""Tokens of a usual prompt."""


def examine_model(settings: Settings, folder: Path) -> Iterator[Finding]:
    """Findings on a model folder, in both precisions that a job may ask for."""
    try:
        files = describe_model(folder)
        family = require_supported(check_config((folder / "config.json").read_bytes(), "config.json"))
    except UsageError as error:
        yield Finding("model", "failure", error.message, error.hint)
        return
    yield Finding("model", "ok", f"{files.name}, of the family {family.title}")
    for dtype in ("bfloat16", "float32"):
        yield _computed(settings, folder, _trial(files, stop_tokens(folder), dtype))


def _trial(model: ModelRef, stops: tuple[int, ...], dtype: Precision) -> JobSpec:
    return JobSpec(
        name="doctor",
        submitter=_NOBODY,
        model=model,
        environment=EnvironmentSpec(name="reasoning_gym:chain_sum"),
        rewards=(RewardSpec(name="correct"),),
        prompt="{question}",
        stop_token_ids=stops,
        stage=Grpo(rounds=1),
        sampling=Sampling(),
        dtype=dtype,
        payment_token=_NOBODY,
        budget=0,
    )


def _computed(settings: Settings, folder: Path, spec: JobSpec) -> Finding:
    name, device = f"{spec.dtype} weights", pick_device(settings.device)
    try:
        policy = load_policy(spec, folder, device)
        trainer = Trainer(spec, policy, device)
        with TemporaryDirectory() as scratch:
            choice = choose(settings, device)
            engine = choice.make(policy, computing(device, spec.dtype), device, Path(scratch))
            found = check(policy, trainer, engine, _PROMPT)
            engine.unload()
    except UsageError as error:
        return Finding(name, "failure", error.message, error.hint)
    how = "built-in kernels" if policy.why_not_plain is None else f"transformers, slower ({policy.why_not_plain})"
    return Finding(name, "ok", f"computed in {trainer.dtype}, by {how}: {found}".replace("torch.", ""))
