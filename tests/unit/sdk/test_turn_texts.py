"""The text between two turns is what the model's chat template makes of a user's answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from r1net.errors import UsageError
from r1net.turn_texts import reply_text

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def folder_with(path: Path, template: str | None) -> Path:
    tokenizer = Tokenizer(models.WordLevel({"?": 0, "<|im_end|>": 1}, unk_token="?"))
    tokenizer.save(str(path / "tokenizer.json"))
    config = {} if template is None else {"chat_template": template}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    (path / "config.json").write_text(json.dumps({"vocab_size": 2}))
    return path


def test_the_stop_token_is_the_models_own_word(tmp_path: Path) -> None:
    text = reply_text(folder_with(tmp_path, CHATML), (1,))
    assert text == "\n<|im_start|>user\n{reply}<|im_end|>\n<|im_start|>assistant\n"


def test_without_a_template_an_answer_has_a_line_of_its_own(tmp_path: Path) -> None:
    assert reply_text(folder_with(tmp_path, None), (1,)) == "\n{reply}\n"


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content }}",
        CHATML.replace("<|im_end|>", "<|stop|>"),
        CHATML.replace("m.content", "m.content[:3]"),
    ],
)
def test_a_template_that_does_not_show_it_is_refused(template: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="how an answer goes on"):
        reply_text(folder_with(tmp_path, template), (1,))
