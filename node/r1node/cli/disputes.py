"""`r1node challenge`, `answer`, `appeal` and `disputes`: accusing, answering, looking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r1net.chain import Chain
from r1net.chain.disputes import DisputePhase, DisputeState, SignedSubmission, Verdict
from r1net.cli.output import Moment
from r1net.errors import ProtocolError, R1Error, Refused, Unreachable, UsageError
from r1net.protocol.evidence import Evidence
from r1net.protocol.signing import Domain
from r1node.cli.context import Context
from r1node.cli.verify import open_desk
from r1node.network import open_domain
from r1node.verification.defence import Defence
from r1node.verification.exhibit import fetch_exhibit
from r1node.verification.filing import file_evidence

if TYPE_CHECKING:
    from r1node.verification.replay import Desk

NEXT_STEPS = {
    DisputePhase.OPEN: "the accused answers: r1node answer {0}; after the deadline: r1node jury run",
    DisputePhase.DRAWING: "the committee is drawn: r1node jury run",
    DisputePhase.VOTING: "jurors commit until the deadline, then reveal: r1node jury run",
    DisputePhase.DECIDED: "the loser may, twice in all: r1node appeal {0}; after the deadline: r1node jury run",
    DisputePhase.RESOLVED: "nothing, it is over",
}


class NotFaulty(R1Error):
    """Nothing speaks against what was to be challenged."""

    code = "not_faulty"


@dataclass(frozen=True)
class Challenge:
    """A dispute that was opened. `evidence` is the digest on chain of `file`."""

    dispute: int
    accused: str
    trace: str
    faults: tuple[str, ...]
    evidence: str
    file: Path
    answer_until: Moment


@dataclass(frozen=True)
class Answer:
    """An answer that was given. `reply` is the digest on chain of `file`."""

    dispute: int
    reply: str
    file: Path
    transaction: str


@dataclass(frozen=True)
class DisputeRow:
    """Where a dispute stands. `deadline` ends the present step: later, if settlement is paused before it."""

    dispute: int
    phase: str
    verdict: str
    subject: str
    challenger: str
    accused: str
    deadline: Moment | None
    next_step: str


def challenge(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(help="id of the job")],
    trace: Annotated[str, typer.Argument(help="digest of the trace, as `r1node verify` names it")],
) -> Challenge:
    """Replay the submission that a trace came in; if it is bad, dispute it on chain against a bond."""
    context: Context = ctx.obj
    with open_desk(context) as desk:
        return challenge_trace(context, desk, job, trace)


def challenge_trace(context: Context, desk: Desk, job: str, trace: str) -> Challenge:
    """Dispute a trace whose submission is bad by this host's own replay. Raises NotFaulty when it isn't."""
    from r1node.verification.bench import examine  # noqa: PLC0415 - loads torch

    exhibit = fetch_exhibit(desk.source, signing_domain_of(context), job, trace)
    finding = examine(exhibit, desk)
    if not finding.faults:
        raise NotFaulty(
            f"work of {finding.tokens} tokens was repeated, and nothing speaks against it",
            hint="`r1node verify` names traces that are bad; a lost challenge costs the bond",
        )
    signed = exhibit.signed
    file, digest = file_evidence(context.settings.home, Evidence(kind="accusation", submission=signed, finding=finding))
    chain = context.chain(context.owner())
    submission = SignedSubmission(signed.lease_id, signed.traces_root, signed.count, signed.signature)
    number = chain.disputes.challenge_trace(submission, trace, signed.proof, digest)
    state = chain.disputes.dispute(number)
    until = Moment(chain.moment(state.deadline))
    return Challenge(number, state.accused, trace, finding.faults, digest, file, until)


def answer(
    ctx: typer.Context,
    dispute: Annotated[int, typer.Argument(min=1, help="number of the dispute")],
    words: Annotated[str, typer.Option(help="what you have to say; goes into the file")] = "",
) -> Answer:
    """Answer an accusation, so that jurors are drawn; a running `r1node join` does so by itself.

    Without an answer the accuser wins.
    """
    context: Context = ctx.obj
    owner = context.owner()
    chain = context.chain(owner)
    state = _existing(chain, dispute)
    defence = Defence(chain, context.coordinator(), signing_domain_of(context), owner.address, context.settings.home)
    try:
        given = defence.answer(state, words)
    except (Unreachable, Refused, ProtocolError) as error:
        context.note("answer", f"what was signed can't be shown ({error.message}): answering without it")
        given = defence.answer(state, words, insist=False)
    return Answer(dispute, given.digest, given.file, given.transaction)


def appeal(
    ctx: typer.Context, dispute: Annotated[int, typer.Argument(min=1, help="number of the dispute")]
) -> DisputeRow:
    """Ask for a larger committee of other jurors: for whoever lost, twice at most.

    The accused stakes more with each, the accuser adds to the bond; who loses in the end loses that too.
    """
    context: Context = ctx.obj
    chain = context.chain(context.owner())
    _existing(chain, dispute)
    chain.disputes.appeal(dispute)
    return row_of(chain, chain.disputes.dispute(dispute))


def _existing(chain: Chain, dispute: int) -> DisputeState:
    state = chain.disputes.dispute(dispute)
    if state.phase is DisputePhase.NONE:
        raise UsageError(f"there is no dispute {dispute}", hint="`r1node disputes` lists them")
    return state


def disputes(ctx: typer.Context) -> list[DisputeRow]:
    """Every dispute, where it stands and what comes next."""
    context: Context = ctx.obj
    chain = context.chain()
    return [row_of(chain, chain.disputes.dispute(number)) for number in range(1, chain.disputes.count() + 1)]


def row_of(chain: Chain, state: DisputeState) -> DisputeRow:
    """A dispute as it is shown."""
    deadline = state.reveal_until if state.phase is DisputePhase.VOTING else state.deadline
    waits = state.phase not in {DisputePhase.DRAWING, DisputePhase.RESOLVED}
    return DisputeRow(
        dispute=state.dispute_id,
        phase=state.phase.name.lower(),
        verdict="–" if state.verdict is Verdict.NONE else state.verdict.name.lower(),
        subject=f"epoch {state.epoch}, line {state.line}"
        if state.epoch
        else chain.disputes.subject(state.dispute_id)[0],
        challenger=state.challenger,
        accused=state.accused,
        deadline=Moment(chain.moment(deadline)) if waits else None,
        next_step=NEXT_STEPS[state.phase].format(state.dispute_id),
    )


def signing_domain_of(context: Context) -> Domain:
    """Where this network's signatures hold."""
    return open_domain(context.settings)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(challenge)
    app.command()(answer)
    app.command()(appeal)
    app.command()(disputes)
