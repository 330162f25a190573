"""Whoever does not use the chain does not pay for loading web3."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_package_does_not_load_web3() -> None:
    code = "import sys, r1net, r1net.chain; sys.exit('web3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
