"""Metrics while a job runs: to JSON lines, TensorBoard and Weights & Biases, read back from what these wrote."""

from __future__ import annotations

import asyncio
import json
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tensorboardX.proto.event_pb2 import Event

from r1coordinator.api.app import create_app
from r1net import AsyncClient, Client, Run
from r1net.errors import UsageError
from r1net.tracking import open_tracker
from tests.e2e.harness.processes import free_port
from tests.unit.coordinator.jobs import job_spec
from tests.unit.coordinator.network import World, run

ROUNDS = 3


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL of a coordinator that serves a finished job, and the job's id."""
    world = World(tmp_path_factory.mktemp("tracked"))
    stage = job_spec().stage.model_copy(update={"rounds": ROUNDS})
    job_id = world.submit(job_spec(stage=stage))
    assert run(world, [world.node(1)], job_id)["state"] == "completed"
    port = free_port()
    app = create_app(world.services, background=False)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
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


def events(folder: Path) -> list[tuple[int, float, dict[str, float]]]:
    """Step, time and values of every summary in a folder's event files."""
    found = []
    for file in folder.iterdir():
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            if event.HasField("summary"):
                values = {value.tag: value.simple_value for value in event.summary.value}
                found.append((event.step, event.wall_time, values))
    return sorted(found, key=lambda row: row[0])


def history(folder: Path) -> list[dict[str, Any]]:
    """The logged steps of the offline runs in a folder: LevelDB's log format with W&B's records."""
    from wandb.proto.wandb_internal_pb2 import Record

    rows = []
    for file in sorted(folder.glob("**/*.wandb")):
        data, start, record = file.read_bytes(), 7, b""
        while start + 7 <= len(data):
            left = 32768 - start % 32768
            if left < 7:
                start += left
                continue
            _, length, kind = struct.unpack("<IHB", data[start : start + 7])
            record += data[start + 7 : start + 7 + length]
            start += 7 + length
            if kind in (1, 4):  # a whole record, or its last part
                items = Record.FromString(record).history.item
                rows += [{(i.key or ".".join(i.nested_key)): json.loads(i.value_json) for i in items}] if items else []
                record = b""
    return rows


def test_rounds_go_to_every_target(job: Run, tmp_path: Path) -> None:
    jsonl, board = tmp_path / "deep" / "metrics.jsonl", tmp_path / "board"
    records = list(job.track(f"jsonl:{jsonl}", f"tensorboard:{board}"))
    assert [record.round for record in records] == list(range(ROUNDS))
    lines = [json.loads(line) for line in jsonl.read_text().splitlines()]
    assert lines == [{"round": record.round, **record.metrics} for record in records]
    written = events(board)
    assert [(step, when) for step, when, _ in written] == [(record.round, record.finished_at) for record in records]
    for record, (_, _, values) in zip(records, written, strict=True):
        assert values == pytest.approx(record.metrics, rel=1e-6)  # TensorBoard keeps float32


def test_a_target_goes_on_behind_its_last_round(job: Run, tmp_path: Path) -> None:
    """Stopped after one round, then started again at once, with a target that is new."""
    jsonl, board, late = tmp_path / "metrics.jsonl", tmp_path / "board", tmp_path / "late.jsonl"
    for _ in job.track(f"jsonl:{jsonl}", f"tensorboard:{board}"):
        break
    assert [step for step, _, _ in events(board)] == [0]
    rest = [record.round for record in job.track(f"jsonl:{jsonl}", f"tensorboard:{board}")]
    assert rest == [1, 2]
    every = [record.round for record in job.track(f"jsonl:{jsonl}", f"tensorboard:{board}", f"jsonl:{late}")]
    assert every == [0, 1, 2]
    assert [step for step, _, _ in events(board)] == [0, 1, 2]
    assert jsonl.read_text() == late.read_text()
    assert list(job.track(f"jsonl:{late}")) == []


def test_what_a_crash_cut_off_is_written_again(job: Run, tmp_path: Path) -> None:
    jsonl, board = tmp_path / "metrics.jsonl", tmp_path / "board"
    list(job.track(f"jsonl:{jsonl}", f"tensorboard:{board}"))
    whole = jsonl.read_text()
    jsonl.write_text(whole[:-20])
    (file,) = board.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    for target in (f"jsonl:{jsonl}", f"tensorboard:{board}"):
        with closing(open_tracker(target, job.job_id)) as tracker:
            assert tracker.last_round == 1
    assert [record.round for record in job.track(f"jsonl:{jsonl}", f"tensorboard:{board}")] == [2]
    assert jsonl.read_text() == whole


def test_wandb_offline_holds_every_round(job: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_DISABLE_GIT": "true"}.items():
        monkeypatch.setenv(name, value)
    records = list(job.track("wandb:somebody/sums"))
    rows = history(tmp_path)
    assert [row["_step"] for row in rows] == [record.round for record in records] == [0, 1, 2]
    for record, row in zip(records, rows, strict=True):
        assert {name: row[name] for name in record.metrics} == record.metrics
    assert any(job.job_id.removeprefix("0x") in file.name for file in tmp_path.glob("wandb/offline-run-*"))


def test_asyncio_tracks_alike(network: tuple[str, str], tmp_path: Path) -> None:
    url, job_id = network
    jsonl = tmp_path / "metrics.jsonl"

    async def rounds(most: int) -> list[int]:
        found = []
        tracked = AsyncClient(url).run(job_id).track(f"jsonl:{jsonl}")
        async for record in tracked:
            found.append(record.round)
            if len(found) == most:
                break
        await tracked.aclose()  # type: ignore[attr-defined]
        return found

    assert asyncio.run(rounds(most=1)) == [0]
    assert asyncio.run(rounds(most=9)) == [1, 2]
    assert len(jsonl.read_text().splitlines()) == ROUNDS


@pytest.mark.parametrize("target", ["metrics.jsonl", "mlflow:x", "jsonl:", ""])
def test_a_target_that_means_nothing_is_refused(job: Run, target: str) -> None:
    with pytest.raises(UsageError, match="cannot track"):
        next(job.track(target))


def test_a_file_that_holds_something_else_is_left_alone(job: Run, tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a round\n")
    with pytest.raises(UsageError, match="no rounds"):
        next(job.track(f"jsonl:{other}"))
    assert other.read_text() == "not a round\n"


@pytest.mark.parametrize(("extra", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_package_is_named_with_its_extra(extra: str, package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from r1net.errors import UsageError\n"
        "from r1net.tracking import open_tracker\n"
        f"try: open_tracker('{extra}:x', '0x00')\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install 'r1net[{extra}]'" in done.stdout


def test_importing_r1net_loads_no_tracker() -> None:
    code = "import r1net, sys; print([m for m in ('tensorboardX', 'wandb') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
