"""The demo's justice, with nobody typing a command: hosts repeat what is drawn, a watcher disputes what failed and what
was settled wrongly, a juror repeats it once more, the stakes are slashed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from r1net.chain.disputes import Verdict
from r1net.protocol.checks import CheckView
from r1net.protocol.views import AccountRewards
from r1net.transport import Transport
from tests.e2e.demo.court import Court
from tests.e2e.demo.robbery import Heist, Robbery
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import Process, wait_until


class Conviction(BaseModel):
    """One cheat, and what came of it: `paid` is what it may claim."""

    cheat: str
    accused: str
    subject: str
    caught: bool
    paid: int
    slashed_wei: int
    transactions: list[str]


class Justice(BaseModel):
    """What the courts did. `checked` pieces of work were repeated; `honest_rejected` counts those of honest workers
    that a check called bad. Of the stakes that were slashed, bounties went to the watcher, fees to the juror; half of
    the penalties and the whole of the robber's bond were burned."""

    checked: int
    honest_rejected: int
    convictions: list[Conviction]
    robbery: Robbery
    bounty_wei: int
    burned_wei: int

    @property
    def done(self) -> bool:
        """Whether every cheat and the robber, and nobody else, was found, unpaid and slashed."""
        cheats = all(one.caught and not one.paid and one.slashed_wei for one in self.convictions)
        return not self.honest_rejected and cheats and self.robbery.foiled


@dataclass(frozen=True)
class Money:
    """The stakes of the cheats, the R1 of the watcher, and all R1 there is."""

    stakes: dict[str, int]
    watcher: int
    supply: int


class Trial:
    """`nodes`: whose owner watches, then whose owner judges. `cheats`: who should be caught, and what each says when it
    is accused; else it would lose without a juror."""

    def __init__(
        self, network: Network, nodes: Sequence[str], cheats: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._network, self._cheats, self._say = network, cheats, say
        self._court = Court(network)
        self._watcher, self._juror = nodes[:2]
        self._before = Money({}, 0, 0)
        self._source = Transport(network.url)

    def begin(self) -> None:
        """The juror joins the pool; watcher and juror start, to run as long as the network does."""
        wait_until(self._all_staked, "the hosts' stakes", 180)
        self._before = self._money()
        self._network.ask_node(self._juror, "jury", "join")
        self._watch = self._start("watch", self._watcher, "watch")
        self._jury = self._start("jury", self._juror, "jury", "run")
        for cheat, words in self._cheats.items():
            self._court.deny(cheat, words, self._watch)

    def _start(self, name: str, node: str, *command: str) -> Process:
        line = self._network.r1node(node, *command, "--json")
        return self._network.supervisor.add(Process(name, line, self._network.logs / f"{name}.log"))

    def rob(self, job_id: str) -> Heist:
        """Another settler robs the job, which must be settled."""
        return Heist(self._court, job_id, self._watch)

    def run(self, job_id: str, heist: Heist, claimed: int) -> Justice:
        """Wait for the disputes over the cheats' work and the robber's line to end. There is none over what was not
        found. `claimed`: R1 that the watcher's owner got for its node's work meanwhile."""
        checks = list(self._source.walk(f"/v1/jobs/{job_id}/checks", CheckView, 100))
        drawn = [row for row in checks if row.state not in ("waiting", "spared") and not row.planted]
        cheats = {self._court.owner(cheat): cheat for cheat in self._cheats}
        caught = {cheats[row.owner]: row for row in reversed(drawn) if row.state == "failed" and row.owner in cheats}
        self._say(f"  {len(drawn)} of {len(checks)} submissions and gradients were drawn, and repeated by other owners")
        for row in caught.values():
            for vote in row.votes:
                self._say(f"  {vote.worker[:10]}… repeated {row.worker[:10]}…: {'; '.join(vote.finding.faults)}")
        for cheat in caught:
            self._court.wait(cheat, self._jury)
        robbery = heist.end(self._jury)
        for process in (self._watch, self._jury):
            process.stop()
        after = self._money()
        return Justice(
            checked=sum(len(row.positions) for row in drawn),
            honest_rejected=sum(row.owner not in cheats for row in drawn if row.state in ("failed", "dropped")),
            convictions=[self._conviction(cheat, after, caught=cheat in caught) for cheat in self._cheats],
            robbery=robbery,
            bounty_wei=after.watcher - self._before.watcher - claimed,
            burned_wei=self._before.supply - after.supply,
        )

    def _conviction(self, cheat: str, after: Money, *, caught: bool) -> Conviction:
        number, owner = self._court.dispute(cheat), self._court.owner(cheat)
        verdict = self._court.verdict(number)
        if number:
            self._say(f"  the watcher opened dispute {number} against {cheat}; verdict: {verdict.name.lower()}")
        return Conviction(
            cheat=cheat,
            accused=owner,
            subject=self._court.subject(number),
            caught=caught,
            paid=self._source.get(f"/v1/accounts/{owner}/rewards", AccountRewards).final,
            slashed_wei=self._before.stakes[cheat] - after.stakes[cheat] if verdict is Verdict.GUILTY else 0,
            transactions=self._court.transactions(number),
        )

    def _all_staked(self) -> bool:
        names = (self._watcher, self._juror, *self._cheats)
        return all(self._network.chain.registry.is_active(self._court.owner(name)) for name in names)

    def _money(self) -> Money:
        token = self._network.chain.token
        stakes = {cheat: self._court.stake(cheat) for cheat in self._cheats}
        return Money(stakes, token.balance(self._court.owner(self._watcher)), token.total_supply())
