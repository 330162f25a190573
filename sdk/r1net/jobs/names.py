"""What arguments, and settings of arguments, are called: here, and elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from r1net.faults import closest, settable
from r1net.protocol.job import Evaluation, Grpo, Lora, Optimizer, Prices, Sampling, Verification

SETTINGS: dict[str, type[BaseModel]] = {
    "sampling": Sampling,
    "optimizer": Optimizer,
    "lora": Lora,
    "evaluation": Evaluation,
    "verification": Verification,
    "prices": Prices,
}
"""The arguments that are settings of their own kind."""

_ELSEWHERE = {
    "lr": "learning_rate",
    "num_generations": "group_size",
    "max_completion_length": "max_tokens",
    "max_new_tokens": "max_tokens",
    "beta": "kl_coef",
    "epsilon": "clip_low",
    "epsilon_high": "clip_high",
    "loss_type": "loss",
    "max_steps": "rounds",
    "reward_funcs": "reward",
    "train_dataset": "dataset",
    "peft_config": "lora",
    "tools": "tool",
}
"""What TRL and transformers call them."""


def meant(name: str, arguments: Sequence[str]) -> str:
    """Which argument, or which setting of one, somebody may have meant."""
    places = {argument: f"{argument}=" for argument in arguments}
    for argument, kind in SETTINGS.items():
        for field in settable(kind):
            places.setdefault(field, f"{argument}={kind.__name__}({field}=…)")
    for field in settable(Grpo):
        if field not in arguments:
            places[field] = f'grpo={{"{field}": …}}'
    known = _ELSEWHERE.get(name, name)
    found = known if known in places else closest(name, places)
    return f"did you mean {places[found]}?" if found else f"there are {', '.join(arguments)}"
