"""r1net: fund, follow and verify decentralised RL fine-tuning."""

from r1net.amounts import R1
from r1net.asynchronous import AsyncClient, AsyncRun
from r1net.client import Client
from r1net.datasets import Dataset
from r1net.errors import R1Error, UsageError
from r1net.own import Tool
from r1net.protocol.job import Evaluation, JobSpec, Lora, Optimizer, Prices, RewardSpec, Sampling, Verification
from r1net.protocol.problems import Curriculum
from r1net.runs import Run, RunFailed
from r1net.settings import connect
from r1net.submission import JobRefused, NotAnnounced

__all__ = [
    "R1",
    "AsyncClient",
    "AsyncRun",
    "Client",
    "Curriculum",
    "Dataset",
    "Evaluation",
    "JobRefused",
    "JobSpec",
    "Lora",
    "NotAnnounced",
    "Optimizer",
    "Prices",
    "R1Error",
    "RewardSpec",
    "Run",
    "RunFailed",
    "Sampling",
    "Tool",
    "UsageError",
    "Verification",
    "connect",
]
