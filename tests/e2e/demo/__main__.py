"""`make demo`: the whole promise in one run, with real parts. See the README."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import r1net
from r1net import R1
from r1net.chain.keystore import keystore_address
from r1net.chain.parameters import Parameters
from r1net.protocol.views import RoundRecord
from tests.e2e.demo.profiles import PROFILES, Profile
from tests.e2e.demo.robbery import ROBBER
from tests.e2e.demo.summary import ClaimFigure, EvalFigure, Summary
from tests.e2e.demo.trial import Justice, Trial
from tests.e2e.harness.chain import ROOT, compile_contracts
from tests.e2e.harness.network import Network, single_threaded, submitter_variables
from tests.e2e.harness.processes import Process

BUILD = ROOT / "build"
FORGER, LAZY = "node3", "node4"
CHEATS = {FORGER: "I sampled every one of them.", LAZY: "I computed it."}
"""Who cheats, and what it says when it is accused."""


class Demo:
    """One run of one profile."""

    def __init__(self, profile: Profile, folder: Path) -> None:
        self.profile = profile
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self.network = Network(folder, parameters(profile))
        self.nodes = [f"node{number}" for number in range(1, profile.nodes + 1)]

    def run(self) -> Summary:
        """Every step in order; returns what came of it."""
        with self.phase("model", "making the model ready (cached in build/models)"):
            model = self.profile.model(BUILD / "models" / self.profile.name)
        with self.phase("contracts", "compiling the contracts, starting Anvil, deploying"):
            compile_contracts()
            self.network.start_chain(settlers=[ROBBER])
        with self.phase("start", "starting the coordinator, the nodes, a watcher, a juror, a forger, a lazy trainer"):
            self.network.start_coordinator()
            for name in self.nodes:
                self.network.start_node(name, stakes=2)  # a juror that is too slow once stays a host
            self._start_cheats()
            trial = Trial(self.network, self.nodes, CHEATS, say)
            trial.begin()
        say(f"watch it learn at {self.network.url}")
        with self.phase("submit", "funding and submitting the job"):
            client = self.network.client(self.profile.budget)
            run = client.train(model=model, budget=self.profile.budget, **self.profile.job)
        with self.phase("train", f"job {run.job_id}: evaluating, then {self.profile.job['rounds']} rounds"):
            records = [show(record) for record in run.follow()]
        with self.phase("settle", "waiting for the epoch to become final on chain"):
            run.wait_settled(180)
        with self.phase("rob", "another settler pays itself what is left"):
            heist = trial.rob(run.job_id)
        with self.phase("claim", "claiming both hosts' rewards"):
            claims = [self._claim(name) for name in self.nodes]
        with self.phase("verify", "proving a trace, auditing the epoch, exporting the data set"):
            trace = next(run.traces(split="train"))
            verified = run.verify(trace).stands
            audit = self.network.ask_node(self.nodes[0], "audit", "1")
            run.download(self.folder / "out")
        with self.phase("dispute", "what was repeated meanwhile, and what the court found"):
            justice = trial.run(run.job_id, heist, claims[0].wei)
        return self._summary(run, records, claims, verified, audit, justice)

    def _start_cheats(self) -> None:
        for name, module in ((FORGER, "cheat"), (LAZY, "lazy")):
            self.network.found_node(name)
            joining = ("join", "--threads", "1", "--device", "cpu") if name == LAZY else ()
            command = [
                *(sys.executable, "-m", f"tests.e2e.demo.{module}", *joining, "--coordinator", self.network.url),
                *("--data-dir", str(self.folder / name), "--password-file", str(self.network.password_file)),
            ]
            env = {"PYTHONUNBUFFERED": "1"}
            self.network.supervisor.add(Process(name, command, self.network.logs / f"{name}.log", env))

    def _summary(
        self,
        run: r1net.Run,
        records: list[RoundRecord],
        claims: list[ClaimFigure],
        verified: bool,
        audit: object,
        justice: Justice,
    ) -> Summary:
        first, last = (EvalFigure.of(record) for record in (run.evaluations()[0], run.evaluations()[-1]))
        view = run.view()
        anchored = self.network.chain.provenance.record(run.job_id, 1)
        assert isinstance(audit, dict)
        return Summary(
            profile=self.profile.name,
            job_id=run.job_id,
            reward_first=records[0].metrics["reward"],
            reward_last=records[-1].metrics["reward"],
            eval_first=first,
            eval_last=last,
            improved=last.low > first.high,
            rounds=len(records),
            digests={record.version.number: dict(record.digests) for record in records},
            traces_accepted=view.traces_accepted,
            traces_anchored=anchored.trace_count,
            traces_root=anchored.traces_root,
            claims=claims,
            provenance_verified=verified,
            audit_holds=all(finding["holds"] for finding in audit["findings"]),
            justice=justice,
            seconds={name: round(spent, 1) for name, spent in self.seconds.items()},
            peak_rss_mb=self.network.supervisor.peaks(),
        )

    def _claim(self, name: str) -> ClaimFigure:
        claimed = self.network.ask_node(name, "claim")
        assert isinstance(claimed, list)
        assert claimed, f"{name} has nothing to claim"
        (paid,) = claimed  # of one token, and of no more lines than fit into one transaction
        return ClaimFigure(account=paid["account"], wei=int(paid["paid"]), transaction=paid["transaction"])

    @contextmanager
    def phase(self, name: str, words: str) -> Iterator[None]:
        """Say what is going on, and note how long it took."""
        say(words)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def parameters(profile: Profile) -> Parameters:
    """Periods of seconds, so that a whole dispute fits into the demo; one juror, since only one node is no party."""
    return Parameters(
        min_stake=100 * R1,
        challenge_window=profile.challenge_window,
        cap_period=2,
        bond_rate=R1 // 1_000,
        dispute_bond=20 * R1,
        dispute_penalty=80 * R1,
        juror_stake=10 * R1,
        juror_fee=R1 // 10,
        answer_period=60,
        commit_period=profile.commit_period,
        reveal_period=profile.reveal_period,
        appeal_period=4,
        committee_size=1,
        pool_min_jurors=0,
        pool_min_weight=0,
    )


def show(record: RoundRecord) -> RoundRecord:
    """One line for a round."""
    metrics = record.metrics
    mismatch = metrics.get("sampling/sampling_logp_difference/mean", 0.0)
    say(
        f"  round {record.round:>3}  reward {metrics['reward']:.3f}  length {metrics['completions/mean_length']:.1f}  "
        f"grad {metrics.get('grad_norm', 0.0):.3f}  mismatch {mismatch:.3f}  "
        f"{record.finished_at - record.started_at:.1f} s  {record.version.policy[:12]}…"
    )
    return record


def say(words: str) -> None:
    """Progress for people."""
    print(f"{time.strftime('%H:%M:%S')}  {words}", flush=True)


def main() -> int:
    """Exit code 0 when everything held, held-out accuracy rose beyond the interval, and only cheats were slashed."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, default=os.environ.get("PROFILE") or "smollm2")
    parser.add_argument("--keep", action="store_true", default=os.environ.get("KEEP") == "1")
    parser.add_argument("--folder", type=Path, default=BUILD / "demo")
    options = parser.parse_args()
    single_threaded()
    shutil.rmtree(options.folder, ignore_errors=True)
    demo = Demo(PROFILES[options.profile], options.folder)
    try:
        summary = demo.run()
        summary.write(options.folder / "summary.json")
        summary.show()
        if options.keep:
            keep(demo)
    finally:
        demo.network.stop()
    return 0 if summary.good else 1


def keep(demo: Demo) -> None:
    """Leave everything up until Ctrl-C."""
    folder = demo.network.folder
    demo.network.chain.token.transfer(keystore_address(folder / "submitter.json"), demo.profile.budget)
    say(f"everything stays up: page and API at {demo.network.url}, keys and logs in {folder}; Ctrl-C ends it")
    say("the README's script runs under these variables:")
    for name, value in submitter_variables(demo.network).items():
        print(f"  export {name}={value}")
    print(f"  ln -s {BUILD / 'models' / demo.profile.name} model")
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        say("stopping")


if __name__ == "__main__":
    sys.exit(main())
