"""The chain: typed bindings of the contracts, deployments, keystores, transaction sending.

Importing this package does not load web3; `Chain.connect` does.
"""

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
