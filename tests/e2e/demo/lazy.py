"""A host that samples honestly and trains lazily: it commits to what the last step left in its buffer, takes part in
the averaging and the step, answers for it with its signature, and is spared the work that it is to be paid for.

    python -m tests.e2e.demo.lazy join --coordinator URL …     as `r1node join`
"""

from __future__ import annotations

import r1node.attempt
from r1net.protocol.work import TrainerSlot, TrainTask
from r1node.cli.main import main
from r1node.learner import Learner
from r1node.training.trainer import Tick


def lazy_gradient(_job: Learner, _task: TrainTask, slot: TrainerSlot, _tick: Tick) -> dict[str, float]:
    """What is reported of a gradient that nobody has computed."""
    return {"train/tokens": float(slot.tokens)}


if __name__ == "__main__":
    r1node.attempt.slot_gradient = lazy_gradient
    main()
