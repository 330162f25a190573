"""r1net: fund, follow and verify decentralised RL fine-tuning."""

from typing import TYPE_CHECKING

from r1net.lazy import exported

if TYPE_CHECKING:
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
else:
    __getattr__, __dir__ = exported(
        __name__,
        {
            "r1net.amounts": ("R1",),
            "r1net.asynchronous": ("AsyncClient", "AsyncRun"),
            "r1net.client": ("Client",),
            "r1net.datasets": ("Dataset",),
            "r1net.errors": ("R1Error", "UsageError"),
            "r1net.own": ("Tool",),
            "r1net.protocol.job": (
                "Evaluation",
                "JobSpec",
                "Lora",
                "Optimizer",
                "Prices",
                "RewardSpec",
                "Sampling",
                "Verification",
            ),
            "r1net.protocol.problems": ("Curriculum",),
            "r1net.runs": ("Run", "RunFailed"),
            "r1net.settings": ("connect",),
            "r1net.submission": ("JobRefused", "NotAnnounced"),
        },
    )

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
