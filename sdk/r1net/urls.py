"""URLs as this network treats them: secrets in them are never shown, and beyond this machine they are encrypted."""

from __future__ import annotations

import ipaddress
import logging
import re
import sys
import traceback
from types import TracebackType
from urllib.parse import SplitResult, urlsplit

from r1net.errors import UsageError

HIDDEN = "…"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>`]+")
_REQUESTS = re.compile(r"((?:with|for) url: )/\S*")
"""How requests' exceptions name the path, where RPC providers put their keys."""


def redact(url: str) -> str:
    """What may be shown of an RPC's, a database's or a coordinator's URL: scheme, host and port, a SQLite file's path.

    User, password, path and query may be secrets; "…" stands for them.
    """
    parts = _split(url)
    if parts is None or not parts.scheme:
        return HIDDEN
    if parts.scheme.startswith("sqlite") and not parts.netloc:
        return f"{parts.scheme}://{parts.path}"
    if parts.hostname is None or "@" in f"{parts.path}{parts.query}{parts.fragment}":  # a password with a slash in it
        return f"{parts.scheme}://{HIDDEN}"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port is not None else ""
    more = f"/{HIDDEN}" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{parts.scheme}://{host}{port}{more}"


def scrub(text: str) -> str:
    """A text of somebody else's making, with every URL in it redacted."""
    return _REQUESTS.sub(rf"\g<1>/{HIDDEN}", _URL.sub(lambda found: redact(found[0]), text))


class ScrubbingFormatter(logging.Formatter):
    """Log lines and tracebacks without the secrets of URLs: exceptions of HTTP libraries quote them whole."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        return scrub(super().format(record))


def scrub_output(form: str = "%(message)s") -> None:
    """Scrub what this process logs on stderr, in `form`, and the traceback of what ends it. For programs' starts."""
    handler = logging.StreamHandler()
    handler.setFormatter(ScrubbingFormatter(form))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    sys.excepthook = _scrubbed_traceback


def _scrubbed_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print(scrub("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this very machine."""
    parts = _split(url)
    host = parts.hostname if parts is not None else None
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_tls(url: str, allow_plain_http: bool = False) -> None:
    """Refuse a URL that would send its traffic in the clear beyond this machine. Raises UsageError."""
    parts = _split(url)
    if "://" not in url and (meant := _with_scheme(url)) is not None:
        start, _, rest = meant.partition("://")
        raise UsageError(f"{rest} is no http(s) address without {start}:// in front", hint=f"write {meant}")
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{redact(url)} is no http(s) address", hint="give a URL such as https://coordinator.example")
    if parts.scheme == "http" and not allow_plain_http and not is_loopback(url):
        raise UsageError(
            f"{redact(url)} is not encrypted: others on the way could read and change what it says",
            hint="use https://, or say allow_plain_http (R1_ALLOW_PLAIN_HTTP=true) on a network that is yours alone",
        )


def _with_scheme(url: str) -> str | None:
    """What somebody may have meant who wrote a host and a port alone; None for what can't be one."""
    parts = _split(f"https://{url}")
    if parts is None or not parts.hostname or not re.fullmatch(r"[\w.:-]+", parts.hostname):
        return None
    return redact(f"{'http' if is_loopback(f'http://{url}') else 'https'}://{url}")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError where there is no number
    except ValueError:
        return None
    return parts
