"""A job as its submitter sees it: follow it, judge it, download what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from r1net.amounts import about, wei_of
from r1net.datasets import ProofBook, export_traces
from r1net.environments import Weights
from r1net.errors import R1Error, Unreachable, UsageError
from r1net.jobs.bought import signal_of_round
from r1net.jobs.signal import Signal
from r1net.mixing import MixReport, recompute
from r1net.protocol.job import JobState, JobView
from r1net.protocol.settlement import DueView, TraceProof
from r1net.protocol.steering import SignedSteering, Steering
from r1net.protocol.views import EvaluationRecord, JobCost, RoundMix, RoundPage, RoundRecord, TraceView
from r1net.refunds import Refund, take_back
from r1net.showing import Cost, Seen, as_frame, as_html, as_line, progress
from r1net.tracking import json_line, open_tracker
from r1net.whole import write_whole

if TYPE_CHECKING:
    from r1net.chain.provenance import TraceStatus
    from r1net.client import Client

PAGE = 500
POLL = 20.0
_OVER = ("completed", "failed", "cancelled")


class RunFailed(R1Error):
    """The job ended without a model."""

    code = "run_failed"


class Run:
    """A running or finished job. Cheap to make: `client.run(job_id)`."""

    def __init__(self, client: Client, job_id: str, view: JobView | None = None) -> None:
        self._client = client
        self.job_id = job_id
        self._seen = Seen(view)

    def __repr__(self) -> str:
        return as_line(self.job_id, self._seen)

    def _repr_html_(self) -> str:
        return as_html(self.job_id, self._seen, self.page)

    @property
    def page(self) -> str:
        """Where to watch the job in a browser: its coordinator's page."""
        return f"{self._client.transport.url}/#{self.job_id}"

    def view(self) -> JobView:
        """The job as it stands. What is printed of a run is what was last heard of it here."""
        self._seen.view = self._client.transport.get(f"/v1/jobs/{self.job_id}", JobView)
        return self._seen.view

    @property
    def state(self) -> JobState:
        """Whether it waits for its model, runs, or is over and how."""
        return self.view().state

    def cost(self) -> Cost:
        """What the work accepted so far costs, settled or not, and the budget; `str` of it is in words."""
        found = self._client.transport.get(f"/v1/jobs/{self.job_id}/cost", JobCost)
        return Cost(found.open + found.closed, found.budget, self._client.is_r1(found.token))

    def follow(self, after: int = -1) -> Iterator[RoundRecord]:
        """Every round after `after`, as it finishes, until the job ends. Survives a coordinator that restarts.

        Raises RunFailed when the job fails or is cancelled.
        """
        while True:
            try:
                page = self._client.transport.get(f"/v1/jobs/{self.job_id}/rounds", RoundPage, after=after, wait=POLL)
            except Unreachable:
                time.sleep(1.0)
                continue
            for record in page.rounds:
                after, self._seen.record = record.round, record
                yield record
            if page.state in ("failed", "cancelled"):
                raise RunFailed(f"the job {page.state}: {page.error or 'no reason given'}")
            if page.state == "completed" and not page.rounds:
                return

    def track(self, *targets: str) -> Generator[RoundRecord]:
        """Every round as `follow` brings it, once it is written to every target (see `r1net.tracking`):

            for step in run.track("tensorboard:runs/sums", "wandb:my-project", "jsonl:metrics.jsonl"):
                print(step.round, step.metrics.get("reward"))

        Begins behind the last round that all targets have. Raises RunFailed as `follow` does, and UsageError on a
        target that means nothing or whose package is missing.
        """
        with ExitStack() as stack:
            trackers = [stack.enter_context(closing(open_tracker(target, self.job_id))) for target in targets]
            for record in self.follow(min((tracker.last_round for tracker in trackers), default=-1)):
                for tracker in trackers:
                    if tracker.last_round < record.round:
                        tracker.log(record)
                yield record

    def wait(self) -> JobView:
        """Follow to the end without looking."""
        for _ in self.follow():
            pass
        return self.view()

    def watch(self, console: Console | None = None) -> JobView:
        """Follow to the end with a bar of progress, or with a line for each round where there is no terminal. Raises
        RunFailed as `follow` does."""
        with progress(self.view(), console or Console(stderr=True)) as show:
            for record in self.follow():
                show(record)
        return self.view()

    def to_pandas(self) -> Any:
        """The metrics of all rounds so far as a pandas.DataFrame, a row for each, under TRL's names. Raises UsageError
        without pandas."""
        return as_frame(self._records())

    def cancel(self) -> None:
        """Stop the job for good, by closing its escrow: what hosts have done is settled, and what is left comes back
        with `refund` after the grace period. Raises ChainError."""
        self._client.chain.escrow.close(self.job_id)

    def refund(self) -> Refund:
        """Take back what is left of a job that is over: `.returned` in wei. Before the grace period, in which its work
        can still be settled, has passed, nothing comes back and `.due` says from when on it does: call it again then.

        Raises UsageError for a job that still runs, ChainError.
        """
        chain = self._client.chain
        if chain.escrow.job(self.job_id).closed_at == 0 and self.view().state not in _OVER:
            raise UsageError("the job runs still", hint="run.cancel(), or `r1net stop`, ends it")
        return take_back(chain, self.job_id)

    def pause(self) -> JobView:
        """Have no new work of the job given out. What hosts have in hand they finish, and are paid for."""
        return self._steer("pause")

    def resume(self) -> JobView:
        """Go on after `pause`."""
        return self._steer("resume")

    def top_up(self, amount: int | str) -> None:
        """Put more into the escrow ("5 R1", or wei), to be spent beside the budget: a job whose budget was spent goes
        on. Raises UsageError, ChainError."""
        self._client.chain.escrow.top_up(self.job_id, wei_of(amount))

    def _steer(self, action: Literal["pause", "resume"]) -> JobView:
        from r1net.protocol.signing import steering_values  # noqa: PLC0415 - loads eth_account

        steering = Steering(job_id=self.job_id, action=action, issued=time.time_ns() // 1_000_000)
        signature = self._client.sign("Steering", steering_values(steering))
        signed = SignedSteering(steering=steering, signature=signature)
        return self._client.transport.post(f"/v1/jobs/{self.job_id}/steering", signed, JobView)

    def wait_settled(self, seconds: float = 600.0) -> int:
        """Wait until the job is over and all that it owes is in epochs that are final on chain; returns the last one's
        number.

        Raises RunFailed when something can't be paid, and after `seconds`: the challenge window may be longer.
        """
        deadline = time.monotonic() + seconds
        while True:
            view = self.view()
            dues = self.dues()
            lost = next((due for due in dues if due.state in ("unpayable", "held")), None)
            if lost is not None:
                raise RunFailed(f"not all is settled: {lost.error}", hint="see GET /v1/jobs/{id}/dues")
            if view.state in _OVER and dues and all(due.state == "settled" for due in dues):
                assert dues[-1].epoch is not None
                return dues[-1].epoch
            if view.state in _OVER and not dues:
                raise RunFailed("there is nothing to settle: none of the job's work was accepted")
            if time.monotonic() > deadline:
                raise RunFailed(
                    f"not settled after {seconds:.0f} s: {self._standing(view, dues)}",
                    hint="wait for the challenge window",
                )
            time.sleep(1.0)

    def _standing(self, view: JobView, dues: list[DueView]) -> str:
        """Where the settlement of a job is, in words."""
        if view.state not in _OVER:
            return f"the job is {view.state}"
        due = next(due for due in dues if due.state != "settled")
        reason = f" ({due.error})" if due.error else ""
        return f"{about(due.amount, self._client.is_r1(view.spec.payment_token))} are {due.state}{reason}"

    def dues(self) -> list[DueView]:
        """What the job owes, oldest first, and where that stands."""
        return self._client.transport.get_many(f"/v1/jobs/{self.job_id}/dues", DueView)

    def evaluations(self) -> list[EvaluationRecord]:
        """Held-out results, first version first."""
        return self._client.transport.get_many(f"/v1/jobs/{self.job_id}/evaluations", EvaluationRecord)

    def traces(self, split: str | None = None) -> Iterator[TraceView]:
        """Every accepted trace, in the order of acceptance."""
        chosen = {"split": split} if split else {}
        return self._client.transport.walk(f"/v1/jobs/{self.job_id}/traces", TraceView, PAGE, **chosen)

    def signal(self, round_: int = 0) -> Signal:
        """What the completions of a round that is over say of what the model can learn. Raises UsageError before."""
        page = self._client.transport.get(f"/v1/jobs/{self.job_id}/rounds", RoundPage, after=round_ - 1, wait=0)
        if not page.rounds or page.rounds[0].round != round_:
            raise UsageError(f"round {round_} is not over")
        return signal_of_round(self.traces("train"), page.rounds[0])

    def mix(self) -> MixReport:
        """Every round's weights, recomputed from the published traces, beside those that the coordinator drew with: ask
        the answer for the `first_wrong`. Reads all training traces. Raises UsageError where the job has no curriculum.
        """
        view = self.view()
        if view.spec.environment.curriculum is None:
            raise UsageError("the job has no curriculum: its weights are those of its specification")
        published: dict[int, Weights | None] = {record.round: record.mix for record in self._records()}
        if view.state == "running" and view.phase in ("rollout", "train"):
            path = f"/v1/jobs/{self.job_id}/mix/{view.round}"
            published[view.round] = self._client.transport.get(path, RoundMix).weights
        return recompute(view.spec, published, (one.trace for one in self.traces("train")))

    def _records(self) -> Iterator[RoundRecord]:
        """The finished rounds."""
        path, after = f"/v1/jobs/{self.job_id}/rounds", -1
        while rounds := self._client.transport.get(path, RoundPage, after=after, wait=0).rounds:
            yield from rounds
            after, self._seen.record = rounds[-1].round, rounds[-1]

    def proof(self, trace_digest: str) -> TraceProof:
        """The Merkle proof of one anchored trace."""
        return self._client.transport.get(f"/v1/jobs/{self.job_id}/traces/{trace_digest}/proof", TraceProof)

    def verify(self, trace: TraceView) -> TraceStatus:
        """Hash a trace here, and prove it against the chain. See `Client.verify`."""
        return self._client.verify(trace, self.proof(trace.trace.digest()))

    def download(self, folder: Path | str, *, base: bool = False, merged: bool = False, master: bool = False) -> Path:
        """Model, traces and metrics into a folder. Of a job that trains all weights:

            model.safetensors           the final version, as it was sampled: in the job's precision
            config.json, tokenizer…     what the model's folder had beside the weights; transformers loads the folder
            policy.safetensors          with `master`: the float32 values that training went on from

        With LoRA:

            adapter_model.safetensors   the adapter in float32, adapter_config.json for PEFT, tokenizer, chat template
            base.json                   the base model by the digests of its files
            merged/                     with `merged`: a whole model, base and adapter merged exactly as sampled

        and always:

            base/                       with `base`: the job's model as it was submitted; an adapter then names it
            traces.parquet              every accepted trace with text, tokens, reward parts, digest and proof
            metrics.jsonl               a line for each round, TRL's names
            job.json                    the specification, the version, the evaluations

        Raises RunFailed while the job has not completed, Refused when the coordinator keeps its files no longer.
        """
        view = self.view()
        if view.state != "completed":
            raise RunFailed(f"the job is {view.state}; its model comes when it is completed")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._download_model(view, folder, base, merged, master)
        own = {reward.name for reward in view.spec.rewards if reward.code is not None}
        export_traces(self.traces(), ProofBook(self._client.transport, self.job_id), folder / "traces.parquet", own)
        write_whole(folder / "metrics.jsonl", "".join(map(json_line, self._records())), 0o644)
        evaluations = [record.model_dump(mode="json") for record in self.evaluations()]
        job = {"job": view.model_dump(mode="json"), "evaluations": evaluations}
        write_whole(folder / "job.json", json.dumps(job, indent=2), 0o644)
        return folder

    def _download_model(self, view: JobView, folder: Path, base: bool, merged: bool, master: bool) -> None:
        from r1net import downloads  # noqa: PLC0415 - loads numpy

        transport, spec = self._client.transport, view.spec
        if merged and spec.lora is None:
            raise UsageError("the job trained all weights: nothing is to be merged", hint="leave merged=True out")
        here = downloads.download_base(transport, spec.model, folder / "base") if base else None
        if spec.lora is None:
            downloads.download_weights(transport, view, folder, master)
            return
        downloads.download_adapter(transport, view, folder, here)
        if merged:
            downloads.download_merged(transport, spec, folder, here)
