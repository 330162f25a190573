"""Every error that r1net raises on purpose.

    R1Error                     code            exit code
    ├── UsageError              usage           2
    ├── PreflightError          preflight       3
    │   └── SystemFault         system          3   the operating system refused: a full disk, a right that lacks
    ├── KeyFileError            key_file        4
    ├── ChainError              chain           5
    │   ├── ChainUnavailable    chain_unavailable
    │   ├── TransactionPending  pending
    │   └── TransactionReverted reverted
    ├── ProtocolError           protocol        1   a message that breaks the rules
    ├── Refused                 (from the wire) 1   the coordinator said no, with its reason
    ├── Unreachable             unreachable     1   the coordinator does not answer
    │   └── Busy                (from the wire) 1   it has no room for this now
    ├── EngineError             engine          1   the rollout engine's server failed
    └── SwarmError              swarm           1   peers could not average
        └── DaemonError         p2p_daemon      3   p2pd did not start or died

A person sees `message` and `hint` on one line each; a program reads `code`.
"""

from __future__ import annotations


class R1Error(Exception):
    """Base of the tree. `hint` names the next step in the imperative."""

    code: str = "error"
    exit_code: int = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(R1Error):
    """The caller asked for something that makes no sense."""

    code = "usage"
    exit_code = 2


class PreflightError(R1Error):
    """The machine lacks something that the work needs."""

    code = "preflight"
    exit_code = 3


class SystemFault(PreflightError):
    """The operating system refused something: no room, no right, no such place."""

    code = "system"


class KeyFileError(R1Error):
    """A keystore is missing, unreadable, too open, or the password is wrong."""

    code = "key_file"
    exit_code = 4


class ChainError(R1Error):
    """The chain said no, or said something unexpected."""

    code = "chain"
    exit_code = 5


class ChainUnavailable(ChainError):
    """No answer from the RPC endpoint: worth another try."""

    code = "chain_unavailable"


class TransactionPending(ChainError):
    """A transaction was sent and is not mined yet; sending the same again takes it up where it is."""

    code = "pending"


class TransactionReverted(ChainError):
    """A contract refused the transaction; the message says why in words."""

    code = "reverted"


class ProtocolError(R1Error):
    """A message breaks the protocol's rules (shape, digest, signature, proof)."""

    code = "protocol"


class Refused(R1Error):
    """The coordinator refused a request. `code` and `status` are the wire's (RFC 9457); `retry_after` are the seconds
    after which it is worth another try, None where it isn't."""

    def __init__(
        self, code: str, message: str, *, status: int, hint: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.status = status
        self.retry_after = retry_after


class Unreachable(R1Error):
    """The coordinator does not answer: worth another try."""

    code = "unreachable"


class Busy(Unreachable):
    """The coordinator has no room for a request (429, 503), also after waiting: worth another try later."""

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class EngineError(R1Error):
    """The rollout engine's server did not start, died, or refused."""

    code = "engine"


class SwarmError(R1Error):
    """A round of averaging did not come out whole."""

    code = "swarm"


class DaemonError(SwarmError):
    """The libp2p daemon (p2pd) did not start, or died."""

    code = "p2p_daemon"
    exit_code = 3
