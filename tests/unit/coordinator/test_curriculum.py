"""A curriculum over whole rounds: the coordinator's weights follow what it admitted and outlive it, and anyone comes to
the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from r1net.environments.curriculum import WHOLE, Weights
from r1net.environments.places import leaf_of
from r1net.mixing import recompute
from r1net.protocol.job import Evaluation, Grpo, JobSpec
from r1net.protocol.problems import Curriculum, EnvironmentSpec, Part
from r1net.protocol.trace import Trace
from r1net.protocol.views import RoundMix, RoundPage, TraceView
from r1net.protocol.work import Lease, RolloutTask
from tests.unit.coordinator.jobs import job_spec, trace_of
from tests.unit.coordinator.network import Node, World

SOLVED, NEVER, LEARNT = range(3)
ROUNDS, GROUPS, WINDOW = 6, 12, 4


def mixed(**changes: Any) -> JobSpec:
    """Sums of two, three and four terms, drawn alike, with a curriculum over the last rounds."""
    parts = tuple(
        Part(environment=EnvironmentSpec(name="reasoning_gym:chain_sum", config={"min_terms": n, "max_terms": n}))
        for n in (2, 3, 4)
    )
    environment = EnvironmentSpec(name="mix:sums", parts=parts, curriculum=Curriculum(rounds=WINDOW, least=0.125))
    stage = Grpo(rounds=ROUNDS, groups_per_round=GROUPS, group_size=2)
    return job_spec(environment=environment, stage=stage, evaluation=Evaluation(problems=3)).model_copy(update=changes)


class Learner(Node):
    """Solves the first part always, the second never, and the third by one completion of each group."""

    def traces(self, lease: Lease) -> list[Trace]:
        assert isinstance(lease.task, RolloutTask)
        scorer, task = self.world.scorer(lease.job_id), lease.task
        made = []
        for group in task.groups:
            part = leaf_of(scorer.spec, task.split, task.round, group, self.mix(lease.job_id))
            for index in range(2 if task.split == "train" else 1):
                right = part == SOLVED or (part == LEARNT and index == 0)
                made.append(trace_of(scorer, lease, group, index, right))
        return made

    def mix(self, job_id: str) -> Callable[[int], Weights]:
        """As this host is told."""
        return lambda round_: RoundMix.parse(self.world.http.get(f"/v1/jobs/{job_id}/mix/{round_}").content).weights


def learners(world: World) -> list[Node]:
    nodes: list[Node] = [Learner(world, 1), Learner(world, 2)]
    assert all(node.open().status_code == 200 for node in nodes)
    return nodes


def work(world: World, nodes: list[Node], job_id: str, until: Callable[[dict[str, Any]], bool]) -> None:
    """Let the nodes work in turn."""
    for _ in range(200):
        for node in nodes:
            if until(world.job(job_id)):
                return
            lease = node.work()
            if lease is not None:
                answer = node.do(lease)
                assert answer.status_code in (200, 202), answer.text
        world.tick(1)
    raise AssertionError(f"it never came to that: {world.job(job_id)}")


def by_hand(taught: list[Counter[int]], drawn: list[Counter[int]], round_: int) -> list[float]:
    """What the weights of a round should be, about, as shares of the whole."""
    window = range(max(0, round_ - WINDOW), round_)
    found = []
    for part in range(3):
        teach, groups = (sum(counts[round_][part] for round_ in window) for counts in (taught, drawn))
        found.append(max(0.125, (teach + 1) / (groups + 1)))
    return [share / sum(found) for share in found]


def test_weights_follow_what_was_admitted_and_outlive_the_coordinator(world: World) -> None:
    job_id, nodes = world.submit(mixed()), learners(world)
    assert world.http.get(f"/v1/jobs/{job_id}/mix/0").status_code == 404, "it has not opened"
    seen: list[Weights] = []
    drawn: list[Counter[int]] = []
    for round_ in range(ROUNDS):
        work(world, nodes, job_id, lambda job, wanted=round_: (job["round"], job["phase"]) == (wanted, "rollout"))  # type: ignore[misc]
        weights = world.mix(job_id, round_)
        world.kill()
        world.start()
        assert world.mix(job_id, round_) == weights, "a restart changes nothing"
        ahead = world.http.get(f"/v1/jobs/{job_id}/mix/{round_ + 1}")
        assert (ahead.status_code, ahead.json()["code"]) == (404, "no_mix")
        seen.append(weights)
        parts = [leaf_of(mixed(), "train", round_, group, seen.__getitem__) for group in range(GROUPS)]
        drawn.append(Counter(parts))
        prompts = [prompt.ids for prompt in world.services.scorers.of(job_id, mixed()).prompts(places(round_))]
        assert prompts == [world.scorer(job_id).prompt_ids(*place) for place in places(round_)], "a host draws the same"
    work(world, nodes, job_id, lambda job: job["state"] == "completed")
    taught = [Counter({LEARNT: counts[LEARNT]}) for counts in drawn]
    for round_, weights in enumerate(seen):
        expected = by_hand(taught, drawn, round_)
        assert [weight / WHOLE for weight in weights] == pytest.approx(expected, abs=1e-5)
    assert seen[0] == (333_333, 333_333, 333_334)
    assert seen[WINDOW][LEARNT] > 700_000
    assert all(weight > 60_000 for weight in seen[WINDOW]), "what isn't learnt from is still tried"
    records = RoundPage.parse(world.http.get(f"/v1/jobs/{job_id}/rounds").content).rounds
    assert [record.mix for record in records] == seen


def places(round_: int) -> list[Any]:
    return [("train", round_, group) for group in range(GROUPS)]


def published(world: World, job_id: str) -> list[Trace]:
    views: list[TraceView] = []
    while rows := world.http.get(f"/v1/jobs/{job_id}/traces", params={"after": len(views), "split": "train"}).json():
        views += [TraceView.model_validate(row) for row in rows]
    return [view.trace for view in views]


def test_anyone_recomputes_the_weights_and_finds_a_forged_one(world: World) -> None:
    job_id, nodes = world.submit(mixed()), learners(world)
    work(world, nodes, job_id, lambda job: job["round"] == 5)
    records = RoundPage.parse(world.http.get(f"/v1/jobs/{job_id}/rounds").content).rounds
    said: dict[int, Weights | None] = {record.round: record.mix for record in records}
    said[5] = world.mix(job_id, 5)
    traces = published(world, job_id)
    report = recompute(mixed(), said, traces)
    assert report.first_wrong is None
    assert [one.round for one in report.rounds] == list(range(6))
    assert sum(share.groups for share in report.rounds[5].shares) == WINDOW * GROUPS
    assert recompute(mixed(), said, traces[::-1]) == report, "in any order"
    first, second, third = said[2] or ()
    for forged in ((first + 1, second - 1, third), (second, first, third), None):
        assert recompute(mixed(), said | {2: forged}, traces).first_wrong == 2
    fewer = [trace for trace in traces if trace.round > 0 or trace.group % 2]
    assert recompute(mixed(), said, fewer).first_wrong == 1, "traces that are kept back are missed"
    assert len(recompute(mixed(), said | {2**31: (1, 1, 1)}, traces).rounds) == ROUNDS, "however many are claimed"


def test_two_jobs_of_one_specification_have_their_own_weights(world: World) -> None:
    """What one job's hosts do must not steer another's."""
    ours, theirs = world.submit(mixed()), world.submit(mixed(), number=2)
    with world.services.db.write() as s:
        from r1coordinator.store.tables import MixRow

        s.add(MixRow(job_id=ours, round=1, weights=[WHOLE - 2, 1, 1]))
        s.add(MixRow(job_id=theirs, round=1, weights=[1, 1, WHOLE - 2]))
    scorers = world.services.scorers
    found = [scorers.of(job_id, mixed()).prompts([("train", 1, 0)])[0].text for job_id in (ours, theirs)]
    assert [text.count("+") + text.count("-") for text in found] == [1, 3]


def test_a_job_without_a_curriculum_has_no_mix(world: World) -> None:
    plain = mixed(environment=mixed().environment.model_copy(update={"curriculum": None}))
    job_id = world.submit(plain)
    node = world.node(1)
    work(world, [node], job_id, lambda job: job["round"] == 1)
    assert world.http.get(f"/v1/jobs/{job_id}/mix/0").json()["code"] == "no_mix"
    (record,) = world.http.get(f"/v1/jobs/{job_id}/rounds").json()["rounds"]
    assert "mix" not in record
    assert world.http.get(f"/v1/jobs/{'0x' + '00' * 32}/mix/0").json()["code"] == "unknown_job"
