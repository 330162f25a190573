"""One object for the whole chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_account.signers.local import LocalAccount

from r1net.chain.deployment import Deployment
from r1net.errors import ChainError
from r1net.urls import redact

if TYPE_CHECKING:
    from r1net.chain.models import TxReceipt
    from r1net.chain.sender import Sender
    from r1net.chain.token import Token

RPC_TIMEOUT = 10.0
"""Seconds for one answer of the RPC endpoint."""


class Chain:
    """A connection to one network's contracts. Use one for each account; threads may share it."""

    def __init__(self, sender: Sender, deployment: Deployment) -> None:
        from r1net.chain.disputes import Disputes, VerifierPool  # noqa: PLC0415
        from r1net.chain.escrow import Escrow  # noqa: PLC0415
        from r1net.chain.fraud import FraudProofs  # noqa: PLC0415
        from r1net.chain.governance import Governance  # noqa: PLC0415
        from r1net.chain.provenance import Provenance  # noqa: PLC0415
        from r1net.chain.registry import Registry  # noqa: PLC0415
        from r1net.chain.restitution import Restitution  # noqa: PLC0415
        from r1net.chain.rewards import Rewards  # noqa: PLC0415
        from r1net.chain.settlement import Settlement  # noqa: PLC0415
        from r1net.chain.token import Token  # noqa: PLC0415

        self.sender = sender
        self.deployment = deployment
        self.account = sender.account
        at, first_block = deployment.address, deployment.block
        self.token = Token(at("R1Token"), sender)
        self.registry = Registry(at("NodeRegistry"), sender, self.token, first_block)
        self.escrow = Escrow(at("JobEscrow"), sender)
        self.settlement = Settlement(at("Settlement"), sender, first_block)
        self.rewards = Rewards(at("Rewards"), sender, first_block)
        self.provenance = Provenance(at("Provenance"), sender, self.settlement, first_block)
        self.pool = VerifierPool(at("VerifierPool"), sender)
        self.disputes = Disputes(at("Disputes"), sender, first_block)
        self.fraud = FraudProofs(at("FraudProofs"), sender, self.settlement)
        self.restitution = Restitution(at("Restitution"), sender, self.settlement)
        self.governance = Governance(at("R1Governor"), at("R1Timelock"), sender, deployment.contracts)

    @classmethod
    def connect(cls, rpc_url: str, deployment: Deployment, account: LocalAccount | None = None) -> Chain:
        """Connect over HTTP. Without an account the connection is read-only.

        Raises ChainUnavailable when the endpoint does not answer, ChainError when it serves another chain.
        """
        sender = open_sender(rpc_url, account)
        chain_id = sender.read(lambda: sender.w3.eth.chain_id)
        if chain_id != deployment.chain_id:
            raise ChainError(
                f"{redact(rpc_url)} serves chain {chain_id}, but the deployment is on chain {deployment.chain_id}",
                hint="use the RPC URL of the deployment's chain",
            )
        return cls(sender, deployment)

    def chain_id(self) -> int:
        """The chain's EIP-155 id."""
        return self.deployment.chain_id

    def now(self) -> int:
        """The newest block's time, in Unix seconds: what deadlines on chain are compared with."""
        block = self.sender.read(lambda: self.sender.w3.eth.get_block("latest"))
        return int(block["timestamp"])

    def moment(self, deadline: int) -> int:
        """The Unix second at which the settlement's clock, which stands still in pauses, comes to a deadline: in the
        past, if it is over."""
        return max(self.now(), self.settlement.paused_until()) + deadline - self.settlement.clock()

    def at_risk(self) -> int:
        """What a conviction takes of any owner's stake, in wei of R1: the penalty, or all that the least stake has."""
        return min(self.disputes.penalty(), self.registry.min_stake())

    def head(self) -> int:
        """The newest block's number."""
        return int(self.sender.read(lambda: self.sender.w3.eth.block_number))

    def block_hash(self, number: int) -> str:
        """The hash of a block that is mined."""
        block = self.sender.read(lambda: self.sender.w3.eth.get_block(number))
        return "0x" + bytes(block["hash"]).hex()

    def token_at(self, address: str) -> Token:
        """Any ERC-20."""
        from r1net.chain.token import Token  # noqa: PLC0415

        return Token(address, self.sender)

    def coin_balance(self, account: str) -> int:
        """What an account holds of the chain's own coin (it pays for gas), in wei."""
        return int(self.sender.read(lambda: self.sender.w3.eth.get_balance(account)))  # type: ignore[arg-type]

    def send_coin(self, to: str, wei: int) -> TxReceipt:
        """Send the chain's own coin."""
        return self.sender.send(to, b"", value=wei)

    def has_code(self, address: str) -> bool:
        """Whether a contract lives at an address."""
        return bool(self.sender.read(lambda: self.sender.w3.eth.get_code(address)))  # type: ignore[arg-type]

    def erc20(self, address: str) -> Token:
        """Any token by its address; R1 is `token`."""
        from r1net.chain.token import Token  # noqa: PLC0415

        return Token(address, self.sender)


def open_sender(rpc_url: str, account: LocalAccount | None) -> Sender:
    """A sender over HTTP. web3 is loaded here and not before. Repeating is left to the sender."""
    from web3 import HTTPProvider, Web3  # noqa: PLC0415

    from r1net.chain.sender import Sender  # noqa: PLC0415

    provider = HTTPProvider(rpc_url, request_kwargs={"timeout": RPC_TIMEOUT}, exception_retry_configuration=None)
    return Sender(Web3(provider), account)
