"""One question to a grader and its answer."""

from __future__ import annotations

import signal
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from r1net.errors import UsageError
from r1net.protocol.job import JobSpec
from r1net.sandbox.answers import Answer, Fault
from r1net.sandbox.pool import Prepare, ProcessEnded, SandboxPool
from r1net.sandbox.process import SandboxFailed

T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)


def examine(pool: SandboxPool, spec: JobSpec) -> None:
    """Whether a specification's environment makes problems. Raises UsageError, SandboxFailed."""
    question = {"op": "examine", "spec": spec.model_dump_json()}
    asked(pool, f"examine {spec.submitter}", lambda child: None, question, Answer, keep=False)


def asked(pool: SandboxPool, job: str, prepare: Prepare, header: dict[str, Any], kind: type[A], keep: bool = True) -> A:
    """One question and its answer; once more when the process ended for no reason that lies in the question."""
    for last in (False, True):
        try:
            with pool.process(job, prepare, keep) as child:
                return checked(kind, child.ask(header))
        except ProcessEnded as error:
            if last or error.signal == signal.SIGPROF:
                limit = f"takes more than {pool.limits.setup_seconds:g} s of CPU time"
                how = limit if error.signal == signal.SIGPROF else f"ends its process (signal {error.signal})"
                raise UsageError(
                    f"loading the job or drawing its problems {how}",
                    hint="take smaller settings, or fewer held-out problems",
                ) from error
    raise AssertionError("unreachable")


def checked(kind: type[A], header: dict[str, Any]) -> A:
    """An answer of a kind. Raises UsageError where it says that the job is at fault, SandboxFailed on nonsense."""
    if "fault" in header:
        fault = _checked_as(Fault, header)
        raise UsageError(fault.fault, hint=fault.hint)
    return _checked_as(kind, header)


def _checked_as(kind: type[A], header: dict[str, Any]) -> A:
    try:
        return kind.model_validate(header)
    except ValidationError as error:
        raise SandboxFailed(f"the grader speaks nonsense: {error.errors(include_url=False)[0]['msg']}") from error


def counted(values: list[T], wanted: int) -> list[T]:
    """As many answers as were asked for. Raises SandboxFailed."""
    if len(values) != wanted:
        raise SandboxFailed(f"the grader answered {len(values)} times, not {wanted}")
    return values
