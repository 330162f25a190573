"""A variable that is nearly a setting is pointed out, once, and holds up nothing."""

from __future__ import annotations

import pytest

from r1net import settings as submitters
from r1net.faults import warn_of
from r1node.settings import resolve


@pytest.fixture(autouse=True)
def anew() -> None:
    warn_of.cache_clear()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("R1_MINPRICE", "R1_MIN_PRICE"),
        ("R1_PASWORD_FILE", "R1_PASSWORD_FILE"),
        ("R1_COORDINATOR_URL", "R1_COORDINATOR"),
    ],
)
def test_slips_are_told_once(variable: str, meant: str, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        resolve({}, {variable: "7"})
    assert [record.message for record in caplog.records] == [f"{variable} is no setting: did you mean {meant}?"]


def test_what_other_programs_heed_is_no_slip(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    others = ("R1_KEY_FILE", "R1_DEBUG", "R1_CACHE_DIR", "R1_COORDINATOR_HOST", "R1_COORDINATOR_PORT", "R1_SOMETHING")
    resolve({}, dict.fromkeys(others, "7"))
    for name in (*others, "R1_WORKER", "R1_DEVICE"):
        monkeypatch.setenv(name, "cpu")
    submitters.resolve({})
    assert caplog.records == []
