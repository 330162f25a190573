"""The chain: typed bindings of the contracts, deployments, keystores, transaction sending.

Importing this package does not load web3; `Chain.connect` does.
"""

from typing import TYPE_CHECKING

from r1net.lazy import exported

if TYPE_CHECKING:
    from r1net.chain.client import Chain
    from r1net.chain.deployment import Deployment
    from r1net.chain.identity import peer_id_of
    from r1net.chain.keystore import create_keystore, load_keystore
    from r1net.chain.models import (
        EpochContent,
        EpochState,
        JobSettlement,
        JobState,
        LineStatus,
        NodeState,
        ProvenanceRecord,
        RewardClaim,
        TxReceipt,
    )
    from r1net.chain.reasons import Reverted
else:
    __getattr__, __dir__ = exported(
        __name__,
        {
            "r1net.chain.client": ("Chain",),
            "r1net.chain.deployment": ("Deployment",),
            "r1net.chain.identity": ("peer_id_of",),
            "r1net.chain.keystore": ("create_keystore", "load_keystore"),
            "r1net.chain.models": (
                "EpochContent",
                "EpochState",
                "JobSettlement",
                "JobState",
                "LineStatus",
                "NodeState",
                "ProvenanceRecord",
                "RewardClaim",
                "TxReceipt",
            ),
            "r1net.chain.reasons": ("Reverted",),
        },
    )

__all__ = [
    "Chain",
    "Deployment",
    "EpochContent",
    "EpochState",
    "JobSettlement",
    "JobState",
    "LineStatus",
    "NodeState",
    "ProvenanceRecord",
    "Reverted",
    "RewardClaim",
    "TxReceipt",
    "create_keystore",
    "load_keystore",
    "peer_id_of",
]
