"""What is shown of the work behind a line."""

from __future__ import annotations

from dataclasses import dataclass, field

from r1net.audit.reading import Reading
from r1net.audit.signed import Shown
from r1net.audit.trained import Stated
from r1net.errors import ProtocolError
from r1net.protocol.gradients import GradientStatement
from r1net.protocol.settlement import Contribution
from r1net.protocol.trace import TraceBundle
from r1net.protocol.work import TrainTask


@dataclass
class Exhibits:
    """Fetches blobs, each checked against its name, and signatures. What was only repeated may be a tampered copy,
    which nobody signed."""

    reading: Reading
    _signed: dict[str, Shown] = field(default_factory=dict)

    def of(self, row: Contribution) -> Shown | Stated:
        """What a contribution rests on. Raises Refused when it isn't there, ProtocolError when it can't be read."""
        if row.kind == "rollout":
            return self._signed_bundle(row.evidence)
        if row.kind == "training":
            return self._statement(row.evidence, signed=True)
        try:
            return Shown(TraceBundle.parse(self.reading.blob(row.evidence)))
        except ProtocolError:
            return self._statement(row.evidence, signed=False)

    def _signed_bundle(self, digest: str) -> Shown:
        if digest not in self._signed:
            bundle = TraceBundle.parse(self.reading.blob(digest))
            self._signed[digest] = Shown(bundle, self.reading.bundle_signature(digest, bundle))
        return self._signed[digest]

    def _statement(self, digest: str, *, signed: bool) -> Stated:
        statement = GradientStatement.parse(self.reading.blob(digest))
        task = TrainTask.parse(self.reading.blob(statement.task))
        slot = next((slot for slot in task.slots if slot.worker == statement.worker), None)
        bundles = {name: self._signed_bundle(name) for name in (slot.bundles if slot is not None else ())}
        return Stated(statement, task, bundles, self.reading.statement_signature(statement) if signed else None)
