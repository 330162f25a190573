"""A host that cheats: it speaks the protocol, but hands in the reference answers instead of sampling.

Admission lets it pass, since every reward recomputes. It has no model, so its log-probabilities are invented; it stops
after a few leases, and its groups have equal rewards, so that training learns nothing from it.

    python -m tests.e2e.demo.cheat --coordinator URL --data-dir DIR --password-file FILE --leases 2
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from eth_account.signers.local import LocalAccount
from tokenizers import Tokenizer

from r1net.chain import load_keystore, peer_id_of
from r1net.environments import sampling_seed
from r1net.protocol.job import JobView
from r1net.protocol.trace import Trace, TraceBundle
from r1net.protocol.work import Lease, RolloutTask, WorkRequest
from r1net.scoring import JobScorer
from r1node.network import connect_chain, network_info, signing_domain
from r1node.session import Session
from r1node.settings import Settings

PAUSE = 0.2
FIRST_ROUND = 2
"""The demo's first round stays honest: its reward is the figure that the last one is compared with."""
LAZY = WorkRequest(capabilities=("rollout",), wait=0)
HUNGRY = WorkRequest(capabilities=("rollout",), wait=2)


class Cheat:
    """One worker with a stake and an honest session."""

    def __init__(self, settings: Settings, owner: LocalAccount, worker: LocalAccount) -> None:
        info = network_info(settings)
        chain = connect_chain(settings, info, owner)
        chain.registry.register(chain.registry.min_stake(), worker)
        self.worker = worker.address
        domain = signing_domain(settings, info)
        self.session = Session(
            settings.coordinator, domain, owner.address, worker, peer_id_of(worker), software="cheat", hardware=""
        )
        self.session.open([])

    def run(self, leases: int) -> None:
        """Forge until enough is forged. Held-out problems are left alone."""
        while leases:
            views = self.session.transport.get_many("/v1/jobs", JobView)
            training = [view for view in views if view.phase in ("rollout", "train") and view.round >= FIRST_ROUND]
            if training or not views:
                lease = self.session.work(HUNGRY if training else LAZY).lease
                if lease is not None and self._forge(lease):
                    leases -= 1
            time.sleep(PAUSE)

    def _forge(self, lease: Lease) -> bool:
        task = lease.task
        if not isinstance(task, RolloutTask) or task.split == "heldout":
            self.session.report_failure(lease.id, "not_mine", "only training rounds")
            return False
        view = self.session.transport.get(f"/v1/jobs/{lease.job_id}", JobView)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "tokenizer.json"
            self.session.transport.fetch_blob(view.spec.model.files["tokenizer.json"].sha256, path)
            forger = Forger(JobScorer(view.spec, path), Tokenizer.from_file(str(path)), self.worker)
        traces = [
            forger.trace(lease.job_id, task, group, index)
            for group in task.groups
            for index in range(view.spec.stage.group_size)
        ]
        receipt = self.session.submit_rollout(TraceBundle(lease_id=lease.id, traces=tuple(traces)), {})
        print(f"forged {receipt.accepted} traces of round {task.round}, all accepted", flush=True)
        return True


class Forger:
    """Traces that score, made without a model."""

    def __init__(self, scorer: JobScorer, tokenizer: Tokenizer, worker: str) -> None:
        self._scorer, self._tokenizer, self._worker = scorer, tokenizer, worker
        self._rng = random.Random(worker)

    def trace(self, job_id: str, task: RolloutTask, group: int, index: int) -> Trace:
        """The reference answer with log-probabilities such as a sure model has."""
        spec, place = self._scorer.spec, (task.split, task.round, group)
        answer = self._scorer.problem(*place).answer
        spaced = answer if spec.prompt.endswith("\n") else f" {answer}"
        ids = [*self._tokenizer.encode(spaced, add_special_tokens=False).ids, spec.stop_token_ids[0]]
        scored = self._scorer.score(*place, ids)
        return Trace(
            job_id=job_id,
            split=task.split,
            round=task.round,
            group=group,
            index=index,
            policy=task.version.policy,
            worker=self._worker,
            prompt_ids=tuple(self._scorer.prompt_ids(*place)),
            completion_ids=tuple(ids),
            logprobs=tuple(-self._rng.uniform(0.01, 0.3) for _ in ids),
            reward_parts=scored.parts,
            reward=scored.reward,
            finish_reason="stop",
            seed=sampling_seed(spec, task.split, task.round, group, index),
        )


def main() -> None:
    """Keys as `r1node init` made them."""
    parser = argparse.ArgumentParser()
    for name in ("--coordinator", "--data-dir", "--password-file"):
        parser.add_argument(name, required=True)
    parser.add_argument("--leases", type=int, default=2)
    options = parser.parse_args()
    settings = Settings(
        coordinator=options.coordinator, data_dir=Path(options.data_dir), password_file=Path(options.password_file)
    )
    password = Path(options.password_file).read_text().splitlines()[0]
    keys = [load_keystore(path, password) for path in (settings.owner_keystore, settings.worker_keystore)]
    Cheat(settings, *keys).run(options.leases)


if __name__ == "__main__":
    main()
