"""`r1node verify`: replay what others handed in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from r1net.chain.keystore import keystore_address
from r1net.protocol.job import JobView
from r1node.cli.context import Context
from r1node.sandbox import open_sandbox

if TYPE_CHECKING:
    from r1node.verification.replay import Desk
    from r1node.verification.sample import Checked

VERDICTS = {True: "holds", False: "bad", None: "not replayable"}


@dataclass(frozen=True)
class WorkerCheck:
    """One worker's sample; the figures are those of `Finding`. `gone`: traces whose policy nobody has any more.
    `trace`: the one that deviates most, to challenge."""

    worker: str
    traces: int
    tokens: int
    mean_abs_delta: float | None
    max_abs_delta: float | None
    noise: float | None
    drawn: float | None
    gone: int
    verdict: str
    faults: str | None
    trace: str | None


@dataclass(frozen=True)
class Verification:
    """Every worker's sample; exit code 1 when one of them is bad."""

    job: str
    workers: list[WorkerCheck]

    @property
    def exit_code(self) -> int:
        """0 when nothing speaks against anybody."""
        return 1 if any(row.verdict == VERDICTS[False] for row in self.workers) else 0


def verify(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(help="id of the job")],
    sample: Annotated[int, typer.Option(min=1, help="traces of each worker to replay, drawn at random")] = 32,
) -> Verification:
    """Replay a random sample of every other worker's traces, and judge it."""
    context: Context = ctx.obj
    source = context.coordinator()
    view = source.get(f"/v1/jobs/{job}", JobView)
    from r1node.verification.sample import check_sample, draw_sample  # noqa: PLC0415 - loads torch

    with open_desk(context) as desk:
        checked = check_sample(desk, view, draw_sample(source, job, sample, own_workers(context)))
    return Verification(job, [_row(one) for one in checked])


def _row(checked: Checked) -> WorkerCheck:
    verdict = checked.verdict
    finding = verdict.finding if verdict else None
    faults = "; ".join(finding.faults) if finding else ""
    return WorkerCheck(
        worker=checked.worker,
        traces=finding.traces if finding else 0,
        tokens=finding.tokens if finding else 0,
        mean_abs_delta=round(finding.mean_abs_delta, 4) if finding else None,
        max_abs_delta=round(finding.max_abs_delta, 3) if finding else None,
        noise=round(finding.noise, 4) if finding else None,
        drawn=round(finding.drawn, 4) if finding else None,
        gone=checked.gone,
        verdict=VERDICTS[verdict.holds if verdict else None],
        faults=faults or None,
        trace=verdict.worst if verdict and not verdict.holds else None,
    )


def own_workers(context: Context) -> list[str]:
    """The addresses of this host's workers."""
    return [keystore_address(folder / "key.json") for folder in context.settings.worker_folders]


@contextmanager
def open_desk(context: Context) -> Iterator[Desk]:
    """A place to replay at, with its sandbox."""
    device = torch_device(context)
    from r1node.store import Store  # noqa: PLC0415 - reads weights
    from r1node.verification.replay import Desk  # noqa: PLC0415 - loads torch

    with closing(open_sandbox(context.settings)) as sandbox:
        settings = context.settings
        store = Store(settings.store_folder, settings.store_bytes)
        yield Desk(context.coordinator(), store, settings.worker_folder, device, sandbox)


def torch_device(context: Context) -> str:
    """The device to compute on, torch told how many threads it may use."""
    import torch  # noqa: PLC0415 - takes seconds; most commands do without

    from r1node.devices import pick_device  # noqa: PLC0415 - loads torch

    torch.set_num_threads(context.settings.threads or os.cpu_count() or 1)
    return pick_device(context.settings.device)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(verify)
