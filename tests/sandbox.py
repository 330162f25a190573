"""Sandboxes for all tests of a process: they are the real one, and starting it takes a second or two."""

from __future__ import annotations

import atexit

from r1net.sandbox import Limits, SandboxPool

SANDBOX = SandboxPool(processes=2)
IMPATIENT = SandboxPool(processes=2, limits=Limits(grade_seconds=0.5, setup_seconds=1.0, memory_bytes=2**28))
"""For what is meant to go over its limits."""
for pool in (SANDBOX, IMPATIENT):
    atexit.register(pool.close)
