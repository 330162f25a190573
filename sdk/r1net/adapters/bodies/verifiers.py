import ast
import asyncio
import importlib
import importlib.util
import inspect
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from r1net.adapters.bodies.common import SETTINGS, Lazy, RefusedError, module, said, seed_all, turns_of


def play(prompt: str, turns: Sequence[str], task: Mapping[str, Any], **_columns: Any) -> str | None:
    """The job's tool: what the environment says to the last turn, None when the episode is over."""
    try:
        _episode(turns, task, waits=True)
    except Waiting as waiting:
        return waiting.message
    return None


def earned(completions: Sequence[Any], task: Sequence[Mapping[str, Any]], **_columns: Any) -> list[float]:
    """The job's reward: the task's own, by their weights, and what the environment adds."""
    return [_episode(turns_of(one), row, waits=False) for one, row in zip(completions, task, strict=True)]


def has_turns() -> bool:
    """Whether the environment says something between turns."""
    return not isinstance(_environment(), vf.SingleAgentEnv)


def rows(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each of the first tasks; asked where the job is made."""
    found = []
    for task in itertools.islice(iter(_environment().taskset), request["count"]):
        _check(task)
        data = task.data.model_dump(mode="json", exclude_defaults=True)
        row = _question(task) | {"task": data}
        if isinstance(answer := getattr(task.data, "answer", None), str | int | float):
            row["answer"] = str(answer)
        found.append(row)
    return found


def _question(task: Any) -> dict[str, Any]:
    """What the model is asked: the task's prompt, or what the environment says first where it has none."""
    data = task.data
    asked = data.prompt
    if asked is None:
        asked = play("", [], data.model_dump(mode="json", exclude_defaults=True)) or ""
    if isinstance(asked, str) and data.system_prompt is None:
        return {"question": asked}
    system = [] if data.system_prompt is None else [{"role": "system", "content": data.system_prompt}]
    return {"messages": [*system, *({"role": one.role, "content": _text(one)} for one in _messages(asked))]}


def _check(task: Any) -> None:
    """Raise RefusedError for what needs more than the model's turns."""
    kind, data = type(task), task.data
    needs = {
        "a container": kind.NEEDS_CONTAINER or data.image,
        "files": data.skills or data.artifacts,
        "a machine that it prepares": any(
            getattr(kind, name) is not getattr(vf.Task, name) for name in ("setup", "finalize", "stage_verifier")
        ),
        "tools by MCP, which need a server": kind.toolsets(task.config),
        "a judge, which is another model": task.config.judges,
        "conditions of its own that end a turn": task.hooks("stop"),
        "a machine that its rewards look at": any(map(_wants_runtime, (*task.hooks("reward"), *task.hooks("metric")))),
    }
    for words, found in needs.items():
        if found:
            raise RefusedError(f"{kind.__name__} needs {words}")
    roles = list(_environment()._agent_specs)
    if len(roles) != 1:
        raise RefusedError(f"several models play in it ({', '.join(roles)}), and a job has one")


def _wants_runtime(function: Any) -> bool:
    wanted = inspect.signature(function).parameters.get("runtime")
    return wanted is not None and wanted.default is inspect.Parameter.empty


def _episode(turns: Sequence[str], data: Mapping[str, Any], waits: bool) -> float:
    """What an episode of these turns earns. Raises Waiting, where it `waits` for another one."""
    environment = _environment()
    kind = type(environment.taskset).task_type()
    task = kind(kind.data_type().model_validate(data), environment.config.taskset.task)
    seed_all(task.data.idx or 0)
    agent = Agent([said(turn) for turn in turns], waits)
    loop = Loop()
    try:
        loop.run_until_complete(_run(environment, task, agent))
    finally:
        loop.close()
    return float(sum(trace.reward for trace in agent.traces))


async def _run(environment: Any, task: Any, agent: "Agent") -> None:
    await environment.run(task, vf.Agents(environment.config, lambda name, spec: agent))
    await environment.finalize(task, vf.Episode(task=_told(task), traces=agent.traces))


class Waiting(BaseException):
    """All turns are played, and the environment says something: nothing that an environment would catch."""

    def __init__(self, message: str | None) -> None:
        super().__init__()
        self.message = message


class Agent:
    """Plays the turns that a model has had."""

    def __init__(self, turns: list[str], waits: bool) -> None:
        self._turns, self._waits = turns, waits
        self.traces: list[Any] = []

    async def run(self, task: Any, **_rest: Any) -> Any:
        """A rollout of one turn."""
        async with self.interaction(task) as talk:
            await talk.turn()
        return talk.trace

    @asynccontextmanager
    async def interaction(self, task: Any, **_rest: Any) -> "AsyncIterator[Interaction]":
        """A rollout with the environment as its user; its task's rewards are given when it ends."""
        talk = Interaction(task, self._turns, self._waits)
        yield talk
        await task.score(talk.trace)
        talk.trace.is_completed = talk.trace.ok = True
        self.traces.append(talk.trace)


class Interaction:
    """What `verifiers.v1.Interaction` is for an environment."""

    def __init__(self, task: Any, turns: list[str], waits: bool) -> None:
        self._turns, self._waits = iter(turns), waits
        info = vf.AgentInfo(config=vf.AgentConfig())
        self.trace = vf.Trace(task=_told(task), agent=info, verifiers=vf.VersionInfo(version=SETTINGS["version"]))
        self.trace.state = vf.state_cls(type(task))()
        system = task.data.system_prompt
        self._add(*([] if system is None else [vf.SystemMessage(content=system)]), *_messages(task.data.prompt))

    async def turn(self, message: Any = None) -> Any:
        """The model's next turn, after what the environment says."""
        spoken = _messages(message)
        self._add(*spoken)
        turn = next(self._turns, None)
        if turn is None:
            if self._waits:
                raise Waiting("\n\n".join(map(_text, spoken)) if spoken else None)
            return vf.Segment([], terminated=True)
        answer = vf.AssistantMessage(content=turn)
        self._add(answer, sampled=True)
        return vf.Segment([answer], root_reply=turn)

    def _add(self, *messages: Any, sampled: bool = False) -> None:
        nodes = self.trace.nodes
        for message in messages:
            nodes.append(vf.MessageNode(message=message, parent=len(nodes) - 1 if nodes else None, sampled=sampled))


def _told(task: Any) -> Any:
    return vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash)


def _messages(given: Any) -> list[Any]:
    if given is None:
        return []
    return [vf.UserMessage(content=given)] if isinstance(given, str) else list(given)


def _text(message: Any) -> str:
    content = message.content
    return content if isinstance(content, str) else "".join(getattr(part, "text", "") for part in content or [])


class Loop(asyncio.BaseEventLoop):
    """Runs what waits for nothing outside: the usual loops are made of sockets, which sandboxes have none of. Its time
    goes by only when everything waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self
        self._now = 0.0

    def time(self) -> float:
        """Seconds since it was made."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Called when nothing can go on for `timeout` seconds."""
        if timeout is None:
            raise RefusedError("it waits for something outside")
        self._now += timeout
        return []

    def _process_events(self, events: list[Any]) -> None:
        assert not events

    def run_in_executor(self, *_given: Any) -> Any:  # type: ignore[override]
        """Sandboxes have no threads."""
        raise RefusedError("it has threads")

    def _write_to_self(self) -> None:
        """Nothing sleeps that would have to be woken."""


@cache
def _environment() -> Any:
    name = SETTINGS["module"]
    if SETTINGS["source"] is not None:
        if importlib.util.find_spec(f"verifiers.v1.tasksets.{name}") is not None:
            raise RefusedError(f"verifiers has a taskset {name} of its own: give {name}.py another name")
        module()
    config = {"taskset": {"id": name, **SETTINGS["config"]}}
    return vf.load_environment(vf.resolve_env_config(config))


def _open_without_clients() -> None:
    """`verifiers.v1` imports all that it has as soon as it is imported, and all client libraries of model providers,
    which take longer than all the rest. Here each part is imported when it is asked for, and `anthropic`, which nothing
    calls, stands empty."""
    root = importlib.util.find_spec("verifiers")
    assert root is not None
    assert root.submodule_search_locations is not None
    folder = f"{root.submodule_search_locations[0]}/v1"
    tree = ast.parse(Path(folder, "__init__.py").read_text())
    parts = [one for one in tree.body if isinstance(one, ast.ImportFrom)]
    places = {name.asname or name.name: (part.module, name.name) for part in parts for name in part.names}
    places |= {"Episode": ("verifiers.v1.episode", "Episode"), "state_cls": ("verifiers.v1.state", "state_cls")}

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"verifiers.v1 has no {name!r}")
        part, own = places[name]
        return getattr(importlib.import_module(str(part)), own)

    Lazy("anthropic", "", lambda name: type(name, (), {}))
    Lazy("anthropic.types", "", lambda name: type(name, (), {}))
    Lazy("verifiers.v1", folder, find)
    Lazy("verifiers.v1.tasksets", f"{folder}/tasksets", find)


_open_without_clients()
vf: Any = importlib.import_module("verifiers.v1")
_environment()
