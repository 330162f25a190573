"""A submitter's arguments become a job specification; the files that it names lie where an upload finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from r1net.amounts import wei_of
from r1net.datasets import Dataset, Report
from r1net.datasets.intake import prepare
from r1net.errors import ProtocolError, UsageError
from r1net.faults import first_fault, in_words
from r1net.jobs.arguments import JobArguments
from r1net.jobs.given import read_arguments
from r1net.jobs.prices import spread
from r1net.jobs.validate import require_sensible
from r1net.local_files import LocalFiles
from r1net.models import describe_model, own_precision, render_prompt, stop_tokens
from r1net.own import reward_specs, tool_turns
from r1net.protocol.job import Evaluation, Grpo, JobSpec, Lora, Optimizer, Prices, Sampling, Verification
from r1net.protocol.problems import Curriculum, EnvironmentSpec, Part
from r1net.protocol.turns import Turns
from r1net.templates import Conversations, check_prompt
from r1net.tokens import check_stops
from r1net.turn_texts import reply_text

HELDOUT = 128
"""Problems of an evaluation that nobody asks for otherwise."""
_ARGUMENTS = {"rewards": "reward", "payment_token": "token"}
"""What fields of a specification are called among the arguments, where that is something else."""
_TO_MIX = "name a column that says the rows' levels: curriculum=…, or give several data sets or environments"


@dataclass(frozen=True)
class Composed:
    """A job as it could be submitted. `reports` say what became of its data sets, by their labels."""

    spec: JobSpec
    folder: Path
    reports: Mapping[str, Report]


def compose(job: JobArguments, submitter: str, token: Callable[[], str], files: LocalFiles) -> Composed:
    """The specification. `token` names the network's own token. Raises UsageError, and nothing else whatever the
    arguments are; what `token` raises goes through."""
    try:
        given = read_arguments(job)
        composed = _composed(given, submitter, given.get("token") or token(), files)
        composed.spec.canonical()
    except ValidationError as error:
        raise _of_the_job(error) from error
    except OSError as error:
        raise UsageError(f"{error.filename or 'a file of the job'} can't be read: {error.strerror}") from error
    except (ProtocolError, RecursionError, UnicodeError, PydanticSerializationError) as error:
        raise UsageError(f"the job holds what can't be written down: {error}"[:300]) from error
    require_sensible(composed.spec, r1="token" not in given)
    return composed


def _composed(job: JobArguments, submitter: str, token: str, files: LocalFiles) -> Composed:
    folder, budget = Path(job["model"]), wei_of(job["budget"], "budget")
    given = {"rounds": job["rounds"], "group_size": job.get("group_size", 8)}
    stage = _stage(given | {"groups_per_round": job.get("groups_per_round", 16)} | dict(job.get("grpo") or {}))
    problems = _Problems(job, folder, files)
    environment = problems.environment()
    sampling = Sampling.model_validate(job.get("sampling", {}))
    verification = Verification.model_validate(job.get("verification", {}))
    evaluation = Evaluation.model_validate(job.get("evaluation", {"problems": _most_heldout(environment)}))
    prompt = problems.prompt()
    stops = check_stops(folder, given_stops) if (given_stops := job.get("stop_token_ids")) else stop_tokens(folder)
    spec = JobSpec(
        name=job.get("name") or f"{folder.name} on {environment.name}"[:100],
        submitter=submitter,
        model=describe_model(folder),
        environment=environment,
        rewards=reward_specs(job.get("reward", "correct"), files),
        prompt=prompt,
        stop_token_ids=stops,
        turns=_turns(job, folder, stops, files),
        stage=stage,
        sampling=sampling,
        optimizer=Optimizer.model_validate(job.get("optimizer", {})),
        lora=Lora.model_validate(job["lora"]) if "lora" in job else None,
        dtype=job.get("dtype") or own_precision(folder),
        evaluation=evaluation,
        verification=verification,
        prices=(
            Prices.model_validate(job["prices"])
            if "prices" in job
            else spread(budget, stage, sampling, evaluation, verification)
        ),
        payment_token=token,
        budget=budget,
        epoch_rounds=job.get("epoch_rounds", 1_000_000),
        seed=job.get("seed", 0),
    )
    return Composed(spec, folder, problems.reports)


class _Problems:
    """A job's environment and its prompt, which belong together: conversations are rendered row by row."""

    def __init__(self, job: JobArguments, folder: Path, files: LocalFiles) -> None:
        self._job, self._folder, self._files = job, folder, files
        self._talks = Conversations(folder, job.get("system_prompt"), job.get("prefill", ""))
        self.reports: dict[str, Report] = {}

    def environment(self) -> EnvironmentSpec:
        """Where the problems come from. Raises UsageError."""
        parts = [Part(environment=made, weight=weight) for made, weight in (*self._generated(), *self._own())]
        if not parts:
            raise UsageError("the job has no problems", hint="pass dataset= or environment=")
        curriculum = self._curriculum(len(parts))
        if len(parts) == 1:
            return parts[0].environment
        names = " and ".join(part.environment.name.rpartition(":")[2] for part in parts)
        return _checked(name=f"mix:{names}"[:200], parts=tuple(parts), curriculum=curriculum)

    def _curriculum(self, parts: int) -> Curriculum | None:
        given = self._job.get("curriculum")
        if given is None or given is False:
            return None
        if self._column is not None and not self.reports:
            raise UsageError(f"there is no data set whose column could be {self._column!r}", hint="curriculum=True")
        if parts == 1:
            same = "" if self._column is None else f": no two rows differ in {self._column!r}"
            raise UsageError(f"a curriculum weighs the parts of a mix, but the job has one{same}", hint=_TO_MIX)
        return given if isinstance(given, Curriculum) else Curriculum()

    def prompt(self) -> str:
        """The job's prompt: the caller's, the conversations', or the chat template around a question."""
        given, talks = self._job.get("prompt"), self._talks.prompt
        if given is not None and talks is None:
            return check_prompt(given)
        if given is not None or (talks is not None and len(self.reports) > 1):
            raise UsageError("messages bring a prompt of their own, so all problems must be messages of one data set")
        return talks or render_prompt(self._folder, self._job.get("system_prompt"), self._job.get("prefill", ""))

    def _generated(self) -> Iterable[tuple[EnvironmentSpec, float]]:
        named, config = self._job.get("environment"), dict(self._job.get("environment_config") or {})
        if isinstance(named, str):
            yield _checked(name=named, config=config), 1.0
        else:
            yield from ((_checked(name=name, config=config), weight) for name, weight in named or ())

    def _own(self) -> Iterable[tuple[EnvironmentSpec, float]]:
        given = self._job.get("dataset")
        if given is None:
            return
        for source, weight in _weighted(given):
            dataset = source if isinstance(source, Dataset) else Dataset(source)
            label = dataset.label
            if label in self.reports:
                raise UsageError(f"two data sets are called {label!r}", hint="give names: Dataset(…, name=…)")
            found = prepare(dataset, self._files, self._talks.render, self._job.get("seed", 0), HELDOUT, self._column)
            self.reports[label] = found.report
            for level, data in found.levels.items():
                name = f"rows:{label}/{level}" if level else f"rows:{label}"
                share = sum(shard.rows for shard in data.train) / found.report.rows
                yield _checked(name=name[:200], data=data), weight * share

    @property
    def _column(self) -> str | None:
        """The column that says the levels of rows."""
        given = self._job.get("curriculum")
        return given if isinstance(given, str) else None


def _turns(job: JobArguments, folder: Path, stops: Sequence[int], files: LocalFiles) -> Turns | None:
    tool, most = job.get("tool"), job.get("turns")
    if tool is None:
        if most is not None:
            raise UsageError("a job without a tool has one turn", hint="pass tool=, or leave turns= out")
        return None
    return tool_turns(tool, most, lambda: reply_text(folder, stops), files)


def _weighted(given: Any) -> list[tuple[Any, float]]:
    pairs = isinstance(given, Sequence) and not isinstance(given, str) and given
    if pairs and all(isinstance(item, tuple) and len(item) == 2 for item in given):
        return [(item[0], item[1]) for item in given]
    return [(given, 1.0)]


def _most_heldout(environment: EnvironmentSpec) -> int:
    """All rows that are held out, or as many generated problems as is usual."""
    data = [leaf.data for leaf in environment.leaves if leaf.data is not None]
    if len(data) < len(environment.leaves):
        return HELDOUT
    return min(HELDOUT, sum(shard.rows for one in data for shard in one.heldout))


def _checked(**settings: Any) -> EnvironmentSpec:
    try:
        return EnvironmentSpec(**settings)
    except ValidationError as error:
        raise in_words(error, EnvironmentSpec, f"environment {settings['name']!r}") from error


def _stage(settings: dict[str, Any]) -> Grpo:
    try:
        return Grpo.model_validate(settings)
    except ValidationError as error:
        raise in_words(error, Grpo) from error


def _of_the_job(error: ValidationError) -> UsageError:
    """A fault of the specification, under the name of the argument that it comes from."""
    where, said, hint = first_fault(error, JobSpec)
    name = ".".join(str(part) for part in where)
    return UsageError(f"{_ARGUMENTS.get(name, name) or 'the job'}: {said}", hint=hint)
