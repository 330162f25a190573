"""Every cheat by its name, and what should come of it. No torch: the gallery reads it, and so does each rogue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Fate = Literal["caught", "refused", "unpaid", "outvoted", "dear", "unseen"]
"""`caught`: two owners find work bad, and all that is owed is lost. `refused`: it is never admitted. `unpaid`: nothing
of it counts, though nobody could say whose fault it was. `outvoted`: a verifier whose votes the others' contradict, or
that clears a planted copy. `dear`: some of it gets through, and what is caught costs more than that brings. `unseen`:
no replay can tell it from honest rounding."""


@dataclass(frozen=True)
class Member:
    """One process of a cheat. `owner` numbers the owners: those of one number have one stake and one wallet."""

    rogue: str
    owner: int = 0


@dataclass(frozen=True)
class Cheat:
    """One way to cheat. `saves`: the share of a piece's pay that it spares the worker, at most. `rounds` and `groups`
    of the job that shows it. `crew`: its processes; nothing: one, by the cheat's own name. `alone`: it would disturb
    what other cheats show. `away`: honest nodes that are stopped meanwhile."""

    name: str
    kind: Literal["rollout", "training", "verification"]
    does: str
    fate: Fate = "caught"
    saves: float = 1.0
    rounds: int = 2
    groups: int = 96
    crew: tuple[Member, ...] = field(default=())
    alone: bool = False
    away: int = 0

    @property
    def members(self) -> tuple[Member, ...]:
        """Its processes."""
        return self.crew or (Member(self.name),)

    @property
    def owners(self) -> int:
        """How many stakes it takes."""
        return 1 + max(member.owner for member in self.members)


def _sampler(name: str, does: str, fate: Fate = "caught", saves: float = 1.0) -> Cheat:
    return Cheat(name, "rollout", does, fate, saves)


def _trainer(name: str, does: str, fate: Fate = "caught", **more: object) -> Cheat:
    return Cheat(name, "training", does, fate, groups=64, **more)  # type: ignore[arg-type]


def _verifier(name: str, does: str, **more: object) -> Cheat:
    return Cheat(name, "verification", does, "outvoted", alone=True, **more)  # type: ignore[arg-type]


CHEATS: dict[str, Cheat] = {
    cheat.name: cheat
    for cheat in (
        _sampler("other-model", "samples from a model of the same shape with weights of its own"),
        _sampler("noisy-weights", "samples from weights with noise of a tenth of their deviation"),
        _sampler("int4", "samples from weights in four bits", saves=0.75),
        _sampler("int8", "samples from weights in eight bits", "unseen", saves=0.5),
        _sampler("previous-version", "samples from the weights of the version before, from the second round on"),
        _sampler("greedy", "takes the likeliest tokens"),
        _sampler("cold", "samples at temperature 0.7"),
        _sampler("best-of-n", "samples with four seeds and hands in the best as the right seed's"),
        _sampler("seed-grinding", "the same, and states the seed that it was", "refused"),
        _sampler("hinted", "samples behind a prompt that holds the answer"),
        _sampler("forger", "writes the reference answers, and invents log-probabilities"),
        _sampler("faked-logprobs", "samples honestly, and invents log-probabilities"),
        _sampler("borrowed", "another host's completions of the last round at its own places"),
        _sampler("copied", "another host's traces of the last round under its own name", "refused"),
        _sampler("replayed", "its own traces of the last round once more", "refused"),
        _sampler("truncated", "ends completions before their end"),
        _sampler("padded", "goes on to the full length instead of stopping"),
        _sampler("constant", "one token again and again, to the full length"),
        _trainer("zeros", "a gradient of zeros"),
        _trainer("last-gradient", "the last attempt's gradient once more"),
        _trainer("last-outcome", "the last attempt's published sum as its own gradient"),
        _trainer("scaled", "1.3 times the gradient"),
        _trainer("enormous", "a thousand times the gradient"),
        _trainer("flipped", "the gradient turned round"),
        _trainer("not-finite", "sends its peers what is no number", "unpaid", alone=True),
        _trainer("withheld-report", "takes a slot and never says anything again", "unpaid", alone=True),
        _trainer("withheld-weights", "reports its version, and never serves it", "unpaid", alone=True, rounds=4),
        _trainer(
            "gang-of-one",
            "four workers of one owner report a version that they have made up",
            "unpaid",
            crew=tuple(Member("made-up-version") for _ in range(4)),
            alone=True,
        ),
        _trainer(
            "gang-of-three",
            "three owners, a majority, report a version that they have made up",
            crew=tuple(Member("made-up-version", owner) for owner in range(3)),
            alone=True,
            away=1,
        ),
        _verifier("lazy-verifier", "clears whatever it is asked about, unseen", rounds=16, groups=24),
        _verifier("accuser", "accuses whatever it is asked about, unseen", groups=48),
        Cheat(
            "colluders",
            "rollout",
            "four forgers of four owners, and a verifier of a fifth that clears them",
            "dear",
            alone=True,
            groups=48,
            crew=(*(Member("forger", owner) for owner in range(4)), Member("accomplice", 4)),
        ),
    )
}

PARTNERS = "ROGUE_PARTNERS"
"""The variable with the addresses of the workers that an accomplice clears, with commas."""
