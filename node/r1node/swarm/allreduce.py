"""Hivemind's butterfly all-reduce in a group that the round fixes, made exact: all or nothing, and the same bytes.

What differs from `hivemind.averaging.allreduce`, and why:
  - the group comes from the coordinator's task, not from matchmaking (which takes minutes on busy machines);
  - reducers send averages, not differences: `local + (average - local)` differs in the last bits between replicas.
    Every peer, the reducer included, keeps the values that went over the wire;
  - peers send what they have committed to before, and all weigh the same: hivemind believes the weight that comes with
    a part;
  - a peer that fails ends the round for all. Hivemind goes on with whoever is left, and survivors then hold a mixture
    of means; here the round is tried again with those who remain.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from typing import Any, AsyncIterator

import torch
from hivemind.averaging.allreduce import AllReduceRunner
from hivemind.averaging.partition import AllreduceException, TensorPartContainer
from hivemind.compression import deserialize_torch_tensor, serialize_torch_tensor
from hivemind.p2p import P2P, P2PContext, PeerID, ServicerBase
from hivemind.proto import averaging_pb2
from hivemind.utils.asyncio import aiter_with_timeout, amap_in_executor, attach_event_on_finished
from torch import Tensor

from r1net.errors import SwarmError
from r1node.swarm.daemon import Swarm

log = logging.getLogger(__name__)

PART_BYTES = 2**18
"""Small parts keep many peers busy at once: 64–256 KiB measured fastest."""

SILENCE = 120.0
"""Seconds a peer may be silent in a round before the round is given up. Dead peers are noticed at once: their
connection closes, and the coordinator drops their lease."""


class AveragingService(ServicerBase):  # type: ignore[misc]
    """Receives peers' parts and hands them to the runner of their group, waiting for it if peers are ahead of us."""

    def __init__(self, patience: float = SILENCE) -> None:
        self._patience = patience
        self._runners: dict[bytes, ExactAllReduce] = {}
        self._changed = asyncio.Condition()

    async def attach(self, p2p: P2P) -> None:
        """Register on a (fresh) P2P."""
        await self.add_p2p_handlers(p2p)

    async def rpc_aggregate_part(
        self, stream: AsyncIterator[averaging_pb2.AveragingData], context: P2PContext
    ) -> AsyncIterator[averaging_pb2.AveragingData]:
        """A peer sends its part of the gradient; answer with the averages."""
        first = await asyncio.wait_for(anext(stream), self._patience)
        runner = await self._runner(first.group_id)
        if runner is None or context.remote_id not in runner.sender_peer_ids:
            yield averaging_pb2.AveragingData(code=averaging_pb2.BAD_GROUP_ID)
            return
        async for message in runner.rpc_aggregate_part(_chain(first, stream), context):
            yield message

    async def join(self, runner: ExactAllReduce) -> None:
        """Let a group's peers find its runner."""
        async with self._changed:
            self._runners[runner.group_id] = runner
            self._changed.notify_all()

    def leave(self, runner: ExactAllReduce) -> None:
        """Forget a group."""
        self._runners.pop(runner.group_id, None)

    async def _runner(self, group_id: bytes) -> ExactAllReduce | None:
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: group_id in self._runners), self._patience)
            except TimeoutError:
                return None
        return self._runners.get(group_id)


class ExactAllReduce(AllReduceRunner):  # type: ignore[misc]
    """One all-reduce of one flat tensor. `result()` returns the average, or raises SwarmError.

    `committed[sender][reducer]` is what each peer, in the group's order, has committed to send each reducer.
    """

    def __init__(
        self, p2p: P2P, group_id: bytes, tensor: Tensor, peers: Sequence[PeerID], committed: Sequence[Sequence[str]]
    ) -> None:
        super().__init__(
            p2p=p2p,
            servicer_type=AveragingService,
            prefix=None,
            group_id=group_id,
            tensors=[tensor],
            ordered_peer_ids=tuple(peers),
            peer_fractions=(1.0 / len(peers),) * len(peers),
            sender_timeout=SILENCE,
            reducer_timeout=2 * SILENCE,
            part_size_bytes=PART_BYTES,
        )
        self.tensor_part_container = TensorPartContainer(
            [tensor], self.peer_fractions, return_deltas=False, part_size_bytes=PART_BYTES
        )
        own = self.ordered_peer_ids.index(self.peer_id)
        self._expected = [sections[own] for sections in committed]
        self.parts_for_local_averaging: tuple[Tensor, ...] = self.tensor_part_container.get_raw_input_parts(own)
        self._future.add_done_callback(lambda done: done.cancelled() or done.exception())  # told through `_broken`
        self._broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def result(self) -> Tensor:
        """Run to the end. Raises SwarmError as soon as any peer fails."""
        collecting = asyncio.ensure_future(self._collect())
        await asyncio.wait((collecting, self._broken), return_when=asyncio.FIRST_COMPLETED)
        if self._broken.done():
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)
            raise SwarmError(f"averaging broke: {self._broken.result()}")
        try:
            return collecting.result()
        except Exception as error:  # hivemind, its streams and what peers send raise whatever they like
            raise SwarmError(f"averaging broke: {type(error).__name__}: {error}") from error

    async def _collect(self) -> Tensor:
        averages: list[Tensor] = [tensor async for tensor in self.run()]
        return averages[0]

    def _break(self, reason: str) -> None:
        if not self._broken.done():
            self._broken.set_result(reason)

    async def _ban_sender(self, peer_id: PeerID) -> None:
        if self.tensor_part_reducer.finished.is_set():
            return  # everything of ours was averaged and sent; the peer merely closed its stream
        # Hivemind would complete the part without this sender, and the others would take that for the average.
        self._break(f"peer {peer_id.to_base58()} stopped sending")

    async def _communicate_with_peer(self, peer_id: PeerID) -> None:
        index = self.ordered_peer_ids.index(peer_id)
        if peer_id == self.peer_id:
            await self._average_own_parts(index)
            return
        try:
            await self._exchange(peer_id, index)
        except Exception as error:  # whatever a remote peer or its stream does ends the round, with its reason
            self._break(f"peer {peer_id.to_base58()}: {type(error).__name__}: {error}")
            raise

    async def _average_own_parts(self, index: int) -> None:
        sender = self.sender_peer_ids.index(self.peer_id)
        for number, part in enumerate(self.parts_for_local_averaging):
            average = await self.tensor_part_reducer.accumulate_part(sender, number, part, weight=self.weight)
            self.tensor_part_container.register_processed_part(index, number, average)

    async def _exchange(self, peer_id: PeerID, index: int) -> None:
        done = asyncio.Event()
        inputs = attach_event_on_finished(self._generate_input_for_peer(index), done)
        stream = await self._get_peer_stub(peer_id).rpc_aggregate_part(inputs)
        received = 0

        def decode(message: Any) -> Tensor:
            if message.code != averaging_pb2.AVERAGED_PART:
                raise AllreduceException(f"sent {averaging_pb2.MessageCode.Name(message.code)}")
            part: Tensor = deserialize_torch_tensor(message.tensor_part)
            return part

        async for average in amap_in_executor(
            decode, aiter_with_timeout(stream, self.reducer_timeout), max_prefetch=self.tensor_part_container.prefetch
        ):
            self.tensor_part_container.register_processed_part(index, received, average)
            received += 1
        expected = self.tensor_part_container.num_parts_by_peer[index]
        if received != expected:
            raise AllreduceException(f"sent {received} parts of {expected}")

    async def _accumulate_parts_streaming(
        self, stream: AsyncIterator[averaging_pb2.AveragingData], sender_index: int
    ) -> AsyncIterator[averaging_pb2.AveragingData]:
        number = 0
        loop = asyncio.get_running_loop()
        inlet = Inlet(self._expected[sender_index], self.tensor_part_reducer.num_parts)
        try:
            async for part, weight, compression in amap_in_executor(
                lambda m: (deserialize_torch_tensor(m.tensor_part), m.weight, m.tensor_part.compression),
                stream,
                max_prefetch=self.tensor_part_container.prefetch,
            ):
                await loop.run_in_executor(None, inlet.look, part, weight)
                average = await self.tensor_part_reducer.accumulate_part(sender_index, number, part, weight=1.0)
                number += 1
                encoded = await loop.run_in_executor(None, serialize_torch_tensor, average, compression)
                yield averaging_pb2.AveragingData(code=averaging_pb2.AVERAGED_PART, tensor_part=encoded)
        except AllreduceException as error:
            self._break(f"peer {self.sender_peer_ids[sender_index].to_base58()} {error}")
            raise
        finally:
            if number != self.tensor_part_reducer.num_parts:
                await self._ban_sender(self.sender_peer_ids[sender_index])


class Inlet:
    """What one sender's parts must be, taken together: of weight 1, finite, and what it has committed to. That is known
    before the last part counts, so that no average has anything else in it."""

    def __init__(self, expected: str, parts: int) -> None:
        self._expected, self._left, self._hashed = expected, parts, hashlib.sha256()

    def look(self, part: Tensor, weight: float) -> None:
        """At the next part. Raises AllreduceException, with the rest of a sentence about the sender."""
        if weight != 1.0:
            raise AllreduceException(f"wants its part to weigh {weight:g}; every slot's weighs 1")
        if not bool(torch.isfinite(part).all()):
            raise AllreduceException("sent numbers that are not finite")
        self._hashed.update(part.numpy().tobytes())
        self._left -= 1
        if self._left == 0 and "0x" + self._hashed.hexdigest() != self._expected:
            raise AllreduceException("sent something else than it has committed to")


def sections(tensor: Tensor, count: int) -> tuple[str, ...]:
    """SHA-256 of what each of `count` reducers is sent of a flat float32 tensor, in the group's order."""
    container = TensorPartContainer([tensor], (1.0 / count,) * count, return_deltas=False, part_size_bytes=PART_BYTES)
    return tuple(_digest(container.get_raw_input_parts(number)) for number in range(count))


def _digest(parts: Sequence[Tensor]) -> str:
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part.numpy().tobytes())
    return "0x" + hashed.hexdigest()


async def average(
    swarm: Swarm,
    service: AveragingService,
    group_id: bytes,
    tensor: Tensor,
    slots: Sequence[tuple[str, Sequence[str]]],
    committed: Sequence[Sequence[str]],
) -> Tensor:
    """The mean of one flat float32 tensor over `slots` (peer id, addresses), bit-identical on every peer. Each has
    `committed` to its `sections`, and nothing else of it is taken.

    Raises SwarmError when any of them fails; nobody then has a result that another lacks without knowing it, because
    versions are agreed by digest afterwards. Cancelling the coroutine leaves the group.
    """
    p2p = swarm.p2p
    own = p2p.peer_id.to_base58()
    peers = [p2p.peer_id if peer == own else await swarm.connect(peer, addresses) for peer, addresses in slots]
    runner = ExactAllReduce(p2p, group_id, tensor, peers, committed)
    await service.join(runner)
    try:
        return await runner.result()
    finally:
        service.leave(runner)


async def _chain(
    first: averaging_pb2.AveragingData, rest: AsyncIterator[averaging_pb2.AveragingData]
) -> AsyncIterator[averaging_pb2.AveragingData]:
    yield first
    async for message in rest:
        yield message
