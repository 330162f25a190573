"""`r1node calibrate`: what honest work on a model looks like to its judge, before a job is submitted."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from r1net.errors import UsageError
from r1net.models import describe_model, own_precision
from r1net.protocol.job import Grpo, JobSpec, RewardSpec, Sampling
from r1net.protocol.problems import EnvironmentSpec
from r1net.templates import render_prompt
from r1net.tokens import stop_tokens
from r1node.cli.context import Context
from r1node.cli.verify import torch_device
from r1node.sandbox import job_scorer, open_sandbox

_NOBODY = "0x" + "00" * 20


def calibrate(
    ctx: typer.Context,
    model: Annotated[Path, typer.Argument(help="folder of the model", exists=True, file_okay=False)],
    environment: Annotated[str, typer.Option(help="where problems come from")] = "reasoning_gym:chain_sum",
    config: Annotated[str, typer.Option(help="the environment's settings, as JSON")] = "{}",
    prefill: Annotated[str, typer.Option(help="words that every answer begins with")] = "",
    max_tokens: Annotated[int, typer.Option(min=1, help="tokens of a completion, at most")] = 64,
    groups: Annotated[int, typer.Option(min=1, help="problems, of eight completions each")] = 32,
) -> object:
    """Measure what the job should say: `r1net.Verification(noise=…, traces=…)`.

    Samples the model in every way that hosts have, and from weights of eight and four bits; replays it all, and tells
    over how many tokens which can be told apart. Takes minutes. Give it the job's own environment and lengths.
    """
    context: Context = ctx.obj
    torch_device(context)
    from r1node.training.policy import TrainablePolicy  # noqa: PLC0415 - loads torch
    from r1node.verification.calibration import calibrate as measure  # noqa: PLC0415
    from r1node.verification.replay import Replayer  # noqa: PLC0415

    spec = JobSpec(
        name="calibration",
        submitter=_NOBODY,
        model=describe_model(model),
        environment=EnvironmentSpec(name=environment, config=_settings(config)),
        rewards=(RewardSpec(name="correct"),),
        prompt=render_prompt(model, None, prefill),
        stop_token_ids=stop_tokens(model),
        stage=Grpo(rounds=1, groups_per_round=groups),
        sampling=Sampling(max_tokens=max_tokens),
        dtype=own_precision(model),
        payment_token=_NOBODY,
        budget=0,
    )
    with closing(open_sandbox(context.settings)) as sandbox:
        return measure(
            spec, Replayer(spec, model, job_scorer(sandbox, spec, model)), TrainablePolicy(spec, model), groups
        )


def _settings(config: str) -> dict[str, Any]:
    try:
        settings = json.loads(config)
    except ValueError as error:
        raise UsageError(f"--config is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise UsageError("--config is no JSON object", hint="""such as '{"min_terms": 2}'""")
    return settings


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(calibrate)
