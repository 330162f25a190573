"""The gallery's table, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from r1net import R1
from tests.adversarial.network.outcomes import Outcome

COLUMNS = (
    "cheat",
    "told",
    "refused",
    "drawn",
    "caught",
    "traces bad",
    "paid of",
    "points",
    "court",
    "rate",
    "profit",
    "held",
)


def write(path: Path, outcomes: Sequence[Outcome]) -> None:
    """All figures; wei are exact integers."""
    path.write_text(json.dumps([outcome.model_dump() for outcome in outcomes], indent=2) + "\n")


def show(outcomes: Sequence[Outcome]) -> None:
    """A line for each cheat."""
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for outcome in outcomes:
        table.add_row(*line(outcome))
    console = Console(highlight=False, width=200)
    console.print()
    console.print(table)


def line(outcome: Outcome) -> tuple[str, ...]:
    """One cheat's figures in words."""
    return (
        outcome.name,
        str(outcome.lies),
        ", ".join(f"{count} {code}" for code, count in outcome.failures.items()) or "–",
        str(outcome.drawn),
        _share(outcome.caught, outcome.drawn),
        _share(outcome.bad_traces, outcome.traces) if outcome.kind == "rollout" else "–",
        f"{_coins(outcome.paid)} of {_coins(outcome.worth)}",
        ", ".join(f"{count} {reason}" for reason, count in outcome.reasons.items()) or "–",
        str(outcome.disputed) if outcome.kind == "verification" else "–",
        f"{outcome.rate:.2f}" if outcome.rate else "–",
        _profit(outcome),
        "yes" if outcome.stands else "NO",
    )


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}" if whole else "–"


def _coins(wei: int) -> str:
    return f"{wei / R1:.3f}"


def _profit(outcome: Outcome) -> str:
    if outcome.profit is None:
        return "what it saves" if outcome.drawn and outcome.kind != "verification" else "–"
    return f"{outcome.profit / R1:+.1f}"
