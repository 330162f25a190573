"""How a submitter steers a job that is under way: pausing and resuming, by a signature."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from r1net.protocol.canonical import Hash, Message, Signature

STEERING_LIFETIME = 600
"""Most seconds that a coordinator takes a signature for. An older one than the last never counts again."""


class Steering(Message):
    """EIP-712 `Steering(bytes32 jobId, string action, uint256 issued)`, signed by the job's submitter."""

    job_id: Hash
    action: Literal["pause", "resume"]
    issued: int = Field(description="Unix milliseconds")


class SignedSteering(Message):
    """Body of POST /v1/jobs/{id}/steering."""

    steering: Steering
    signature: Signature
