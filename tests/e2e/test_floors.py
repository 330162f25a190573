"""Real hosts with the default floor: work that pays nothing is left alone, whatever came first."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1net import Client
from r1net.protocol.job import Prices
from r1net.protocol.views import NodeView
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import wait_until
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
    assert [(job["name"], int(job["an_hour"] or 1) > 0) for job in status["jobs"]] == [("paying", True)]
    views = client.transport.get_many("/v1/nodes", NodeView)
    assert all("not_published" not in view.reasons and "false_possession" not in view.reasons for view in views)
