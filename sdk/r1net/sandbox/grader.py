"""Inside: one job's problems, prompts, rewards and texts, asked for over the channel."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Literal

from r1net.environments import Draw, Problem, RowPlace, row_of
from r1net.errors import R1Error
from r1net.marks import candidates
from r1net.protocol.architectures import require_computable
from r1net.protocol.job import JobSpec
from r1net.protocol.model_files import check_config, vocabulary_of
from r1net.protocol.turns import Span
from r1net.protocol.weight_files import check_index
from r1net.sandbox.confine import allow_seconds
from r1net.sandbox.frames import Ended, receive, send
from r1net.sandbox.guard import only_data
from r1net.sandbox.limits import FRAME_BYTES, Limits
from r1net.scoring import JobScorer

Header = dict[str, Any]

_ARGUMENTS = ("prompt", "prompts", "completion", "completions", "completion_ids")
"""No columns: TRL calls reward functions with these in any case, or never."""


def serve(channel: socket.socket, limits: Limits) -> None:
    """Answer until nobody asks any more."""
    grader = Grader(channel, limits)
    try:
        while True:
            grader.answer(*receive(channel, FRAME_BYTES))
    except Ended:
        return


class Grader:
    """Holds the job once it is opened. A fault that the job's own files or settings have is an answer, not an end."""

    def __init__(self, channel: socket.socket, limits: Limits) -> None:
        self._channel, self._limits = channel, limits
        self._scorer: JobScorer | None = None
        self._size = 0
        self._rows: dict[RowPlace, str] = {}
        self._mix: dict[int, tuple[int, ...]] = {}

    def answer(self, header: Header, attachments: tuple[bytes, ...]) -> None:
        """Do what one message asks for."""
        asked = {"asked": header["asked"]}
        self._rows = {RowPlace(*place): line for *place, line in header.get("rows", ())}
        self._mix = {round_: tuple(weights) for round_, weights in header.get("mix", ())}
        if header["op"] == "grade":
            self._grade(header["items"], asked)
            return
        action = {
            "examine": self._examine,
            "open": self._open,
            "vocabulary": self._vocabulary,
            "prompts": self._prompts,
            "texts": self._texts,
            "columns": self._columns,
            "turns": self._turns,
            "replies": self._replies,
            "reply_ids": self._reply_ids,
            "marks": self._marks,
        }
        allow_seconds(self._limits.setup_seconds)
        try:
            with only_data():
                found = action[header["op"]](header, attachments)
        except R1Error as error:
            found = {"fault": error.message, "hint": error.hint}
        except MemoryError:
            found = {"fault": "it takes more memory than a job may", "hint": None}
        except Exception as error:  # the settings are a stranger's: whatever a generator raises is the job's fault
            found = {"fault": f"{type(error).__name__}: {error}"[:500], "hint": None}
        allow_seconds(0)
        send(self._channel, found | asked)

    def _examine(self, header: Header, _attachments: tuple[bytes, ...]) -> Header:
        spec = JobSpec.parse(header["spec"])
        draw = Draw(spec)
        if row_of(spec, "train", 0, 0) is None:  # rows come later, with the job's other files
            draw.problem("train", 0, 0)
        return {}

    def _open(self, header: Header, attachments: tuple[bytes, ...]) -> Header:
        tokenizer, config, *index = attachments
        spec = JobSpec.parse(header["spec"])
        for data in index:
            check_index(data, spec.model.weights)
        vocabulary = vocabulary_of(config)
        scorer = JobScorer(spec, tokenizer, lambda place: self._rows[place], lambda round_: self._mix[round_])
        scorer.check(vocabulary)
        require_computable(spec, check_config(config, "config.json"), len(scorer.prompt_ids("train", 0, 0)))
        self._scorer, self._size = scorer, vocabulary
        return {}

    def _vocabulary(self, _header: Header, _attachments: tuple[bytes, ...]) -> Header:
        return {"vocabulary": self._size}

    def _prompts(self, header: Header, _attachments: tuple[bytes, ...]) -> Header:
        scorer = self._opened()
        places = header["places"]
        return {
            "prompts": [
                {
                    "question": scorer.problem(*place).question,
                    "text": scorer.prompt(*place),
                    "ids": scorer.prompt_ids(*place),
                }
                for place in places
            ]
        }

    def _texts(self, header: Header, _attachments: tuple[bytes, ...]) -> Header:
        scorer = self._opened()
        texts = [scorer.text(ids) for ids in header["ids"]]
        return {"texts": texts, "answers": [scorer.answer(text) for text in texts]}

    def _turns(self, header: Header, _attachments: tuple[bytes, ...]) -> Header:
        scorer = self._opened()
        return {"turns": [scorer.spoken(ids, spans(given)) for ids, given in header["items"]]}

    def _replies(self, header: Header, _attachments: tuple[bytes, ...]) -> Header:
        scorer = self._opened()
        return {
            "texts": [scorer.reply(split, round_, group, spoken) for split, round_, group, spoken in header["items"]]
        }

    def _reply_ids(self, header: Header, _attachments: tuple[bytes, ...]) -> Header:
        scorer = self._opened()
        return {"ids": [scorer.reply_ids(split, length, text) for split, length, text in header["items"]]}

    def _columns(self, header: Header, _attachments: tuple[bytes, ...]) -> Header:
        """What a job's own reward is given beside a completion: the problem, as far as it is JSON."""
        scorer = self._opened()
        problems = [scorer.problem(*place) for place in header["places"]]
        return {"problems": [{"prompt": one.question, "columns": columns_of(one)} for one in problems]}

    def _marks(self, header: Header, _attachments: tuple[bytes, ...]) -> Header:
        """Each answer may take what a completion may."""
        scorer = self._opened()
        place: tuple[Literal["train"], int, int] = ("train", 0, header["group"])
        problem = scorer.problem(*place)
        marks: list[Header] = []
        for candidate in candidates(scorer, problem):
            allow_seconds(self._limits.grade_seconds)
            scored = scorer.score_text(*place, candidate.text)
            marks.append(asdict(candidate) | {"score": scored.parts[candidate.reward]})
        return {"question": problem.question, "marks": marks}

    def _grade(self, items: list[tuple[str, int, int, list[int], list[list[int]]]], asked: Header) -> None:
        """A message for each completion, as soon as it is graded: whoever ends this process is known by its place."""
        scorer = self._opened()
        for split, round_, group, ids, given in items:
            allow_seconds(self._limits.setup_seconds)
            with only_data():
                scorer.problem(split, round_, group)  # type: ignore[arg-type]
            allow_seconds(self._limits.grade_seconds)
            began = time.process_time()
            try:
                with only_data():
                    scored = scorer.score(split, round_, group, ids, spans(given))  # type: ignore[arg-type]
                found: Header = {"parts": scored.parts}
            except MemoryError:
                found = {"over": "memory"}
            allow_seconds(0)
            send(self._channel, found | {"seconds": time.process_time() - began} | asked)

    def _opened(self) -> JobScorer:
        assert self._scorer is not None, "the job comes first"
        return self._scorer


def spans(given: list[list[int]]) -> tuple[Span, ...]:
    """Spans as they come in a message."""
    return tuple((begin, end) for begin, end in given)


def columns_of(problem: Problem) -> Header:
    """A problem as columns: its own items, each as JSON makes it, and `answer`."""
    columns: Header = {}
    for name, value in problem.entry.items():
        if isinstance(name, str) and name.isidentifier() and name not in _ARGUMENTS:
            with suppress(TypeError, ValueError, RecursionError):  # no JSON: no column
                columns[name] = json.loads(json.dumps(value, allow_nan=False))
    return columns | {"answer": problem.answer}
