"""Languages are told as py3langid tells them, in integers; a thought's share of one is R1's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from r1net.environments import Problem, load_environment
from r1net.protocol.job import EnvironmentSpec, RewardSpec
from r1net.rewards import Completion, RewardSet
from r1net.rewards.language import _pieces
from r1net.rewards.languages import LANGUAGES, identify

ENVIRONMENT = load_environment(EnvironmentSpec(name="reasoning_gym:chain_sum"))
NOTHING = Problem("", None, {})
SENTENCES = {
    "en": "First we add the two numbers and then we take away the third one.",
    "de": "Zuerst addieren wir die beiden Zahlen und ziehen dann die dritte ab.",
    "fr": "Nous ajoutons d'abord les deux nombres puis nous retirons le troisième.",
    "es": "Primero sumamos los dos números y después restamos el tercero.",
    "ru": "Сначала сложим два числа, а потом вычтем третье.",
    "zh": "首先我们把两个数相加，然后减去第三个数。",
    "ja": "まず二つの数を足して、それから三つ目を引きます。",
    "ko": "먼저 두 수를 더한 다음 세 번째 수를 뺍니다.",
    "hi": "पहले हम दो संख्याओं को जोड़ते हैं और फिर तीसरी घटाते हैं।",
    "ar": "أولا نجمع العددين ثم نطرح العدد الثالث.",
    "th": "ก่อนอื่นเราบวกจำนวนสองจำนวนแล้วลบจำนวนที่สาม",
    "el": "Πρώτα προσθέτουμε τους δύο αριθμούς και μετά αφαιρούμε τον τρίτο.",
}


def share(text: str, language: str = "en", opened: str = "") -> float | None:
    rewards = RewardSet([RewardSpec(name="language", config={"language": language})])
    return rewards.parts(ENVIRONMENT, NOTHING, Completion(text, opened))["language"]


@pytest.fixture(scope="module")
def theirs() -> LanguageIdentifier:
    whole = LanguageIdentifier.from_model_file(MODEL_FILE)
    assert set(whole.labels) >= LANGUAGES
    assert {label for label in whole.labels if len(label) == 2} == LANGUAGES
    whole.set_languages(LANGUAGES)
    return whole


@given(
    text=st.lists(st.sampled_from(sorted(SENTENCES)), min_size=1, max_size=3).flatmap(
        lambda chosen: st.lists(st.sampled_from(" ".join(SENTENCES[one] for one in chosen).split()), min_size=1)
    )
)
def test_the_language_is_the_librarys(theirs: LanguageIdentifier, text: list[str]) -> None:
    """Unless two are as likely as float32 can tell."""
    joined = " ".join(text)
    ranked = theirs.rank(joined)
    assert identify(joined) == ranked[0][0] or ranked[0][1] - ranked[1][1] < 1e-2


@pytest.mark.parametrize("language", SENTENCES)
def test_a_thought_in_one_language_is_all_in_it(language: str) -> None:
    text = " ".join([SENTENCES[language]] * 3)
    assert share(text, language) == 1.0
    assert share(f"<think>{text}</think>{SENTENCES['en']}", language) == 1.0
    assert share(text, "nl") == 0.0


def test_the_thoughts_of_real_solutions_are_english() -> None:
    pairs = json.loads((Path(__file__).parent / "math_verify_cases.json").read_text())["pairs"]
    long = [answer for _, answer in pairs if any(piece.size >= 8 for piece in _pieces(answer))]
    assert len(long) >= 5
    assert all((share(answer) or 0) > 0.9 for answer in long)


def test_the_share_counts_words() -> None:
    """14 English words, and 13 Chinese letters."""
    text = f"{SENTENCES['en']}\n首先我们把两个数相加然后减。"
    assert share(text) == pytest.approx(14 / 27)
    assert share(text, "zh") == pytest.approx(13 / 27)


def test_numbers_variables_commands_and_tags_are_no_words() -> None:
    assert share("2 + 2 = 4, x + y = α") == 0.0
    assert share("") == 0.0
    bare = "We divide both sides by the same number and get the root"
    assert share(f"{bare} \\frac{{x}}{{2}} \\sqrt{{y}} <b> 17 zw") == pytest.approx(share(f"{bare} zw"))


def test_only_the_thought_is_read() -> None:
    english, german = SENTENCES["en"], SENTENCES["de"]
    assert share(f"{english}</think><answer>{german}</answer>", opened="<think>\n") == 1.0
    assert share(f"<think>{german}</think>{english}") == 0.0
    assert share(f"<think>{english}") == 1.0
    assert share(f"{english}\n{german}") == pytest.approx(14 / 26)


@given(text=st.text(max_size=200))
def test_any_text_has_a_share(text: str) -> None:
    found = share(text)
    assert found is not None
    assert 0.0 <= found <= 1.0
    assert found == share(text)
