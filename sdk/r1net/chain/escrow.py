"""The jobs' money."""

from __future__ import annotations

from r1net.chain.contract import BoundContract
from r1net.chain.models import JobState, TxReceipt, enhex, unhex
from r1net.chain.sender import Sender
from r1net.chain.token import Token
from r1net.errors import ChainError


class Escrow:
    """The JobEscrow. Amounts in the smallest unit of the job's token."""

    def __init__(self, address: str, sender: Sender) -> None:
        self.address = address
        self._contract = BoundContract("JobEscrow", address, sender)
        self._sender = sender

    def create_job(self, token: str, amount: int, epoch_cap: int, spec_digest: str) -> str:
        """Create and fund a job, approving the amount if need be. Returns the job id (0x hex)."""
        self._approve(token, amount)
        receipt = self._contract.send("createJob", token, amount, epoch_cap, unhex(spec_digest))
        return enhex(self._contract.event(receipt, "JobCreated")["jobId"])

    def find_job(self, submitter: str, spec_digest: str, first_block: int) -> str | None:
        """The newest job that a submitter created with this specification since a block; None where there is none.
        What an earlier process sent is waited for."""
        self._sender.catch_up()
        head = int(self._sender.read(lambda: self._sender.w3.eth.block_number))
        begin = min(first_block, head)  # an endpoint may be behind, or blocks taken back
        found = self._contract.logs("JobCreated", from_block=begin, submitter=submitter)
        return next((enhex(one["jobId"]) for one in found[::-1] if enhex(one["specDigest"]) == spec_digest), None)

    def top_up(self, job_id: str, amount: int) -> TxReceipt:
        """Add money to an open job, approving it if need be."""
        self._approve(self.job(job_id).token, amount)
        return self._contract.send("topUp", unhex(job_id), amount)

    def close(self, job_id: str) -> TxReceipt:
        """End a job. Work done until now can still be settled during the grace period."""
        return self._contract.send("close", unhex(job_id))

    def refund(self, job_id: str) -> TxReceipt:
        """Send what is left to the submitter, after the grace period and once no line holds money of the job."""
        return self._contract.send("refund", unhex(job_id))

    def close_grace(self) -> int:
        """Seconds between close and refund."""
        return int(self._contract.call("closeGrace"))

    def cap_period(self) -> int:
        """Seconds in which a job's cap refills."""
        return int(self._contract.call("capPeriod"))

    def job(self, job_id: str, depth: int = 0) -> JobState:
        """A job's account, as it was `depth` blocks ago. Raises Reverted (UnknownJob) for an id that this escrow never
        gave."""
        submitter, closed_at, token, cap, allowance, available, reserved, funded, refunded, spec = self._contract.call(
            "jobOf", unhex(job_id), depth=depth
        )
        return JobState(
            job_id=job_id.lower(),
            submitter=submitter,
            token=token,
            epoch_cap=cap,
            available=available,
            reserved=reserved,
            funded=funded,
            refunded=refunded,
            closed_at=closed_at,
            spec_digest=enhex(spec),
            allowance=allowance,
        )

    def _approve(self, token: str, amount: int) -> None:
        if self._sender.account is None:
            raise ChainError("this needs an account, but the connection is read-only", hint="pass account=…")
        Token(token, self._sender).ensure_allowance(self._sender.account.address, self.address, amount)
