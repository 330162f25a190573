"""Whether paid training was done by whom it is paid to: from what trainers signed, and from what they were given to
train on. That a gradient is right takes a model, and verifiers; how much was to be done does not. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from r1net.audit.signed import Shown, unsigned
from r1net.protocol.gradients import GradientStatement
from r1net.protocol.settlement import Contribution
from r1net.protocol.signing import Domain
from r1net.protocol.work import TrainTask


@dataclass(frozen=True)
class Stated:
    """A trainer's statement as the coordinator shows it, with the signature that it gave for it, where it was asked
    for, the task that it names, and the bundles of its slot."""

    statement: GradientStatement
    task: TrainTask
    bundles: Mapping[str, Shown]
    signature: str | None = None

    @property
    def tokens(self) -> int | None:
        """How many tokens of the slot's bundles count; None when the worker has no slot, or a bundle isn't shown."""
        slot = next((slot for slot in self.task.slots if slot.worker == self.statement.worker), None)
        if slot is None or any(name not in self.bundles for name in slot.bundles):
            return None
        counting = None if self.task.groups is None else frozenset(self.task.groups)
        traces = [trace for name in slot.bundles for trace in self.bundles[name].bundle.traces]
        return sum(t.tokens for t in traces if counting is None or t.group in counting)


def training_fault(row: Contribution, stated: Stated | None, domain: Domain) -> str | None:
    """What is wrong with a contribution that rests on a statement: of who trained, or of who recomputed it."""
    if stated is None:
        return f"the statement {row.evidence} is not shown"
    words = _strange(row, stated, domain)
    if words is not None or row.kind == "verification":
        return words
    statement = stated.statement
    if (statement.lease_id, statement.worker.lower()) != (row.lease_id, row.worker.lower()):
        return "its statement is of another lease or worker"
    return unsigned(statement.lease_id, statement.root(), 1, stated.signature, row.worker, domain)


def _strange(row: Contribution, stated: Stated, domain: Domain) -> str | None:
    """Why a statement is not about so much work of the row's round, done by samplers who signed for it."""
    statement, task = stated.statement, stated.task
    if (statement.job_id, statement.round) != (row.job_id, row.round):
        return "its statement is of another job or round"
    if (statement.task, statement.round, statement.attempt) != (task.digest(), task.round, task.attempt):
        return "the task is not the one that its statement names"
    for name, shown in stated.bundles.items():
        first = shown.bundle.traces[0]
        places = {(trace.job_id, trace.split, trace.round, trace.worker) for trace in shown.bundle.traces}
        if places != {(row.job_id, "train", row.round, first.worker)}:
            return f"its slot's bundle {name} is of another job or round, or of several workers"
        words = shown.unsigned(first.worker, domain)
        if words is not None:
            return f"its slot's bundle {name}: {words}"
    return None if stated.tokens == row.tokens else f"{row.tokens} tokens, and its slot has {stated.tokens}"
