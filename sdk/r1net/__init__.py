"""r1net: fund, follow and verify decentralised RL fine-tuning."""

from r1net.asynchronous import AsyncClient, AsyncRun
from r1net.client import R1, Client, NotAnnounced
from r1net.datasets import Dataset
from r1net.errors import R1Error
from r1net.own import Tool
from r1net.protocol.job import Evaluation, JobSpec, Lora, Optimizer, Prices, RewardSpec, Sampling, Verification
from r1net.protocol.problems import Curriculum
from r1net.runs import Run, RunFailed
from r1net.settings import connect

__all__ = [
    "R1",
    "AsyncClient",
    "AsyncRun",
    "Client",
    "Curriculum",
    "Dataset",
    "Evaluation",
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
    "Verification",
    "connect",
]
