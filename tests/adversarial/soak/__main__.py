"""An hour of generated hostile traffic beside two honest nodes and their jobs.

    python -m tests.adversarial.soak --minutes 60

A real network on loopback: Anvil, the coordinator, two nodes. Eight strangers, two staked workers that cheat, and a
submitter of poison jobs send what their files say, as fast as they are answered. Ends with exit code 1 unless: the
coordinator was never restarted and met no error of its own, its memory stayed flat, `/healthz` answered within 0.1 s
in 99 of 100 cases, every honest job came to its end, and nothing that an answer asked for was executed. The figures
go to stdout as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from r1net import R1, Client, Run
from r1net.protocol.signing import Domain
from r1net.runs import RunFailed
from tests.adversarial.soak.insiders import MARKER, HostileWorker, PoisonSubmitter
from tests.adversarial.soak.monitor import watching
from tests.adversarial.soak.strangers import Stranger
from tests.e2e.conftest import QUICK
from tests.e2e.demo.tiny import tiny_model
from tests.e2e.harness.chain import ROOT, compile_contracts
from tests.e2e.harness.network import Network, single_threaded
from tests.e2e.test_faults import submit

STRANGERS, HOSTILE_WORKERS = 8, 2
FLAT_MB = 100
SLOWEST_HEALTH = 0.1
_OWN_ERRORS = ("unexpected error", "Traceback")


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    single_threaded()
    MARKER.unlink(missing_ok=True)
    model = tiny_model(ROOT / "build" / "models" / "tiny")
    compile_contracts()
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        network = Network(Path(folder), settings=QUICK)
        try:
            figures = soak(network, model, options.minutes * 60)
        finally:
            network.stop()
    print(json.dumps(figures, indent=2))
    sys.exit(1 if figures["faults"] else 0)


def soak(network: Network, model: Path, seconds: float) -> dict[str, Any]:
    """The network up, the traffic on, honest jobs one after the other until the time is over."""
    network.start_chain()
    process = network.start_coordinator()
    for name in ("node1", "node2"):
        network.start_node(name)
    with network.client(100_000 * R1) as client:
        first = submit(client, model, "honest 0", rounds=2)
        first.wait()
        senders = _senders(network, first, model)
        counts, over = Counter[str](), threading.Event()
        threads = [threading.Thread(target=_send, args=(once, counts, over), daemon=True) for once in senders]
        with watching(network.url, process) as figures:
            for thread in threads:
                thread.start()
            jobs = _honest_jobs(client, model, time.monotonic() + seconds)
            over.set()
        for thread in threads:
            thread.join(60)
    return _judged(network, jobs, counts, figures, seconds)


def _senders(network: Network, honest: Run, model: Path) -> list[Callable[[], tuple[str, str]]]:
    deployment = network.chain.deployment
    domain = Domain(deployment.chain_id, deployment.address("NodeRegistry"))
    spec = honest.view().spec
    files = {name: (model / name).read_bytes() for name in spec.model.files}
    workers = [HostileWorker(network, f"hostile{number}", number) for number in range(HOSTILE_WORKERS)]
    strangers = [Stranger(network.url, domain, number) for number in range(STRANGERS)]
    return [sender.once for sender in (*strangers, *workers, PoisonSubmitter(_rival(network), spec, files, 0))]


def _rival(network: Network) -> Client:
    """A submitter with a wallet of its own."""
    account = network.wallet("rival")
    network.chain.token.transfer(account.address, R1)
    return Client(network.url, account=account)


def _send(once: Callable[[], tuple[str, str]], counts: Counter[str], over: threading.Event) -> None:
    while not over.is_set():
        name, outcome = once()
        counts[f"{name}: {outcome}"] += 1


def _honest_jobs(client: Client, model: Path, until: float) -> list[str]:
    """States at the end of jobs that honest nodes worked on. One at a time; the last may take longer than the soak."""
    states = []
    while time.monotonic() < until or not states:
        run = submit(client, model, f"honest {len(states) + 1}", rounds=2)
        with suppress(RunFailed):
            run.wait()
        states.append(run.view().state)
    return states


def _judged(
    network: Network, jobs: list[str], counts: Counter[str], figures: dict[str, Any], seconds: float
) -> dict[str, Any]:
    log = network.supervisor.processes["coordinator"].log.read_text()
    grown = figures["memory_mb_last_fifth"] - figures["memory_mb_first_fifth"]
    checks = {
        "a process ended": not all(process.alive for process in network.supervisor.processes.values()),
        "the coordinator met an error of its own": any(words in log for words in _OWN_ERRORS),
        f"memory grew by {grown} MB": grown > FLAT_MB,
        "healthz was slow": figures["healthz_p99"] > SLOWEST_HEALTH,
        "healthz failed": bool(figures["unhealthy"]),
        "an honest job did not end well": set(jobs) != {"completed"},
        "an answer was executed": MARKER.exists(),
    }
    return {
        "seconds": seconds,
        "honest_jobs": dict(Counter(jobs)),
        "requests": sum(counts.values()),
        "outcomes": dict(sorted(counts.items())),
        **figures,
        "faults": [words for words, found in checks.items() if found],
    }


if __name__ == "__main__":
    main()
