"""A prompt is what transformers renders from the same folder; what it refuses is refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from r1net import rendering
from r1net.errors import UsageError
from r1net.protocol.job import QUESTION
from r1net.templates import chat_template, render_prompt
from r1net.tokens import special_tokens
from tests.unit.coordinator.jobs import tokenizer_json
from tests.unit.sdk.chat_styles import CHATML, DEEPSEEK_R1, GEMMA, STYLES

TOKENS: dict[str, Any] = {
    "bos_token": "<s>",
    "eos_token": {"__type": "AddedToken", "content": "</s>", "special": True},
    "image_token": "<image>",
    "additional_special_tokens": ["<|im_start|>"],
    "added_tokens_decoder": {},
}


def folder_with(folder: Path, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_bytes(tokenizer_json())
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"} | TOKENS | config
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def by_transformers(folder: Path, system: str | None = None, question: str = QUESTION) -> str:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))


@pytest.mark.parametrize("system", [None, "Be brief. /no_think "])
@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_rendered_as_transformers_does(style: str, system: str | None, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, chat_template=STYLES[style])
    if system and style == "gemma":
        with pytest.raises(Exception, match="System role not supported"):
            by_transformers(folder, system)
        with pytest.raises(UsageError, match="refuses: System role not supported") as refused:
            render_prompt(folder, system)
        assert "system_prompt=" in str(refused.value.hint)
        return
    prompt = render_prompt(folder, system)
    assert prompt == by_transformers(folder, system)
    asked = "What is 2 < 3?\nAnswer 'true' or {false}."
    assert prompt.replace(QUESTION, asked) == by_transformers(folder, system, asked)


def test_the_prefill_begins_the_answer(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, chat_template=CHATML)
    assert render_prompt(folder, prefill="<think>\n") == by_transformers(folder) + "<think>\n"


def test_a_model_without_a_template_gets_the_bare_question(tmp_path: Path) -> None:
    assert chat_template(folder_with(tmp_path)) is None
    assert render_prompt(tmp_path, "be brief", "so:") == "be brief\n{question}\nso:"


def test_the_default_of_named_templates(tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": CHATML}]
    folder = folder_with(tmp_path, chat_template=named)
    assert render_prompt(folder) == by_transformers(folder) != "no"


def test_named_templates_without_a_default_are_refused(tmp_path: Path) -> None:
    folder = folder_with(
        tmp_path, chat_template=[{"name": "rag", "template": "a"}, {"name": "tool_use", "template": "b"}]
    )
    with pytest.raises(ValueError, match="no default"):
        by_transformers(folder)
    with pytest.raises(UsageError, match=r"rag, tool_use.*none named default"):
        render_prompt(folder)


def test_a_file_comes_before_the_config(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, chat_template="no {{ messages[0].content }}")
    (folder / "chat_template.jinja").write_bytes(CHATML.replace("\n", "\r\n").encode())
    assert render_prompt(folder) == by_transformers(folder)
    assert "im_start" in render_prompt(folder)


@pytest.mark.parametrize("files", [{"default": CHATML}, {"tool_use": "no", "default": CHATML}, {"tool_use": "no"}])
@pytest.mark.parametrize("beside", [True, False])
def test_the_folder_of_additional_templates(files: dict[str, str], beside: bool, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, chat_template="config {{ messages[0].content }}")
    if beside:
        (folder / "chat_template.jinja").write_text(GEMMA)
    (folder / "additional_chat_templates").mkdir()
    for name, text in files.items():
        (folder / "additional_chat_templates" / f"{name}.jinja").write_text(text)
    if beside or "default" in files:
        assert render_prompt(folder) == by_transformers(folder)
    else:
        with pytest.raises(ValueError, match="no default"):
            by_transformers(folder)
        with pytest.raises(UsageError, match="none named default"):
            render_prompt(folder)


def test_a_processors_template_is_the_last_resort(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": CHATML}))
    assert render_prompt(folder) == "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    folder_with(tmp_path, chat_template=DEEPSEEK_R1)
    assert render_prompt(folder) == by_transformers(folder) == "<s><|User|>{question}<|Assistant|><think>\n"


@pytest.mark.parametrize("older", [True, False])
def test_special_tokens_are_those_that_transformers_names(older: bool, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, extra_special_tokens={"sound_token": "<sound>"}, unk_token=None)
    if older:
        config = json.loads((folder / "tokenizer_config.json").read_text())
        del config["added_tokens_decoder"]
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"eos_token": {"content": "<|end|>", "lstrip": False}, "mask_token": "<m>"})
    )
    assert special_tokens(folder) == AutoTokenizer.from_pretrained(folder).special_tokens_map
    assert ("mask_token" in special_tokens(folder)) is older


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ messages[0].content | upper }}", "0 times, not once"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "2 times, not once"),
        ("{{ messages[0].content | tojson }}", "changes the question"),
        ("{{ messages[0].content }}{{ messages[0].content | length }}", "changes the question"),
        ("{{ messages[0].content | e }}", "changes the question"),
        ("{{ raise_exception('not today') }}", "refuses: not today"),
        ("{{ messages[0].picture.url }}", "has no attribute 'picture'"),
        ("{% if %}", "line 1"),
        ("{{ messages | nonsense }}", "No filter named 'nonsense'"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ '\\ud800' }}", "surrogates"),
    ],
)
def test_what_cannot_be_a_prompt_is_refused_in_words(template: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text(template)
    with pytest.raises(UsageError, match=words) as refused:
        render_prompt(tmp_path)
    assert "prompt=" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ namespace(_x=1) }}", "underscore"),
        ("{% set ns = namespace() %}{% set ns.__class__ = 1 %}", "underscore"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{{ range(10**9) }}", "Range too big"),
        ("{{ 'a' * 10**10 }}", "MiB"),
        ("{{ '%1000000000d' % 1 }}", "MiB"),
        ("{% for i in range(100000) %}{{ 'abcdefghijklmnop' }}{% endfor %}", "longer than 1048576"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "too deep"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "too deep"),
        ("x" * (2**20 + 1), "bytes; at most"),
    ],
)
def test_a_hostile_template_reaches_its_bounds(template: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text(template)
    with pytest.raises(UsageError, match=words):
        render_prompt(tmp_path)


def test_a_template_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file with a smaller bound: what a template can take is CPU time."""
    hasty = tmp_path / "hasty.py"
    hasty.write_text(Path(rendering.__file__).read_text().replace("CPU_SECONDS = 5", "CPU_SECONDS = 1"))
    monkeypatch.setattr(rendering, "__file__", str(hasty))
    forever = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"
    (tmp_path / "chat_template.jinja").write_text(forever)
    with pytest.raises(UsageError, match="ends its process"):
        render_prompt(tmp_path)


def test_a_template_reads_nothing_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a template could reach if it broke out of the sandbox: neither secrets in the environment nor writing."""
    monkeypatch.setenv("R1NET_SECRET", "hush")
    spy = tmp_path / "spy.py"
    source = Path(rendering.__file__).read_text()
    made = "    made.globals['world'] = lambda: str(dict(__import__('os').environ))\n    return made"
    spy.write_text(source.replace("    return made", made))
    monkeypatch.setattr(rendering, "__file__", str(spy))
    (tmp_path / "chat_template.jinja").write_text("{{ world() }}{{ messages[0].content }}")
    assert "hush" not in render_prompt(tmp_path)
    assert "PYTHONPATH" in render_prompt(tmp_path)


def test_a_template_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe{")
    with pytest.raises(UsageError, match="not text in UTF-8"):
        render_prompt(tmp_path)
