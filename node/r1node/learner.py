"""One job's policy and its trainer, and the version that they are at."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from r1net.protocol.job import JobSpec, JobView, PolicyVersion
from r1net.protocol.trace import TraceBundle
from r1net.transport import Transport
from r1node.blobs import BlobCache, version_cache
from r1node.store import Store
from r1node.training.policy import TrainablePolicy, load_policy
from r1node.training.trainer import Trainer

log = logging.getLogger(__name__)

KEPT_FILES = 6
"""Version files kept on disk, two to a version: the agreed one, the one in the making, and one to fall back to."""


@dataclass
class Learner:
    """`at` is the version that policy and trainer hold; None when they hold a step that was not agreed, and must be
    reloaded. `first` are the two files of version 0, `base`, which nobody publishes."""

    job_id: str
    spec: JobSpec
    policy: TrainablePolicy
    trainer: Trainer
    versions: BlobCache
    source: Transport
    model_dir: Path
    base: PolicyVersion
    at: PolicyVersion | None
    first: tuple[bytes, bytes]

    def ensure(self, version: PolicyVersion) -> None:
        """Bring policy and trainer to `version`, from the own files or the coordinator's."""
        if self.at == version:
            return
        log.info("loading version %d of %s", version.number, self.spec.name)
        policy, optimizer = self.first if version == self.base else self.files(version)
        self.at = None
        self.policy.load(policy)
        self.trainer.load_optimizer(optimizer)
        self.at = version

    def files(self, version: PolicyVersion) -> tuple[bytes, bytes]:
        """The policy's and the optimizer's file of a version beyond 0."""
        assert version.optimizer is not None, "only version 0 has no optimizer state"
        policy, optimizer = (self.versions.fetch(name, self.source) for name in (version.policy, version.optimizer))
        return policy.read_bytes(), optimizer.read_bytes()

    def save_step(self, number: int) -> PolicyVersion:
        """Keep the files of the step just made, and name it. It is not `at` until the network agrees."""
        self.at = None
        return PolicyVersion(
            number=number,
            policy=self.versions.add(self.policy.save()),
            optimizer=self.versions.add(self.trainer.save_optimizer()),
        )

    def settle(self, made: PolicyVersion, agreed: PolicyVersion | None) -> None:
        """Take note of an attempt's outcome: the own step is the next version, or must be undone. Another version may
        have been loaded since, to check somebody's gradient."""
        if self.at is None and made == agreed:
            self.at = made
        self.versions.prune(KEPT_FILES)

    def bundle(self, digest: str) -> TraceBundle:
        """An admitted bundle, checked against its name."""
        return TraceBundle.parse(self.source.get_blob(digest))


def open_learner(view: JobView, source: Transport, store: Store, folder: Path, device: str) -> Learner:
    """Fetch a job's model, and hold it at version 0. Policy versions are kept below `folder`.

    Raises UsageError when the job's files or settings are at fault, NoRoom where they don't fit.
    """
    spec = view.spec
    store.claim(spec)
    model_dir = store.model(spec.model, source)
    policy = load_policy(spec, model_dir, device)
    trainer = Trainer(spec, policy, device)
    base = PolicyVersion(number=0, policy=spec.model.digest())
    return Learner(
        job_id=view.job_id,
        spec=spec,
        policy=policy,
        trainer=trainer,
        versions=version_cache(folder),
        source=source,
        model_dir=model_dir,
        base=base,
        at=base,
        first=(policy.save(), trainer.save_optimizer()),
    )
