"""What the demo leaves behind: `build/demo/summary.json`, and the same for people."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from r1net.cli.output import tokens
from r1net.protocol.views import EvaluationRecord
from tests.e2e.demo.trial import Conviction, Justice


class EvalFigure(BaseModel):
    """Held-out accuracy with its 95 % interval (Wilson)."""

    accuracy: float
    low: float
    high: float
    problems: int
    version: int

    @classmethod
    def of(cls, record: EvaluationRecord) -> EvalFigure:
        """From the coordinator's record."""
        return cls(
            accuracy=record.accuracy,
            low=record.low,
            high=record.high,
            problems=record.problems,
            version=record.version.number,
        )


class ClaimFigure(BaseModel):
    """One host's claim."""

    account: str
    wei: int
    transaction: str


class Summary(BaseModel):
    """The demo's result. `seconds` by phase, `peak_rss_mb` by process (its children included)."""

    model_config = ConfigDict(extra="forbid")

    profile: str
    job_id: str
    reward_first: float
    reward_last: float
    eval_first: EvalFigure
    eval_last: EvalFigure
    improved: bool
    rounds: int
    digests: dict[int, dict[str, str]]
    traces_accepted: int
    traces_anchored: int
    traces_root: str
    claims: list[ClaimFigure]
    provenance_verified: bool
    audit_holds: bool
    justice: Justice
    seconds: dict[str, float]
    peak_rss_mb: dict[str, float]

    @property
    def good(self) -> bool:
        """Whether the demo showed what it promises."""
        return self.improved and self.provenance_verified and self.audit_holds and self.justice.done

    def write(self, path: Path) -> None:
        """As JSON; wei as a string would surprise no program, but Python's integers are exact here."""
        path.write_text(self.model_dump_json(indent=2) + "\n")

    def show(self) -> None:
        """For people."""
        console = Console(highlight=False)
        table = Table(box=None, show_header=False, pad_edge=False)
        first, last = self.eval_first, self.eval_last
        agreed = sum(len(set(by_node.values())) == 1 for by_node in self.digests.values())
        rows = [
            ("reward", f"{self.reward_first:.3f} → {self.reward_last:.3f} over {self.rounds} rounds"),
            ("held-out before", f"{first.accuracy:.1%}  [{first.low:.1%}, {first.high:.1%}] of {first.problems}"),
            ("held-out after", f"{last.accuracy:.1%}  [{last.low:.1%}, {last.high:.1%}] of {last.problems}"),
            ("replicas", f"bit-identical in {agreed} of {len(self.digests)} versions"),
            ("traces", f"{self.traces_accepted} accepted, {self.traces_anchored} anchored under {self.traces_root}"),
            ("provenance", "one trace proved against the chain" if self.provenance_verified else "NOT VERIFIED"),
            ("audit", "roots and amounts recomputed, all hold" if self.audit_holds else "DOES NOT HOLD"),
        ]
        rows += [(f"claim {c.account[:10]}…", f"{tokens(c.wei)} R1 in {c.transaction}") for c in self.claims]
        rows += [(one.cheat, self._conviction(one)) for one in self.justice.convictions]
        rows += [("robber", self._robbery()), ("court", self._justice())]
        rows += [("time", ", ".join(f"{name} {spent:.0f} s" for name, spent in self.seconds.items()))]
        rows += [("peak memory", ", ".join(f"{name} {mb:.0f} MB" for name, mb in self.peak_rss_mb.items()))]
        for row in rows:
            table.add_row(*row)
        console.print()
        console.print(table, soft_wrap=True)

    def _conviction(self, one: Conviction) -> str:
        found = "found" if one.caught else "NOT CAUGHT"
        return (
            f"{one.accused[:10]}… {found}; paid {tokens(one.paid)} R1, slashed by {tokens(one.slashed_wei)} R1 in "
            f"{len(one.transactions)} transactions"
        )

    def _robbery(self) -> str:
        one = self.justice.robbery
        found = "rejected" if one.rejected else "NOT REJECTED"
        return (
            f"{one.accused[:10]}… wanted {tokens(one.wanted_wei)} R1 in epoch {one.epoch}: {found}; paid "
            f"{tokens(one.paid_wei)} R1, slashed by {tokens(one.slashed_wei)} R1, {tokens(one.bond_wei)} of it its bond"
            f"{', suspended' if one.suspended else ', NOT SUSPENDED'}"
        )

    def _justice(self) -> str:
        found = self.justice
        return (
            f"{found.checked} traces and gradients repeated, {found.honest_rejected} honest ones rejected; "
            f"{tokens(found.bounty_wei)} R1 to the challenger, {tokens(found.burned_wei)} burned"
        )
