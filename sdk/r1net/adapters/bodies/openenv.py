import importlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_type_hints

from r1net.adapters.bodies.common import SETTINGS, Lazy, RefusedError, module, said, seed_all, turns_of


def play(prompt: str, turns: Sequence[str], reset: Mapping[str, Any], **_columns: Any) -> str | None:
    """The job's tool: what the environment says to the last turn, None when the episode is over."""
    return _episode(turns, reset)[1]


def earned(completions: Sequence[Any], reset: Sequence[Mapping[str, Any]], **_columns: Any) -> list[float]:
    """The job's reward: what the steps of an episode earn together."""
    return [_episode(turns_of(one), row)[0] for one, row in zip(completions, reset, strict=True)]


def has_turns() -> bool:
    """An episode may have several steps."""
    return True


def rows(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each way to reset; asked where the job is made."""
    found = []
    for reset in request["resets"]:
        text = _episode([], reset)[1]
        if not text:
            raise RefusedError(f"its first observation after reset({reset}) is empty, or the last")
        found.append({"question": SETTINGS["question"].replace("{observation}", text), "reset": reset})
    return found


def _episode(turns: Sequence[str], reset: Mapping[str, Any]) -> tuple[float, str | None]:
    """What was earned, and what the environment says; None when the episode is over."""
    environment = _class()
    seed_all(int(reset.get("seed", 0)))
    played = environment(**SETTINGS["config"])
    try:
        observation = played.reset(**_taken(played.reset, reset))
        total, text = 0.0, _text(observation)
        for turn in turns:
            if observation.done:
                break
            action = _action(environment, said(turn))
            if isinstance(action, str):
                text = action
                continue
            observation = played.step(action)
            total += float(observation.reward or 0.0)
            text = _text(observation)
        return total, None if observation.done else text
    finally:
        played.close()


def _taken(function: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The seed is for those that take one; other arguments are meant as they are."""
    known = inspect.signature(function).parameters
    rest = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values())
    return {name: value for name, value in given.items() if name != "seed" or rest or name in known}


def _class() -> Any:
    found = getattr(module(), SETTINGS["name"])
    if any(base.__name__ == "MCPEnvironment" for base in found.__mro__):
        raise RefusedError(f"{found.__name__} offers tools by MCP, which need a server")
    if inspect.iscoroutinefunction(found.reset) or inspect.iscoroutinefunction(found.step):
        raise RefusedError(f"{found.__name__} is asynchronous: reset and step must return observations")
    return found


def _action_type(environment: Any) -> Any:
    """What `step` says that it takes, or the environment's own type argument."""
    hints = get_type_hints(environment.step)
    wanted = next((kind for name, kind in hints.items() if name != "return"), None)
    if getattr(wanted, "model_fields", None) is None:
        arguments = [get_args(base) for one in environment.__mro__ for base in getattr(one, "__orig_bases__", ())]
        wanted = next((some[0] for some in arguments if some), wanted)
    if not set(getattr(wanted, "model_fields", {})) - {"metadata"}:
        raise RefusedError(f"{environment.__name__}.step doesn't say which actions it takes: annotate it")
    return wanted


def _action(environment: Any, turn: str) -> Any:
    """The action that a turn names: a JSON object, in a fence or not, or the only field's value. A text says why it is
    none."""
    kind = _action_type(environment)
    text = turn
    if text.startswith("```") and text.endswith("```"):
        text = "\n".join(text.splitlines()[1:-1]).strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    needed = [name for name, field in kind.model_fields.items() if field.is_required()]
    tries = (
        [value] if isinstance(value, dict) else [{needed[0]: one} for one in (turn, value)] if len(needed) == 1 else []
    )
    for one in tries:
        try:
            return kind.model_validate(one)
        except ValueError:
            continue
    fields = ", ".join(f'"{name}": {_kind(field)}' for name, field in kind.model_fields.items() if name != "metadata")
    return f"That is no action. Answer with one JSON object: {{{fields}}}"


def _kind(field: Any) -> str:
    return getattr(field.annotation, "__name__", None) or str(field.annotation)


def _text(observation: Any) -> str:
    """The named field, or the only one that says something, or all as JSON."""
    if SETTINGS["observation"] is not None:
        return str(getattr(observation, SETTINGS["observation"]))
    found = observation.model_dump(mode="json", exclude={"done", "reward", "metadata"})
    if len(found) == 1 and isinstance(text := next(iter(found.values())), str):
        return text
    return json.dumps(found, ensure_ascii=False)


def _open_without_server() -> None:
    """`openenv.core` imports its server, with FastAPI, MCP and gradio, as soon as it is imported itself, and its
    rubrics a model's client. An environment that is called, and not served, needs none of them."""
    root = importlib.util.find_spec("openenv")
    assert root is not None
    assert root.submodule_search_locations is not None
    folder = f"{root.submodule_search_locations[0]}/core"
    served = _finder("env_server", "interfaces", "types", "exceptions", "base_transforms")
    Lazy("openenv.core", folder, served)
    Lazy("openenv.core.env_server", f"{folder}/env_server", served)
    Lazy("openenv.core.rubrics", f"{folder}/rubrics", _finder("rubrics", "base", "containers", "trajectory"))


def _finder(package: str, *parts: str) -> Callable[[str], Any]:
    def find(name: str) -> Any:
        for part in parts:
            found = importlib.import_module(f"openenv.core.{package}.{part}")
            if hasattr(found, name):
                return getattr(found, name)
        raise AttributeError(f"openenv.core.{package} has no {name!r} that works alone")

    return find


_open_without_server()
_class()
