"""What the network survives, done for real: SIGKILL, restarts, a chain that is away."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from r1net import R1, Client, Evaluation, Optimizer, Run, Sampling, Verification
from r1net.chain.provenance import TraceStatus
from r1net.protocol.job import JobView
from r1net.protocol.settlement import EpochReport
from r1net.protocol.views import NodeView, RoundRecord
from tests.e2e.demo import tiny
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import Process, wait_until

pytestmark = pytest.mark.timeout(400)

ROUNDS = 6


def submit(client: Client, model: Path, name: str, **changes: Any) -> Run:
    job: dict[str, Any] = {
        "name": name,
        "environment": tiny.ENVIRONMENT,
        "environment_config": tiny.CONFIG,
        "prompt": tiny.PROMPT,
        "rounds": ROUNDS,
        "groups_per_round": 16,
        "group_size": 8,
        "sampling": Sampling(max_tokens=6),
        "optimizer": Optimizer(learning_rate=1e-4),
        "evaluation": Evaluation(problems=16, sampling=Sampling(temperature=0.0, max_tokens=6)),
        "verification": Verification(rate=0),  # while one of two owners is down, nobody could vote on the other's work
    }
    return client.train(model=model, budget=100 * R1, **(job | changes))


def wait_for_line(process: Process, words: str, since: int, seconds: float = 90) -> None:
    """Until the log says `words` somewhere behind offset `since`."""
    wait_until(lambda: words in process.log.read_text()[since:], f"{process.name} to say {words!r}", seconds)


def finish(run: Run) -> list[RoundRecord]:
    """Follow to the end, and check what must hold whatever happened on the way."""
    records = list(run.follow())
    view = run.view()
    assert view.state == "completed"
    assert [record.round for record in records] == list(range(len(records)))
    traces = list(run.traces())
    expected = view.spec.stage.rounds * view.spec.stage.groups_per_round * view.spec.stage.group_size
    expected += 2 * view.spec.evaluation.problems
    assert len(traces) == expected == view.traces_accepted, "nothing accepted was lost, nothing counted twice"
    places = {(t.trace.split, t.trace.round, t.trace.group, t.trace.index, t.trace.policy) for t in traces}
    assert len(places) == expected
    for record in records:
        assert set(record.digests.values()) == {record.version.policy}
    return records


def rejoin(network: Network, client: Client, name: str) -> None:
    """Start a killed node again and wait until the coordinator sees it."""
    process = network.supervisor.processes[name]
    since = len(process.log.read_text())
    process.start()
    wait_for_line(process, "joined", since)
    wait_until(lambda: all_active(client), "both nodes to be active", 30)


def all_active(client: Client) -> bool:
    return sum(node.state == "active" for node in client.transport.get_many("/v1/nodes", NodeView)) == 2


def test_node_killed_in_the_middle_of_a_rollout(network: Network, client: Client, model: Path) -> None:
    victim = network.supervisor.processes["node2"]
    since = len(victim.log.read_text())
    run = submit(client, model, "kill in rollout", rounds=40, groups_per_round=32)
    wait_for_line(victim, "train round 1", since)
    victim.kill()
    next(run.follow(after=1))  # the round in which it died, or the one behind it
    rejoin(network, client, "node2")
    records = finish(run)
    assert any(len(record.digests) == 1 for record in records), "a round ended with the survivor alone"
    assert len(records[-1].digests) == 2, "the node caught up with the agreed version and trains again"


def test_node_killed_in_the_middle_of_averaging(network: Network, client: Client, model: Path) -> None:
    victim = network.supervisor.processes["node1"]
    survivor = network.supervisor.processes["node2"]
    since, heard = len(victim.log.read_text()), len(survivor.log.read_text())
    run = submit(client, model, "kill in averaging", rounds=40)
    wait_for_line(victim, "train      round 1", since)
    assert victim.popen is not None
    os.killpg(victim.popen.pid, signal.SIGSTOP)  # the survivor now waits for it inside the all-reduce
    wait_for_line(survivor, "train      round 1", heard)
    time.sleep(1)
    victim.kill()
    rejoin(network, client, "node1")
    records = finish(run)
    assert any(record.attempt > 1 for record in records[1:]), "the broken attempt was given up and made again"
    assert len(records[-1].digests) == 2


def test_a_host_that_is_stopped_finishes_its_task_and_nobody_waits_for_it(
    network: Network, client: Client, model: Path
) -> None:
    leaver = network.supervisor.processes["node2"]
    since = len(leaver.log.read_text())
    run = submit(client, model, "a host leaves", rounds=30)
    wait_for_line(leaver, "train      round 1", since)
    assert leaver.popen is not None
    leaver.popen.send_signal(signal.SIGINT)
    assert leaver.popen.wait(60) == 0
    said = leaver.log.read_text()[since:]
    assert "finishing this task" in said
    assert "stopped on request" in said
    assert not all_active(client), "it told that it leaves"
    after = run.view().round
    records = list(run.follow(after=after))
    assert not any(record.attempt > 1 for record in records[1:]), "no attempt waits for who has left"
    rejoin(network, client, "node2")


def test_a_second_signal_gives_the_task_back(network: Network, client: Client, model: Path) -> None:
    leaver = network.supervisor.processes["node2"]
    since = len(leaver.log.read_text())
    run = submit(client, model, "a host is stopped at once", groups_per_round=256, rounds=3)
    wait_for_line(leaver, "rollout    train round 1", since)
    assert leaver.popen is not None
    leaver.popen.send_signal(signal.SIGTERM)
    wait_for_line(leaver, "it is given back in 7 s", since, 5)
    leaver.popen.send_signal(signal.SIGINT)
    assert leaver.popen.wait(10) == 0
    said = leaver.log.read_text()[since:]
    assert "its host was stopped" in said
    rejoin(network, client, "node2")
    finish(run)


def test_coordinator_killed_in_the_middle_of_a_round(network: Network, client: Client, model: Path) -> None:
    nodes = [network.supervisor.processes[name] for name in ("node1", "node2")]
    pids = [node.popen.pid for node in nodes if node.popen]
    since = len(nodes[0].log.read_text())
    run = submit(client, model, "coordinator restarts", groups_per_round=48)
    wait_for_line(nodes[0], "train round 1", since)
    coordinator = network.supervisor.processes["coordinator"]
    coordinator.kill()
    time.sleep(2)
    coordinator.start()
    network.wait_for_coordinator()
    finish(run)
    assert [node.popen.pid for node in nodes if node.popen] == pids, "the nodes carried on by themselves"
    assert all(node.alive for node in nodes)


def test_p2p_daemon_killed(network: Network, client: Client, model: Path) -> None:
    node = network.supervisor.processes["node1"]
    since = len(node.log.read_text())
    run = submit(client, model, "p2pd dies", rounds=10)
    wait_for_line(node, "train round 1", since)
    assert node.popen is not None
    daemons = [child for child in psutil.Process(node.popen.pid).children(recursive=True) if child.name() == "p2pd"]
    assert len(daemons) == 1
    daemons[0].kill()
    wait_for_line(node, "the libp2p daemon was restarted", since, 60)
    records = finish(run)
    assert len(records[-1].digests) == 2, "with its new address it averages again"


def test_chain_away_during_settlement(network: Network, client: Client, model: Path) -> None:
    wait_until(lambda: all_settled(client), "the earlier settlements", 60)
    before = network.chain.settlement.next_epoch()
    run = submit(client, model, "chain away", rounds=8)
    wait_until(lambda: run.view().traces_accepted > 0, "a host to have looked at the job's escrow", 60)
    network.anvil.process.stop()
    finish(run)
    wait_until(lambda: bool(run.view().settlement), "the coordinator to notice", 60)
    assert [due.state for due in run.dues()] == ["waiting"]
    network.anvil.process.start()
    network.anvil.wait()
    wait_until(lambda: run.dues()[0].state == "settled", "the late settlement", 120)
    epoch = run.dues()[0].epoch
    assert epoch == before
    assert network.chain.settlement.next_epoch() == before + 1, "settled once"
    report = client.transport.get(f"/v1/epochs/{epoch}/report", EpochReport)
    assert network.chain.escrow.job(run.job_id).paid == report.jobs[0].amount > 0
    trace = next(run.traces(split="train"))
    assert run.verify(trace).stands
    forged = trace.trace.model_copy(update={"reward": trace.trace.reward + 1})
    status = network.chain.provenance.trace_status(
        run.job_id, epoch, forged.digest(), forged.worker, run.proof(trace.trace_digest).proof
    )
    assert status is TraceStatus.UNKNOWN


def all_settled(client: Client) -> bool:
    jobs = client.transport.get_many("/v1/jobs", JobView)
    dues = [due for job in jobs for due in client.transport.get_json(f"/v1/jobs/{job.job_id}/dues")]
    return all(due["state"] == "settled" for due in dues)
