"""The reward `code`: 1 when the program in the answer passes its problem's tests, else 0. Settings alone: it is
computed by `r1net.sandbox.judge`, for it runs what a model wrote."""

from __future__ import annotations

from pydantic import Field

from r1net.rewards.base import RewardSettings


class CodeSettings(RewardSettings):
    """1 when the program in the answer passes all the tests of its problem's row (`share`: the share of them that
    pass), else 0; None where the row has none. Tests are a `test` with its `entry_point` (HumanEval, arXiv:2107.03374),
    a list of asserts in `test_list` (MBPP, arXiv:2108.07732), or pairs of input and output. A program has `seconds` of
    CPU time for all its tests (for each input, where it reads its input), and `memory_bytes` for all that it holds."""

    share: bool = False
    seconds: float = Field(default=2.0, gt=0, le=10)
    memory_bytes: int = Field(default=2**28, ge=2**26, le=2**31)
