"""The same surface for asyncio: every call of `Client` and `Run`, awaited, each on a worker thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rich.console import Console

from r1net.client import Client
from r1net.jobs import JobArguments
from r1net.jobs.estimate import Estimate
from r1net.jobs.sample import GROUPS
from r1net.jobs.signal import Signal
from r1net.mixing import MixReport
from r1net.protocol.job import JobSpec, JobState, JobView
from r1net.protocol.settlement import DueView, TraceProof
from r1net.protocol.views import EvaluationRecord, RoundRecord, TraceView
from r1net.refunds import Refund
from r1net.runs import Run
from r1net.showing import Cost

if TYPE_CHECKING:
    from r1net.chain.provenance import TraceStatus


class AsyncRun:
    """`Run` for asyncio."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.job_id = run.job_id

    async def view(self) -> JobView:
        """See `Run.view`."""
        return await asyncio.to_thread(self._run.view)

    def __repr__(self) -> str:
        return repr(self._run).replace("<Run", "<AsyncRun", 1)

    def _repr_html_(self) -> str:
        return self._run._repr_html_()

    @property
    def page(self) -> str:
        """See `Run.page`."""
        return self._run.page

    @property
    def state(self) -> Awaitable[JobState]:
        """See `Run.state`: `await run.state`."""
        return asyncio.to_thread(lambda: self._run.state)

    async def cost(self) -> Cost:
        """See `Run.cost`."""
        return await asyncio.to_thread(self._run.cost)

    async def watch(self, console: Console | None = None) -> JobView:
        """See `Run.watch`."""
        return await asyncio.to_thread(self._run.watch, console)

    async def to_pandas(self) -> Any:
        """See `Run.to_pandas`."""
        return await asyncio.to_thread(self._run.to_pandas)

    async def refund(self) -> Refund:
        """See `Run.refund`."""
        return await asyncio.to_thread(self._run.refund)

    async def follow(self, after: int = -1) -> AsyncIterator[RoundRecord]:
        """See `Run.follow`."""
        records = self._run.follow(after)
        while (record := await asyncio.to_thread(next, records, None)) is not None:
            yield record

    async def track(self, *targets: str) -> AsyncIterator[RoundRecord]:
        """See `Run.track`."""
        records = self._run.track(*targets)
        try:
            while (record := await asyncio.to_thread(next, records, None)) is not None:
                yield record
        finally:
            with suppress(ValueError):  # cancelled while a thread waits in it: it is closed when that returns
                await asyncio.to_thread(records.close)

    async def wait(self) -> JobView:
        """See `Run.wait`."""
        return await asyncio.to_thread(self._run.wait)

    async def cancel(self) -> None:
        """See `Run.cancel`."""
        await asyncio.to_thread(self._run.cancel)

    async def signal(self, round_: int = 0) -> Signal:
        """See `Run.signal`."""
        return await asyncio.to_thread(self._run.signal, round_)

    async def pause(self) -> JobView:
        """See `Run.pause`."""
        return await asyncio.to_thread(self._run.pause)

    async def resume(self) -> JobView:
        """See `Run.resume`."""
        return await asyncio.to_thread(self._run.resume)

    async def top_up(self, amount: int | str) -> None:
        """See `Run.top_up`."""
        await asyncio.to_thread(self._run.top_up, amount)

    async def wait_settled(self, seconds: float = 600.0) -> int:
        """See `Run.wait_settled`."""
        return await asyncio.to_thread(self._run.wait_settled, seconds)

    async def dues(self) -> list[DueView]:
        """See `Run.dues`."""
        return await asyncio.to_thread(self._run.dues)

    async def evaluations(self) -> list[EvaluationRecord]:
        """See `Run.evaluations`."""
        return await asyncio.to_thread(self._run.evaluations)

    async def traces(self, split: str | None = None) -> AsyncIterator[TraceView]:
        """See `Run.traces`."""
        traces = self._run.traces(split)
        while (trace := await asyncio.to_thread(next, traces, None)) is not None:
            yield trace

    async def mix(self) -> MixReport:
        """See `Run.mix`."""
        return await asyncio.to_thread(self._run.mix)

    async def proof(self, trace_digest: str) -> TraceProof:
        """See `Run.proof`."""
        return await asyncio.to_thread(self._run.proof, trace_digest)

    async def verify(self, trace: TraceView) -> TraceStatus:
        """See `Run.verify`."""
        return await asyncio.to_thread(self._run.verify, trace)

    async def download(
        self, folder: Path | str, *, base: bool = False, merged: bool = False, master: bool = False
    ) -> Path:
        """See `Run.download`."""
        return await asyncio.to_thread(self._run.download, folder, base=base, merged=merged, master=master)


class AsyncClient:
    """`Client` for asyncio; takes the same arguments."""

    def __init__(self, url: str = "http://127.0.0.1:8420", **options: Any) -> None:
        self._client = Client(url, **options)

    async def train(self, **job: Unpack[JobArguments]) -> AsyncRun:
        """See `Client.train`."""
        return AsyncRun(await asyncio.to_thread(lambda: self._client.train(**job)))

    async def estimate(self, *, sample: int = GROUPS, buy: bool = False, **job: Unpack[JobArguments]) -> Estimate:
        """See `Client.estimate`."""
        return await asyncio.to_thread(lambda: self._client.estimate(sample=sample, buy=buy, **job))

    async def announce(self, job_id: str, spec: JobSpec | None = None, folder: Path | None = None) -> AsyncRun:
        """See `Client.announce`."""
        return AsyncRun(await asyncio.to_thread(self._client.announce, job_id, spec, folder))

    def run(self, job_id: str) -> AsyncRun:
        """See `Client.run`."""
        return AsyncRun(self._client.run(job_id))

    async def runs(self) -> list[AsyncRun]:
        """See `Client.runs`."""
        return [AsyncRun(run) for run in await asyncio.to_thread(self._client.runs)]

    async def verify(self, trace: TraceView, proof: TraceProof) -> TraceStatus:
        """See `Client.verify`."""
        return await asyncio.to_thread(self._client.verify, trace, proof)
