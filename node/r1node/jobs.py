"""What a worker holds of one job: model, problems, policy in training, engine, and the version they are at."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from r1net.protocol.job import JobSpec, JobView, PolicyVersion
from r1net.protocol.trace import TraceBundle
from r1net.sandbox import SandboxedScorer, SandboxPool
from r1net.transport import Transport
from r1node.models.precision import computing
from r1node.rollout.choice import EngineChoice
from r1node.rollout.engine import RolloutEngine
from r1node.sandbox import job_scorer
from r1node.store import BlobCache, assemble_model, version_cache
from r1node.training.policy import TrainablePolicy, load_policy
from r1node.training.trainer import Trainer
from r1node.verification.replay import Replayer
from r1node.verification.selfcheck import check

log = logging.getLogger(__name__)

KEPT_FILES = 6
"""Version files kept on disk, two to a version: the agreed one, the one in the making, and one to fall back to."""


@dataclass(frozen=True)
class Host:
    """What a worker computes with."""

    device: str
    engine: EngineChoice
    sandbox: SandboxPool


@dataclass
class JobRuntime:
    """One job on this worker. `at` is the version that policy and trainer hold; None when they hold a step that was
    not agreed, and must be reloaded."""

    job_id: str
    spec: JobSpec
    scorer: SandboxedScorer
    policy: TrainablePolicy
    trainer: Trainer
    engine: RolloutEngine
    versions: BlobCache
    source: Transport
    at: PolicyVersion | None
    base: PolicyVersion
    model_dir: Path
    host: Host
    _replayer: Replayer | None = None
    _replayer_at: PolicyVersion | None = None
    _engine_at: PolicyVersion | None = None
    _initial: tuple[bytes, bytes] = (b"", b"")

    @classmethod
    def open(cls, view: JobView, source: Transport, folder: Path, host: Host) -> JobRuntime:
        """Fetch the model and build everything at version 0. Files are kept below `folder`.

        Raises UsageError when the job's files or settings are at fault.
        """
        spec = view.spec
        model_dir = assemble_model(spec.model, source, folder)
        scorer = job_scorer(host.sandbox, spec, model_dir)
        scorer.load()
        device = host.device
        policy = load_policy(spec, model_dir, device)
        trainer = Trainer(spec, policy, device)
        dtype = computing(device, spec.dtype)
        base = PolicyVersion(number=0, policy=spec.model.digest())
        runtime = cls(
            job_id=view.job_id,
            spec=spec,
            scorer=scorer,
            policy=policy,
            trainer=trainer,
            engine=host.engine.make(policy, dtype, device, folder / "engine"),
            versions=version_cache(folder),
            source=source,
            at=base,
            base=base,
            model_dir=model_dir,
            host=host,
        )
        runtime._initial = (policy.save(), trainer.save_optimizer())
        runtime._check_itself()
        return runtime

    def _check_itself(self) -> None:
        """Raises UsageError when this host would compute the model wrongly."""
        (prompt,) = self.scorer.prompts([("train", 0, 0)])
        found = check(self.policy, self.trainer, self.engine, len(prompt.ids))
        log.info("%s: model checked against transformers, %s", self.spec.name, found)
        self._engine_at = self.base

    def ensure(self, version: PolicyVersion) -> None:
        """Bring policy and trainer to `version`, from the own files or the coordinator's."""
        if self.at == version:
            return
        log.info("loading version %d of %s", version.number, self.spec.name)
        if version == self.base:
            policy, optimizer = self._initial
        else:
            assert version.optimizer is not None, "only version 0 has no optimizer state"
            policy = self.versions.fetch(version.policy, self.source).read_bytes()
            optimizer = self.versions.fetch(version.optimizer, self.source).read_bytes()
        self.at = None
        self.policy.load(policy)
        self.trainer.load_optimizer(optimizer)
        self.at = version

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
            self._replayer = Replayer(self.spec, self.model_dir, self.host.sandbox, self.host.device)
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

    def save_step(self, number: int) -> PolicyVersion:
        """Keep the files of the step just made, and name it. It is not `at` until the network agrees."""
        self.at = None
        return PolicyVersion(
            number=number,
            policy=self.versions.add(self.policy.save()),
            optimizer=self.versions.add(self.trainer.save_optimizer()),
        )

    def settle(self, made: PolicyVersion, agreed: PolicyVersion | None) -> None:
        """Take note of an attempt's outcome: the own step is the next version, or must be undone."""
        self.at = made if made == agreed else None
        self.versions.prune(KEPT_FILES)

    def bundle(self, digest: str) -> TraceBundle:
        """An admitted bundle, checked against its name."""
        return TraceBundle.parse(self.source.get_blob(digest))
