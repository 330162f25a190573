"""URLs: what of them may be shown, and which are refused."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net.errors import UsageError
from r1net.urls import ScrubbingFormatter, is_loopback, redact, require_tls, scrub

SECRET = "S3CRET"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://127.0.0.1:8545/", "http://127.0.0.1:8545"),
        (f"https://user:{SECRET}@rpc.example/v3/{SECRET}", "https://rpc.example/…"),
        (f"https://rpc.example?key={SECRET}", "https://rpc.example/…"),
        (f"https://rpc.example/#{SECRET}", "https://rpc.example/…"),
        (f"wss://[2001:db8::1]:8546/{SECRET}", "wss://[2001:db8::1]:8546/…"),
        (f"postgresql+psycopg://r1:{SECRET}@db:5432/r1", "postgresql+psycopg://db:5432/…"),
        (f"postgresql://r1:a/{SECRET}@db/r1", "…"),
        (f"postgresql://r1/{SECRET}@db/r1", "postgresql://…"),
        ("sqlite:////var/lib/r1.db", "sqlite:////var/lib/r1.db"),
        ("sqlite:///r1.db?key=S3CRET", "sqlite:///r1.db"),
        (SECRET, "…"),
        ("http://[", "…"),
        ("http://host:port/", "…"),
    ],
)
def test_what_may_be_a_secret_is_not_shown(url: str, shown: str) -> None:
    assert redact(url) == shown


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_user_password_path_or_query_gets_through(user: str, password: str, rest: str) -> None:
    marked = f"https://{user}{SECRET}:{password}{SECRET}@host.example/{rest}{SECRET}?{SECRET}"
    assert SECRET not in redact(marked)


def test_texts_and_tracebacks_are_scrubbed() -> None:
    text = f"Max retries exceeded with url: /v3/{SECRET} (at https://u:{SECRET}@rpc.example/{SECRET}), twice"
    assert scrub(text) == "Max retries exceeded with url: /… (at https://rpc.example/… twice"
    try:
        raise OSError(f"401 Client Error for url: https://rpc.example/{SECRET}")
    except OSError as error:
        record = logging.LogRecord(
            "r1", logging.ERROR, __file__, 1, "failed", None, (OSError, error, error.__traceback__)
        )
    shown = ScrubbingFormatter().format(record)
    assert "Traceback" in shown
    assert "https://rpc.example/…" in shown
    assert f"example/{SECRET}" not in shown


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.8.8.8", True),
        ("http://localhost:8420/x", True),
        ("http://[::1]:1", True),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://[", False),
        ("nonsense", False),
    ],
)
def test_this_machine_is_told_from_others(url: str, here: bool) -> None:
    assert is_loopback(url) is here


def test_beyond_this_machine_http_is_refused_unless_the_risk_is_named() -> None:
    for fine in ("http://127.0.0.1:1", "https://coordinator.example"):
        require_tls(fine)
    for url in ("http://coordinator.example", "http://10.0.0.1:8420", "http://u:S3CRET@127.0.0.1.example/S3CRET"):
        with pytest.raises(UsageError, match="allow_plain_http") as caught:
            require_tls(url)
        assert SECRET not in str(caught.value)
        require_tls(url, allow_plain_http=True)
    for url in ("ftp://x", "coordinator.example", "", "https://"):
        with pytest.raises(UsageError, match="address"):
            require_tls(url, allow_plain_http=True)
