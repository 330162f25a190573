"""What a sandboxed process may take, and what happens beyond."""

from __future__ import annotations

from dataclasses import dataclass

WALL_FACTOR = 15.0
WALL_SLACK = 5.0
"""A process is killed by its own CPU timer. Should that not work, or the process sleep, so many times the CPU seconds
and so many seconds more of real time end it: enough for a machine that is busy with other things."""

FRAME_BYTES = 96 * 2**20
"""The longest answer that is read of a sandboxed process: texts of a thousand long traces."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one sandboxed process.

    `grade_seconds` of CPU for one completion: one that takes longer scores 0, whatever it says.
    `setup_seconds` of CPU for loading a job, and for drawing problems: a job that takes longer can't be worked on.
    `memory_bytes` on top of what a process has at its start.
    `own_seconds`, `own_import_seconds`: how many times what a job allows its own code for a completion, and for loading
    it, is waited for.
    """

    grade_seconds: float = 2.0
    setup_seconds: float = 20.0
    memory_bytes: int = 2**30
    own_seconds: float = 2.0
    own_import_seconds: float = 1.0

    @classmethod
    def of_node(cls) -> Limits:
        """A node gives up a completion earlier than the coordinator, and a job later: what one of them finds within
        its limit, the other does too unless their processors differ by more than two or three times."""
        return cls(grade_seconds=1.0, setup_seconds=60.0, own_seconds=1.0, own_import_seconds=3.0)

    def doubtful(self, seconds: float) -> bool:
        """Whether grading took so long that another machine may have given up."""
        return seconds >= self.grade_seconds / 8
