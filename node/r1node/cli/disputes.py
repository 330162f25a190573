"""`r1node challenge`, `answer`, `disputes` and `jury`: accusing, answering, judging."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r1net.chain import Chain
from r1net.chain.disputes import DisputePhase, DisputeState, SignedSubmission, Verdict
from r1net.chain.models import TxReceipt
from r1net.errors import ChainUnavailable, R1Error, Unreachable, UsageError
from r1net.protocol.evidence import Evidence
from r1net.protocol.signing import Domain
from r1node.cli.context import Context
from r1node.cli.verify import open_desk
from r1node.events import Events
from r1node.network import network_info, signing_domain
from r1node.verification.ballots import BallotBox
from r1node.verification.exhibit import fetch_exhibit, fetch_signed, job_of
from r1node.verification.juror import Juror

if TYPE_CHECKING:
    from r1node.verification.replay import Desk

POLL = 2.0
"""Seconds between looks at the chain; periods of real networks are hours."""

NEXT_STEPS = {
    DisputePhase.OPEN: "the accused answers: r1node answer {0}; after the deadline: r1node jury run",
    DisputePhase.DRAWING: "the committee is drawn: r1node jury run",
    DisputePhase.VOTING: "jurors commit until the deadline, then reveal: r1node jury run",
    DisputePhase.DECIDED: "the loser may appeal, twice in all; after the deadline: r1node jury run",
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
    answer_until: int


@dataclass(frozen=True)
class Answer:
    """An answer that was given. `reply` is the digest on chain of `file`."""

    dispute: int
    reply: str
    file: Path
    transaction: str


@dataclass(frozen=True)
class DisputeRow:
    """Where a dispute stands. `deadline` ends the present step, in seconds of the settlement's clock: Unix time less
    all pauses."""

    dispute: int
    phase: str
    verdict: str
    subject: str
    challenger: str
    accused: str
    deadline: int
    next_step: str


@dataclass(frozen=True)
class Membership:
    """Whether this owner may be drawn as a juror, and with how much of its stake (R1 in wei)."""

    owner: str
    in_pool: bool
    weight: int
    pool_size: int
    pool_ready: bool
    transaction: str


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
    file, digest = keep_evidence(context, Evidence(kind="accusation", submission=signed, finding=finding))
    chain = context.chain(context.owner())
    submission = SignedSubmission(signed.lease_id, signed.traces_root, signed.count, signed.signature)
    number = chain.disputes.challenge_trace(submission, trace, signed.proof, digest)
    state = chain.disputes.dispute(number)
    return Challenge(number, state.accused, trace, finding.faults, digest, file, state.deadline)


def answer(
    ctx: typer.Context,
    dispute: Annotated[int, typer.Argument(min=1, help="number of the dispute")],
    words: Annotated[str, typer.Option(help="what you have to say; goes into the file")] = "",
) -> Answer:
    """Answer an accusation, so that jurors are drawn. Without an answer the accuser wins."""
    context: Context = ctx.obj
    source, chain = context.coordinator(), context.chain(context.owner())
    state = chain.disputes.dispute(dispute)
    if state.phase is DisputePhase.NONE:
        raise UsageError(f"there is no dispute {dispute}", hint="`r1node disputes` lists them")
    signed = None
    if not state.epoch:
        trace, _ = chain.disputes.subject(dispute)
        signed = fetch_signed(source, signing_domain_of(context), job_of(source, trace), trace)
    file, digest = keep_evidence(context, Evidence(kind="answer", submission=signed, words=words))
    return Answer(dispute, digest, file, chain.disputes.answer(dispute, digest).tx_hash)


def disputes(ctx: typer.Context) -> list[DisputeRow]:
    """Every dispute, where it stands and what comes next."""
    context: Context = ctx.obj
    chain = context.chain()
    return [_row(chain, chain.disputes.dispute(number)) for number in range(1, chain.disputes.count() + 1)]


def _row(chain: Chain, state: DisputeState) -> DisputeRow:
    return DisputeRow(
        dispute=state.dispute_id,
        phase=state.phase.name.lower(),
        verdict="–" if state.verdict is Verdict.NONE else state.verdict.name.lower(),
        subject=f"epoch {state.epoch}, line {state.line}"
        if state.epoch
        else chain.disputes.subject(state.dispute_id)[0],
        challenger=state.challenger,
        accused=state.accused,
        deadline=state.reveal_until if state.phase is DisputePhase.VOTING else state.deadline,
        next_step=NEXT_STEPS[state.phase].format(state.dispute_id),
    )


def join_pool(ctx: typer.Context) -> Membership:
    """Offer to judge disputes. A juror who is drawn and does not vote loses stake: keep `jury run` running."""
    context: Context = ctx.obj
    chain = context.chain(context.owner())
    return _membership(chain, context.address(), chain.pool.join())


def quit_pool(ctx: typer.Context) -> Membership:
    """Judge no more. The stake can be withdrawn some 8,200 blocks later, after `jury release`."""
    context: Context = ctx.obj
    chain = context.chain(context.owner())
    return _membership(chain, context.address(), chain.pool.quit())


def update_membership(ctx: typer.Context) -> Membership:
    """Let the pool look at this owner's stake again, after it was raised or slashed."""
    context: Context = ctx.obj
    chain = context.chain(context.owner())
    return _membership(chain, context.address(), chain.pool.update(context.address()))


def release_stake(ctx: typer.Context) -> Membership:
    """Free the stake of the pool, long enough after `jury quit`."""
    context: Context = ctx.obj
    chain = context.chain(context.owner())
    return _membership(chain, context.address(), chain.pool.release(context.address()))


def _membership(chain: Chain, owner: str, receipt: TxReceipt) -> Membership:
    pool = chain.pool
    return Membership(owner, pool.contains(owner), pool.weight(owner), pool.size(), pool.ready(), receipt.tx_hash)


def run_jury(
    ctx: typer.Context, once: Annotated[bool, typer.Option(help="take the steps that are due, then end")] = False
) -> None:
    """Watch disputes: judge, commit and reveal where this owner is drawn, and take the steps that are due."""
    context: Context = ctx.obj
    events = Events(context.as_json)
    owner = context.owner()
    chain = context.chain(owner)
    box = BallotBox(context.settings.home / "disputes", chain.chain_id(), chain.disputes.address)
    from r1node.verification.bench import Bench  # noqa: PLC0415 - loads torch

    events.note("jury", f"{owner.address} watches {chain.disputes.count()} disputes")
    with open_desk(context) as desk:
        _judge(Juror(chain, owner.address, box, Bench(chain, signing_domain_of(context), desk).judge), events, once)


def _judge(juror: Juror, events: Events, once: bool) -> None:
    for _ in turns(once):
        try:
            for step in juror.round():
                words = f"dispute {step.dispute}{': ' if step.detail else ''}{step.detail}"
                events.note(step.step, words, dispute=step.dispute, transaction=step.transaction)
        except (Unreachable, ChainUnavailable) as error:
            if once:
                raise
            events.note("waiting", f"{error.message}; trying again")


def turns(once: bool) -> Iterator[None]:
    """Once, or again and again with a pause."""
    yield
    while not once:
        time.sleep(POLL)
        yield


def signing_domain_of(context: Context) -> Domain:
    """Where this network's signatures hold."""
    return signing_domain(context.settings, network_info(context.settings))


def keep_evidence(context: Context, evidence: Evidence) -> tuple[Path, str]:
    """Keep the file whose digest goes on chain: whoever is asked for it shows it."""
    folder = context.settings.home / "disputes"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest = evidence.digest()
    path = folder / f"{digest}.json"
    path.write_bytes(evidence.canonical())
    return path, digest


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(challenge)
    app.command()(answer)
    app.command()(disputes)
    group = typer.Typer(help="judging disputes", no_args_is_help=True)
    group.command("join")(join_pool)
    group.command("quit")(quit_pool)
    group.command("update")(update_membership)
    group.command("release")(release_stake)
    group.command("run")(run_jury)
    app.add_typer(group, name="jury")
