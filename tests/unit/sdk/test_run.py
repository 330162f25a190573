"""What a run says of itself: printed, in a notebook, as a table, while it goes on; and what it costs."""

from __future__ import annotations

import asyncio
import io
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from r1coordinator.api.app import create_app
from r1net import AsyncClient, Client, Run
from r1net.errors import UsageError
from r1net.protocol.job import JobView, PolicyVersion
from r1net.protocol.views import RoundRecord
from r1net.showing import Cost, Seen, as_html, as_line
from tests.e2e.harness.processes import free_port
from tests.unit.coordinator.jobs import TOKEN, job_spec
from tests.unit.coordinator.network import World, run

POLICY = PolicyVersion(number=0, policy="0x" + "00" * 32)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL of a coordinator that serves a finished job, and the job's id."""
    world = World(tmp_path_factory.mktemp("shown"))
    job_id = world.submit(job_spec())
    assert run(world, [world.node(1)], job_id)["state"] == "completed"
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(create_app(world.services, background=False), port=port, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}", job_id
    server.should_exit = True
    thread.join()
    world.kill()


@pytest.fixture
def job(network: tuple[str, str]) -> Iterator[Run]:
    with Client(network[0]) as client:
        yield client.run(network[1])


def view(name: str = "sums", error: str | None = None) -> JobView:
    return JobView(
        job_id="0x" + "07" * 32,
        spec_digest=job_spec().digest(),
        spec=job_spec(name=name),
        state="running",
        phase="rollout",
        round=1,
        version=POLICY,
        error=error,
        held="paused",
    )


def record(reward: float) -> RoundRecord:
    return RoundRecord(
        round=0,
        version=POLICY,
        attempt=1,
        digests={},
        metrics={"reward": reward},
        traces=8,
        tokens=80,
        started_at=0,
        finished_at=1,
    )


def test_a_run_prints_what_was_last_heard_of_it() -> None:
    """Nobody is asked: the coordinator isn't there."""
    with Client("https://nowhere.invalid") as client:
        assert repr(Run(client, "0x07")) == "<Run 0x07: not looked at yet>"
        shown = Run(client, "0x07", view())
        shown._seen.record = record(0.25)
        assert repr(shown) == "<Run 0x07: name 'sums', state running, paused, round 1 of 2, reward 0.25>"
        assert repr(AsyncClient("https://nowhere.invalid").run("0x07")) == "<AsyncRun 0x07: not looked at yet>"


def test_a_notebook_shows_no_stranger_s_markup() -> None:
    html = as_html(
        "0x07", Seen(view("<script>alert(1)</script>", "<img src=x onerror='steal()'>"), record(0.5)), "http://x/'#<b>"
    )
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert "href='http://x/&#x27;#&lt;b&gt;'" in html
    assert "reward</th><td style='text-align:left'>0.5<" in html


@given(st.text(max_size=100).filter(lambda text: text.encode("utf-8", "ignore").decode() == text), st.floats())
def test_printing_never_fails(text: str, reward: float) -> None:
    seen = Seen(view().model_copy(update={"error": text, "spec": job_spec(name=text)}), record(0))
    assert seen.record is not None
    seen.record.metrics["reward"] = reward
    assert as_line(text, seen).startswith("<Run ")
    assert not re.search(r"<(?!/?(table|tr|th|td|a)\b)", as_html(text, seen, text))


def test_state_and_cost(job: Run) -> None:
    assert job.state == "completed"
    cost = job.cost()
    assert cost.spent == sum(due.amount for due in job.dues()) > 0
    assert (cost.budget, cost.left, cost.r1) == (10**9, 10**9 - cost.spent, True)
    assert str(cost) == f"{cost.spent:,} wei of 1,000,000,000 wei"
    assert repr(job).endswith(": name 'sums', state completed, round 2 of 2>")
    assert str(Cost(5 * 10**18, 10**19)) == "5 R1 of 10 R1"
    assert str(Cost(5, 10, r1=False)) == "5 of its token's smallest unit of 10 of its token's smallest unit"


def test_a_running_job_says_what_it_costs_before_it_is_settled(tmp_path: Path) -> None:
    world = World(tmp_path)
    try:
        job_id, node = world.submit(), world.node(1)
        lease = node.work()
        assert lease is not None
        node.do(lease)
        found = world.http.get(f"/v1/jobs/{job_id}/cost").json()
        assert int(found["open"]) > int(found["closed"]) == 0
        assert found["token"] == TOKEN
        assert world.http.get("/v1/jobs/0x00/cost").json()["code"] == "unknown_job"
    finally:
        world.kill()


def test_metrics_are_a_table(job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = job.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.index) == [0, 1]
    assert frame["reward"].tolist() == [step.metrics["reward"] for step in job.follow()]
    assert frame["tokens"].min() > 0
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="needs the package pandas"):
        job.to_pandas()


@pytest.mark.parametrize("terminal", [False, True])
def test_watching_shows_every_round(terminal: bool, job: Run) -> None:
    said = io.StringIO()
    over = job.watch(Console(file=said, force_terminal=terminal, color_system=None, width=300))
    assert over.state == "completed"
    assert ("2/2" in said.getvalue()) is terminal
    assert "round 1: reward " in said.getvalue()
    assert said.getvalue().startswith("round 0: reward") is not terminal


def test_the_same_with_asyncio(network: tuple[str, str]) -> None:
    async def ask() -> None:
        run_ = AsyncClient(network[0]).run(network[1])
        assert await run_.state == "completed"
        assert (await run_.cost()).spent > 0
        assert len(await run_.to_pandas()) == 2
        assert (await run_.watch(Console(file=io.StringIO()))).state == "completed"
        assert "state completed" in repr(run_)
        assert "completed" in run_._repr_html_()

    asyncio.run(ask())
