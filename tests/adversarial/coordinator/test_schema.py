"""Generated requests, signed by a real session, against a real server: it says what its description promises, and never
5xx. Takes minutes: `make slow`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.adversarial.coordinator.served import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

LEFT_OUT = ("positive_data_acceptance",)
"""A message that fits its schema may still be refused: for a lease that is over, or a job that nobody funded."""


def test_every_answer_is_the_described_one(tmp_path: Path) -> None:
    served = Served(tmp_path, requests_per_caller=1000)
    with served.running():
        served.submit()
        node = served.node(1)
        key = node.session_key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/openapi.json"),
            *("--max-examples", "100", "--exclude-checks", ",".join(LEFT_OUT), "--seed", "1", "--no-color"),
            *("--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--warnings", "off"),
            *("--request-timeout", "60", "--workers", "1"),  # more parse at once, where CPython 3.11 fails (gh-106905)
        ]
        hooks = {
            "SCHEMATHESIS_HOOKS": "tests.adversarial.coordinator.schema_hooks",
            "R1_TEST_SESSION": node.session_id,
            "R1_TEST_SESSION_KEY": key.hex(),
        }
        done = subprocess.run(command, env=os.environ | hooks, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
        assert " 0 generated" not in done.stdout
        assert "unexpected error" not in served.log()
