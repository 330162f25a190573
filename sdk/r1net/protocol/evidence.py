"""What a replay finds, and what parties to a dispute lay before the jurors. The file is theirs to show; its digest goes
on chain."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from r1net.protocol.canonical import Address, Message
from r1net.protocol.trace import SignedTrace


class Finding(Message):
    """What a replay of one worker's traces came to.

    Deltas are recomputed minus claimed log-probabilities, nats; `noise` relates them to what noise of 1 on every logit
    would bring. `drawn` is the share of tokens that their seeds draw (within 0.1 nats), `mean_miss` by how many nats
    the tokens lose to what the seeds draw. `usual_noise` and `usual_miss` are those of honest bf16 arithmetic on the
    same tokens and seeds. No faults: nothing speaks against the work.
    """

    worker: Address
    traces: int = Field(ge=1)
    tokens: int = Field(ge=1)
    mean_abs_delta: float
    mean_delta: float
    max_abs_delta: float
    noise: float
    drawn: float
    mean_miss: float
    usual_noise: float
    usual_miss: float
    faults: tuple[str, ...] = ()


class GradientFinding(Message):
    """What recomputing one slot's gradient came to.

    `deviation` is the norm of the claimed sketch less that of the recomputed gradient, over the latter's norm; `usual`
    the same of honest bf16 arithmetic. `version_holds`: the attempt's sum leads to the stated version. No faults:
    nothing speaks against the statement.
    """

    worker: Address
    tokens: int = Field(ge=0)
    norm: float
    deviation: float
    usual: float
    version_holds: bool
    faults: tuple[str, ...] = ()


class Evidence(Message):
    """An accusation, or the answer to one. `submission` is that of the disputed trace; None where an epoch is."""

    kind: Literal["accusation", "answer"]
    submission: SignedTrace | None = None
    finding: Finding | GradientFinding | None = None
    words: str = Field(default="", max_length=10_000)
