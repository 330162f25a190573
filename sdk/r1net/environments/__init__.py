"""Problems and their verifiers."""

from r1net.environments.base import Environment, Problem
from r1net.environments.draw import Draw, sampling_seed
from r1net.environments.registry import load_environment

__all__ = ["Draw", "Environment", "Problem", "load_environment", "sampling_seed"]
