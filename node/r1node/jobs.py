"""What a worker holds of one job: model, problems, policy in training, engine, and the version they are at."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from r1net.protocol.job import JobView, PolicyVersion
from r1net.sandbox import SandboxedScorer, SandboxPool
from r1net.transport import Transport
from r1node.learner import Learner, open_learner
from r1node.mixes import job_mix
from r1node.models.precision import computing
from r1node.rollout.choice import EngineChoice
from r1node.rollout.engine import RolloutEngine
from r1node.sandbox import job_scorer
from r1node.store import Store
from r1node.verification.replay import Replayer
from r1node.verification.selfcheck import check

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Host:
    """What a worker computes with."""

    device: str
    engine: EngineChoice
    sandbox: SandboxPool
    store: Store


@dataclass
class JobRuntime(Learner):
    """One job on this worker: a learner that can also sample, score, and judge."""

    scorer: SandboxedScorer
    engine: RolloutEngine
    host: Host
    _replayer: Replayer | None = None
    _replayer_at: PolicyVersion | None = None
    _engine_at: PolicyVersion | None = None

    @classmethod
    def open(cls, view: JobView, source: Transport, folder: Path, host: Host) -> JobRuntime:
        """Fetch the model and build everything at version 0. What is this worker's own is kept below `folder`.

        Raises UsageError when the job's files or settings are at fault, NoRoom where they don't fit.
        """
        learner = open_learner(view, source, host.store, folder, host.device)
        files = host.store.files(view.spec, source)
        scorer = job_scorer(host.sandbox, view.spec, learner.model_dir, files, job_mix(view, source))
        scorer.load()
        dtype = computing(host.device, view.spec.dtype)
        engine = host.engine.make(learner.policy, dtype, host.device, folder / "engine")
        runtime = cls(**vars(learner), scorer=scorer, engine=engine, host=host)
        runtime._check_itself()
        return runtime

    def _check_itself(self) -> None:
        """Raises UsageError when this host would compute the model wrongly."""
        (prompt,) = self.scorer.prompts([("train", 0, 0)])
        found = check(self.policy, self.trainer, self.engine, len(prompt.ids))
        log.info("%s: model checked against transformers, %s", self.spec.name, found)
        self._engine_at = self.base

    def ready_engine(self, version: PolicyVersion) -> RolloutEngine:
        """The engine, holding the weights of `version`."""
        self.ensure(version)
        if self._engine_at != version:
            self._engine_at = None
            self.engine.load(self.policy.merged())
            self._engine_at = version
        return self.engine

    def ready_replayer(self, version: PolicyVersion) -> Replayer:
        """The judge of traces, holding `version`. Where memory is a GPU's, the engine makes room for it."""
        if self.host.device != "cpu":
            self.rest_engine()
        if self._replayer is None:
            self._replayer = Replayer(self.spec, self.model_dir, self.scorer, self.host.device)
        if self._replayer_at != version:
            self._replayer_at = None
            base = version == self.base
            self._replayer.load(None if base else self.versions.fetch(version.policy, self.source).read_bytes())
            self._replayer_at = version
        return self._replayer

    def rest_engine(self) -> None:
        """Free what the engine's weights take: a gradient needs the room, and the next rollout a newer version."""
        self._engine_at = None
        self.engine.unload()
