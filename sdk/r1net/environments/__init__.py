"""Problems and their verifiers."""

from r1net.environments.base import Environment, Generator, Problem
from r1net.environments.curriculum import Mix, Weights, mix_of
from r1net.environments.draw import Draw, Lines, sampling_seed
from r1net.environments.places import RowPlace, row_of
from r1net.environments.registry import load_environment
from r1net.environments.shards import Shards

__all__ = [
    "Draw",
    "Environment",
    "Generator",
    "Lines",
    "Mix",
    "Problem",
    "RowPlace",
    "Shards",
    "Weights",
    "load_environment",
    "mix_of",
    "row_of",
    "sampling_seed",
]
