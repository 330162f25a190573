"""Real hosts on their own terms: no work below their floor, none while they are paused."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from r1net import Client
from r1net.protocol.job import Prices
from r1net.protocol.views import NodeView
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import Process, wait_until
from tests.e2e.test_faults import finish, submit

pytestmark = pytest.mark.timeout(300)


def test_hosts_work_for_no_less_than_their_floor(network: Network, client: Client, model: Path) -> None:
    free = submit(client, model, "for nothing", rounds=1, prices=Prices())
    cheap = submit(client, model, "too cheap", rounds=1, prices=Prices(rollout_token=10**9 - 1, trained_token=10**9))
    finish(submit(client, model, "paying", rounds=2))
    for run in (free, cheap):
        assert (run.view().state, run.view().traces_accepted) == ("running", 0)
        client.chain.escrow.close(run.job_id)
    wait_until(lambda: {run.view().state for run in (free, cheap)} == {"cancelled"}, "closed jobs to stop", 60)
    status = network.ask_node("node1", "status")
    assert isinstance(status, dict)
    assert {"standing", "reason"} <= status["workers"][0].keys()
    brings = {job["name"]: int(job["an_hour"] or 1) for job in status["jobs"]}
    assert brings["paying"] > 0
    assert not {"for nothing", "too cheap"} & brings.keys()
    views = client.transport.get_many("/v1/nodes", NodeView)
    assert all("not_published" not in view.reasons and "false_possession" not in view.reasons for view in views)


def ask(network: Network, *arguments: str) -> Any:
    """What node4 is answered."""
    return network.ask_node("node4", *arguments)


def test_a_paused_worker_takes_no_work_until_it_is_resumed(network: Network, client: Client, model: Path) -> None:
    worker = network.start_node("node4")
    wait_until(lambda: "joined" in worker.log.read_text(), "node4's start", 120, worker)
    assert ask(network, "pause", "--minutes", "90")["workers"] == "all"
    wait_until(lambda: "resting" in worker.log.read_text(), "node4's rest", 120, worker)
    assert "paused until" in worker.log.read_text()
    before = worker.log.read_text()
    finish(submit(client, model, "without node4", rounds=2))
    assert worker.log.read_text() == before, "it took no task"
    (row,) = ask(network, "status")["workers"]
    assert row["process"]
    assert row["rests"].startswith("paused until")
    assert ask(network, "--worker", "0", "resume")["why"].startswith("paused until"), "all are paused still"
    assert ask(network, "resume")["why"] == ""
    wait_until(lambda: "working" in worker.log.read_text(), "node4 to work again", 60, worker)
    run = submit(client, model, "with node4", rounds=20)
    wait_until(lambda: "accepted" in worker.log.read_text(), "node4's work", 120, worker)
    client.chain.escrow.close(run.job_id)
    assert ask(network, "drain") == {"ended": ["0"]}
    assert worker.popen is not None
    assert worker.popen.wait(10) == 0, worker.tail()
    assert ask(network, "drain") == {"ended": []}


def test_one_command_runs_a_worker_for_each_device(network: Network, client: Client, model: Path) -> None:
    """Two on the processor; on GPUs it is the same with other names."""
    network.found_node("crew")
    join = network.r1node("crew", "join", "--devices", "cpu,cpu", "--yes")
    crew = network.supervisor.add(Process("crew", join, network.logs / "crew.log"))

    def joined() -> int:
        return crew.log.read_text().count("joined")

    wait_until(lambda: joined() == 2, "two workers", 240, crew)
    rows = cast(dict[str, Any], network.ask_node("crew", "status"))["workers"]
    assert [(row["worker"], row["process"]) for row in rows if row["process"]] == [("cpu0", True), ("cpu1", True)]
    run = submit(client, model, "for a crew", rounds=30)
    wait_until(lambda: all(f"{name}   " in crew.log.read_text() for name in ("cpu0", "cpu1")), "both to speak", 5, crew)
    wait_until(lambda: "accepted" in crew.log.read_text(), "work", 120, crew)
    client.chain.escrow.close(run.job_id)

    assert crew.popen is not None
    killed, *others = workers_of(crew.popen.pid)
    killed.kill()
    wait_until(lambda: joined() == 3, "the one that was killed to come back", 240, crew)
    assert "starting it again in 5 s" in crew.log.read_text()
    assert all(other.is_running() for other in others)

    crew.popen.terminate()
    assert crew.popen.wait(60) == 0, crew.tail()
    assert crew.log.read_text().count("stopped on request") == 2


def test_a_crew_whose_head_is_killed_ends(network: Network) -> None:
    join = network.r1node("crew", "join", "--devices", "cpu,cpu", "--yes")
    crew = network.supervisor.add(Process("head", join, network.logs / "head.log"))
    wait_until(lambda: crew.log.read_text().count("joined") == 2, "two workers", 240, crew)
    assert crew.popen is not None
    workers = workers_of(crew.popen.pid)
    assert len(workers) == 2
    os.kill(crew.popen.pid, signal.SIGKILL)
    crew.popen.wait()
    psutil.wait_procs(workers, timeout=60)
    assert not any(worker.is_running() for worker in workers)


def workers_of(head: int) -> list[psutil.Process]:
    """The processes of a crew's workers."""
    return [child for child in psutil.Process(head).children() if "--tied" in child.cmdline()]
