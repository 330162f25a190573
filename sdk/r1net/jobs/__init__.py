"""From what a submitter says to what a network is given: a job's arguments, its specification, its prices."""

from r1net.jobs.arguments import JobArguments
from r1net.jobs.compose import Composed, compose
from r1net.jobs.prices import spread

__all__ = ["Composed", "JobArguments", "compose", "spread"]
