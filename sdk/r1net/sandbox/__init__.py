"""The only place where a stranger's text, settings or tokenizer meet an interpreter: a pool of killable processes.

A process of the pool has no keys, no environment, no network, no file that it could write, and a bound on CPU time and
memory. `limits` says what is bounded, `boundary` and `confine` how, `guard` that no text of an answer becomes code,
`pool` who waits for whom, `scorer` what comes out of it.
"""

from r1net.sandbox.limits import Limits
from r1net.sandbox.pool import SandboxPool
from r1net.sandbox.process import SandboxFailed
from r1net.sandbox.scorer import SandboxedScorer

__all__ = ["Limits", "SandboxFailed", "SandboxPool", "SandboxedScorer"]
