"""How a run is shown: in a line, as a cell of a notebook, as a table, and while it goes on."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from r1net.amounts import about
from r1net.errors import UsageError
from r1net.protocol.job import JobView
from r1net.protocol.views import RoundRecord

_FIGURES = ("reward", "frac_reward_zero_std", "completions/mean_length", "kl", "grad_norm")


def at_a_terminal(words: str) -> None:
    """Say what goes on to a person who looks; programs' logs are left alone."""
    if sys.stderr.isatty():
        print(words, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Cost:
    """What a job has cost so far, and what it may: wei of its token. `budget` counts what was put in later. `r1`:
    whether that token is R1."""

    spent: int
    budget: int
    r1: bool = True

    @property
    def left(self) -> int:
        """What is not spent."""
        return max(0, self.budget - self.spent)

    def __str__(self) -> str:
        return f"{about(self.spent, self.r1)} of {about(self.budget, self.r1)}"


@dataclass
class Seen:
    """What was last heard of a job. Nobody is asked for it."""

    view: JobView | None = None
    record: RoundRecord | None = None

    def facts(self) -> list[tuple[str, str]]:
        """Name, state, round and reward, as far as they are known."""
        found: list[tuple[str, str]] = []
        if self.view is not None:
            state = f"{self.view.state}, {self.view.held}" if self.view.held else self.view.state
            rounds = self.view.spec.stage.rounds
            done = max(self.view.round, self.record.round + 1 if self.record else 0)
            found += [("name", self.view.spec.name), ("state", state), ("round", f"{done} of {rounds}")]
            if self.view.error:
                found.append(("error", self.view.error))
        if self.record is not None and "reward" in self.record.metrics:
            found.append(("reward", f"{self.record.metrics['reward']:.4g}"))
        return found


def as_line(job_id: str, seen: Seen) -> str:
    """For `repr`."""
    facts = [f"{name} {value!r}" if name in ("name", "error") else f"{name} {value}" for name, value in seen.facts()]
    return f"<Run {job_id}: {', '.join(facts) or 'not looked at yet'}>"


def as_html(job_id: str, seen: Seen, page: str) -> str:
    """For notebooks, with a link to the job's page. A job's name and its errors are a stranger's."""
    facts = [("job", job_id), *seen.facts()]
    rows = (
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in facts
    )
    link = f"<a href='{escape(page)}' target='_blank' rel='noopener'>{escape(page)}</a>"
    return f"<table>{''.join(rows)}</table>{link}"


def round_words(record: RoundRecord) -> str:
    """A round's figures on one line."""
    figures = [f"{name} {record.metrics[name]:.4g}" for name in _FIGURES if name in record.metrics]
    return f"round {record.round}: {', '.join(figures)}"


def as_frame(records: Iterable[RoundRecord]) -> Any:
    """A pandas.DataFrame, a row for each round. Raises UsageError without pandas."""
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        raise UsageError("a table of metrics needs the package pandas", hint="pip install pandas") from error
    rows = [{"round": one.round, **one.metrics, "traces": one.traces, "tokens": one.tokens} for one in records]
    return pandas.DataFrame(rows, columns=None if rows else ["round"]).set_index("round")


@contextmanager
def progress(view: JobView, console: Console) -> Iterator[Any]:
    """Takes each round as it ends: a bar on a terminal and in a notebook, else a line."""
    if not (console.is_terminal or console.is_jupyter):
        yield lambda record: console.print(round_words(record), markup=False, highlight=False, soft_wrap=True)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}", markup=False))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("", total=view.spec.stage.rounds, figures="waiting for the first round")
        yield lambda record: bar.update(task, completed=record.round + 1, figures=round_words(record))
