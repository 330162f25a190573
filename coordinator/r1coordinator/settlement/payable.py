"""Whether a job's escrow can pay what the job owes. Pure functions."""

from __future__ import annotations

from r1net.chain import JobState


def obstacle(account: JobState, amount: int) -> str | None:
    """Why the contract wouldn't take an epoch with this amount now; None when it would."""
    if amount > account.epoch_cap:
        return f"the job's escrow pays at most {account.epoch_cap} in one epoch, and this is {amount}"
    if amount > account.allowance:
        return f"the job's cap allows {account.allowance} until it has refilled, and this is {amount}"
    if amount > account.available:
        closed = "closed and " if account.closed_at else ""
        return f"the job's escrow is {closed}down to {account.available}, and this is {amount}"
    return None


def never(account: JobState, amount: int) -> bool:
    """Whether no later epoch can be taken either: a cap never changes, and nobody can add money to a closed job. What
    is reserved may come back."""
    beyond = account.available + account.reserved
    return amount > account.epoch_cap or (account.closed_at != 0 and amount > beyond)
