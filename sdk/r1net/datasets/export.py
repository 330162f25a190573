"""Accepted traces as a data set: parquet in the prompt + completion form, each row with its proof."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from r1net.errors import ProtocolError
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.settlement import EpochReport
from r1net.protocol.trace import trace_tree
from r1net.protocol.views import TraceView
from r1net.rewards import names
from r1net.transport import Transport
from r1net.whole import whole

BATCH = 1000

SCHEMA = pa.schema(
    [
        ("prompt", pa.string()),
        ("completion", pa.string()),
        ("reward", pa.float64()),
        ("reward_parts", pa.struct([(name, pa.float64()) for name in names()])),
        ("own_rewards", pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))),
        ("split", pa.string()),
        ("round", pa.int64()),
        ("group", pa.int64()),
        ("index", pa.int64()),
        ("finish_reason", pa.string()),
        ("policy", pa.string()),
        ("worker", pa.string()),
        ("prompt_ids", pa.list_(pa.int32())),
        ("completion_ids", pa.list_(pa.int32())),
        ("logprobs", pa.list_(pa.float64())),
        ("seed", pa.int64()),
        ("trace_digest", pa.string()),
        ("epoch", pa.int64()),
        ("proof", pa.list_(pa.string())),
    ]
)
"""The same for every job, so that files of several can be read as one. `reward_parts` is a struct with a field for each
registered reward, null where it does not apply or the job does not have it: Hugging Face datasets, pandas, polars and
DuckDB read that, and none but Arrow a map. `own_rewards` lists the marks of the job's own code, in the order of their
names; `value` is null where one does not apply. `epoch` and `proof` are null until the trace's epoch is settled.
`trace_digest` is the leaf on chain."""


class ProofBook:
    """Merkle proofs of a job's traces, rebuilt here from the public reports: one download for each epoch."""

    def __init__(self, transport: Transport, job_id: str) -> None:
        self._transport, self._job_id = transport, job_id
        self._trees: dict[int, tuple[StandardMerkleTree, dict[str, int]]] = {}

    def proof(self, trace: TraceView) -> list[str] | None:
        """The proof of a trace against its epoch's root; None while the epoch is open."""
        if trace.epoch is None:
            return None
        if trace.epoch not in self._trees:
            report = self._transport.get(f"/v1/epochs/{trace.epoch}/report", EpochReport)
            digests = next(list(job.trace_digests) for job in report.jobs if job.job_id == self._job_id)
            self._trees[trace.epoch] = (trace_tree(digests), {digest: n for n, digest in enumerate(digests)})
        tree, places = self._trees[trace.epoch]
        return tree.proof(places[trace.trace_digest])


def export_traces(traces: Iterable[TraceView], proofs: ProofBook, target: Path, own: Collection[str] = ()) -> int:
    """Write traces to a parquet file, batch by batch. Returns how many there were. `own` names the job's rewards that
    are its own code.

    Raises ProtocolError when a trace has a reward that is neither of these nor registered: it would be left out in
    silence.
    """
    rows = (_row(trace, proofs.proof(trace), own) for trace in traces)
    count = 0
    with whole(target, 0o644, sync=False) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for batch in _batches(rows):
            writer.write_table(pa.Table.from_pylist(batch, schema=SCHEMA))
            count += len(batch)
    return count


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _row(view: TraceView, proof: list[str] | None, own: Collection[str]) -> dict[str, Any]:
    trace = view.trace
    parts = {name: value for name, value in trace.reward_parts.items() if name not in own}
    unknown = parts.keys() - names()
    if unknown:
        raise ProtocolError(
            f"a trace has the reward {min(unknown)[:100]!r}, which is unknown here", hint="update r1net"
        )
    return {
        "prompt": view.prompt,
        "completion": view.completion,
        "reward": trace.reward,
        "reward_parts": parts,
        "own_rewards": [
            {"name": name, "value": value} for name, value in sorted(trace.reward_parts.items()) if name in own
        ],
        "split": trace.split,
        "round": trace.round,
        "group": trace.group,
        "index": trace.index,
        "finish_reason": trace.finish_reason,
        "policy": trace.policy,
        "worker": trace.worker,
        "prompt_ids": trace.prompt_ids,
        "completion_ids": trace.completion_ids,
        "logprobs": trace.logprobs,
        "seed": trace.seed,
        "trace_digest": view.trace_digest,
        "epoch": view.epoch,
        "proof": proof,
    }
