"""The weights that a curriculum's rounds are drawn with, as the coordinator says."""

from __future__ import annotations

from functools import lru_cache

from r1net.environments import Mix, Weights
from r1net.environments.curriculum import require_weights
from r1net.errors import ProtocolError
from r1net.protocol.job import JobView
from r1net.protocol.views import RoundMix
from r1net.transport import Transport

_ROUNDS = 1024
"""Rounds that are remembered: the weights of one that has opened never change."""


def job_mix(view: JobView, source: Transport) -> Mix:
    """What brings a round's weights, each asked for once. It raises Refused, Unreachable, and ProtocolError on weights
    that can't be a round's."""

    @lru_cache(maxsize=_ROUNDS)
    def weights(round_: int) -> Weights:
        said = source.get(f"/v1/jobs/{view.job_id}/mix/{round_}", RoundMix)
        if (said.job_id, said.round) != (view.job_id, round_):
            raise ProtocolError("the coordinator answered with the mix of another round")
        require_weights(view.spec.environment, said.weights)
        return said.weights

    return weights
