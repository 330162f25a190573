"""One sandbox for all tests of a process: it is the real one, and starting it takes a second or two."""

from __future__ import annotations

import atexit

from r1net.sandbox import SandboxPool

SANDBOX = SandboxPool(processes=2)
atexit.register(SANDBOX.close)
