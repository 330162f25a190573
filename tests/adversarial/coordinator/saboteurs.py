"""Nodes that would stop a job without being blamed, beside honest ones whose trainers depend on each other as real ones
do: an all-reduce comes to nothing when one of its peers does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from r1net.protocol.work import Lease, PublishTask, RolloutTask, TrainTask
from tests.unit.coordinator.network import Node, World

Trick = Literal["swarm", "own_fault", "silent", "vanish", "lie", "reopen"]
"""What a saboteur does once it holds a train lease: says that its peers broke it; says that it broke itself; keeps
heartbeats coming and nothing else; trains honestly but never publishes; trains honestly but holds no files when asked;
opens a new session, which takes its leases back."""

STEP = 5.0
"""Seconds of a turn."""


@dataclass
class Player:
    """A node at its lease."""

    node: Node
    trick: Trick | None = None
    lease: Lease | None = None
    reported: bool = False
    trained: int = 0
    """Train leases on which an honest node computed."""


@dataclass
class Play:
    """A job with honest nodes and saboteurs, turn by turn."""

    world: World
    job_id: str
    players: list[Player] = field(default_factory=list)
    turns: int = 0

    @classmethod
    def of(cls, world: World, job_id: str, honest: Sequence[Node], bad: Sequence[tuple[Node, Trick]]) -> Play:
        """The saboteurs ask first."""
        players = [Player(node, trick) for node, trick in bad] + [Player(node) for node in honest]
        return cls(world, job_id, players)

    def run(self, turns: int = 1000) -> str:
        """Play until the job is over; returns its state."""
        while self.turns < turns and self.world.job(self.job_id)["state"] == "running":
            self.turns += 1
            for player in self.players:
                self._turn(player)
            self.world.tick(STEP)
        return str(self.world.job(self.job_id)["state"])

    @property
    def lost(self) -> float:
        """The share of honest training that came to nothing: attempts with honest trainers that failed, and honest
        reports that weren't paid."""
        honest = {player.node.worker for player in self.players if player.trick is None}
        paid = reports = 0
        for player in self.players:
            if player.trick is None:
                rows = self.world.http.get(f"/v1/accounts/{player.node.owner}/rewards").json()["earnings"]
                paid += sum(row["kind"] == "training" and row["worker"] in honest for row in rows)
                reports += player.trained
        return 1 - paid / max(reports, 1)

    def standing(self, player: Player) -> dict[str, int]:
        """What was charged to a player."""
        views = {view["worker"]: view for view in self.world.http.get("/v1/nodes").json()}
        return dict(views[player.node.worker]["reasons"])

    def _turn(self, player: Player) -> None:
        node = player.node
        if player.lease is not None and not node.heartbeat(player.lease)["alive"]:
            waited = isinstance(player.lease.task, TrainTask) and not player.reported
            player.trained += waited and player.trick is None
            player.lease, player.reported = None, False
        if player.lease is None or player.reported:
            found = node.work()
            if found is not None:
                player.lease, player.reported = found, False
        if player.lease is not None and not player.reported:
            self._act(player, player.lease)

    def _act(self, player: Player, lease: Lease) -> None:
        node, task = player.node, lease.task
        if isinstance(task, TrainTask):
            self._train(player, lease, task)
        elif isinstance(task, RolloutTask):
            if player.trick != "silent":
                assert node.submit(lease).status_code == 200
                player.lease = None
        elif isinstance(task, PublishTask):
            self._publish(player, lease, task)

    def _train(self, player: Player, lease: Lease, task: TrainTask) -> None:
        node = player.node
        if player.trick == "swarm":
            node.fail(lease, "swarm")
        elif player.trick == "own_fault":
            node.fail(lease, "nan_gradient")
        elif player.trick == "reopen":
            assert node.open().status_code == 200
        elif player.trick == "silent" or self._waits(task):
            return
        elif self._broken(task):
            node.fail(lease, "averaging_broken")
            player.trained += 1
        else:
            assert node.report(lease).status_code == 202
            player.reported = True
            player.trained += player.trick is None
            node.holds[lease.job_id] = task.version.number + 1
            return
        player.lease = None

    def _publish(self, player: Player, lease: Lease, task: PublishTask) -> None:
        if player.trick == "vanish":
            return
        if player.trick == "lie":
            if task.salt is None:
                player.node.fail(lease, "disk_full")
            else:
                assert player.node.prove(lease, flavour="!").status_code == 200
        else:
            assert player.node.publish(lease).status_code == 200
        player.lease = None

    def _tricks(self, task: TrainTask) -> set[Trick | None]:
        peers = {slot.worker for slot in task.slots}
        return {player.trick for player in self.players if player.node.worker in peers}

    def _waits(self, task: TrainTask) -> bool:
        return "silent" in self._tricks(task)

    def _broken(self, task: TrainTask) -> bool:
        return bool({"swarm", "own_fault", "reopen"} & self._tricks(task))
