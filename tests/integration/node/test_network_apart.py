"""Two hosts on two networks with a cable between them: namespaces of the kernel, with nothing shared but the link."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
set -e
ip link set lo up
unshare -n sleep 300 & other=$!
trap "kill $other" EXIT
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add near type veth peer name far netns $other
ip addr add 11.0.0.1/24 dev near && ip link set near up
nsenter -t $other -n sh -c 'ip link set lo up && ip addr add 11.0.0.2/24 dev far && ip link set far up'
{python} -m tests.integration.node.apart {folder} $other
"""


def namespaces_work() -> bool:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    probe = ["unshare", "-rn", "sh", "-c", "ip link add near type veth peer name far && unshare -n true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not namespaces_work(), reason="this kernel, or who runs it, lets nobody make network namespaces")
def test_a_host_is_reached_over_the_cable_and_not_when_it_is_cut(tmp_path: Path) -> None:
    script = SCRIPT.format(python=sys.executable, folder=tmp_path)
    done = subprocess.run(
        ["unshare", "-rn", "bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {
        "announced": ["/ip4/11.0.0.2/tcp/4001"],
        "over the cable": "reached",
        "at its own loopback": "failed",
        "with the cable cut": "failed",
    }
