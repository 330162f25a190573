"""HTTP to a coordinator: JSON messages in and out, problems on the wire (RFC 9457) as exceptions, blobs by hash."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from r1net.bounded import bound
from r1net.errors import Busy, ProtocolError, Refused, Unreachable
from r1net.protocol.canonical import Message, sha256
from r1net.protocol.session import DIGEST_HEADER, content_digest
from r1net.throttle import Throttle
from r1net.urls import redact, require_tls
from r1net.whole import whole

M = TypeVar("M", bound=Message)

CHUNK = 1 << 20
PIECE = 1 << 14
"""Bytes at a time where they are counted: a slow line must not stand still until a read times out."""

PATIENCE = 60.0
"""Seconds for which a request is tried again while the coordinator has no room for it (429, 503)."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
_BUSY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)


class Transport:
    """Requests to one coordinator. Raises Refused for its problems, Busy when it has no room for a request even after
    `patience` seconds of trying, Unreachable when it doesn't answer or something else does in its place, and UsageError
    for a URL that is not encrypted (see `r1net.urls.require_tls`). `throttle` bounds what blobs take of the line."""

    def __init__(
        self,
        url: str,
        *,
        auth: httpx.Auth | None = None,
        timeout: float = 60.0,
        patience: float = PATIENCE,
        allow_plain_http: bool = False,
    ) -> None:
        require_tls(url, allow_plain_http)
        self.throttle: Throttle | None = None
        self.url = url.rstrip("/")
        self._patience = patience
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(timeout, connect=5.0),
            auth=auth,
            headers={DIGEST_HEADER: content_digest(sha256(b"")), "Accept-Encoding": "identity"},
            event_hooks={"response": [bound]},
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def get(self, path: str, kind: type[M], **params: Any) -> M:
        """GET one message."""
        return kind.parse(self._request("GET", path, params=params).content)

    def get_many(self, path: str, kind: type[M], **params: Any) -> list[M]:
        """GET a JSON array of messages."""
        content = self._request("GET", path, params=params).content
        try:
            return TypeAdapter(list[kind]).validate_json(content)  # type: ignore[valid-type]
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ProtocolError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error

    def walk(self, path: str, kind: type[M], page: int, **params: Any) -> Iterator[M]:
        """Every row of a list that comes in pages, in order: a page may be shorter than it was asked for."""
        seen = 0
        while rows := self.get_many(path, kind, limit=page, after=seen, **params):
            yield from rows
            seen += len(rows)

    def get_json(self, path: str, **params: Any) -> Any:
        """GET plain JSON. Raises ProtocolError for what is none."""
        content = self._request("GET", path, params=params).content
        try:
            return from_json(content, allow_inf_nan=False)
        except ValueError as error:
            raise ProtocolError(f"{path}: not JSON: {error}"[:300], hint="is that a coordinator?") from error

    def post(self, path: str, body: Message, kind: type[M]) -> M:
        """POST a message, get one back."""
        return kind.parse(self._post(path, body).content)

    def tell(self, path: str, body: Message) -> None:
        """POST a message whose answer says nothing."""
        self._post(path, body)

    def post_empty(self, path: str) -> bytes:
        """POST without a body; returns the answer's body."""
        return self._request("POST", path).content

    def has_blob(self, digest: str) -> bool:
        """Whether the coordinator holds a blob."""
        try:
            self._request("HEAD", f"/v1/blobs/{digest}")
        except Refused as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def put_blob(self, digest: str, data: bytes | Path, headers: Mapping[str, str] | None = None) -> None:
        """Upload a blob. The coordinator takes only those it expects, from whom it expects them; `headers` say so."""
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        content = _Chunks(data, self.throttle)
        fields = {**(headers or {}), "Content-Length": str(size), DIGEST_HEADER: content_digest(digest)}
        self._request("PUT", f"/v1/blobs/{digest}", content=content, headers=fields)

    def get_blob(self, digest: str, most: int | None = None) -> bytes:
        """Download a blob into memory. Raises ProtocolError when its content isn't what its name says, or is more than
        `most` bytes."""
        file = BytesIO()
        self._stream(digest, file, most)
        return file.getvalue()

    def fetch_blob(self, digest: str, target: Path, size: int | None = None) -> None:
        """Download a blob (of `size` bytes, where that is known) to a file, whole or not at all. Raises ProtocolError
        when its content isn't what its name says."""
        with whole(target, sync=False) as file:
            self._stream(digest, file, size)

    def _stream(self, digest: str, file: Any, size: int | None) -> None:
        state = hashlib.sha256()

        def download() -> httpx.Response:
            with self._http.stream("GET", f"/v1/blobs/{digest}") as response:
                if not response.is_success or _is_page(response):
                    response.read()
                    return response
                for chunk in response.iter_bytes(CHUNK if self.throttle is None else PIECE):
                    if self.throttle is not None:
                        self.throttle.take(len(chunk))
                    if size is not None and file.tell() + len(chunk) > size:
                        raise ProtocolError(f"blob {digest} has more than its {size} bytes", hint="try again")
                    state.update(chunk)
                    file.write(chunk)
                return response

        self._insist(download)
        if "0x" + state.hexdigest() != digest:
            raise ProtocolError(f"blob {digest} arrived damaged", hint="try again")

    def _post(self, path: str, body: Message) -> httpx.Response:
        content = body.model_dump_json().encode()
        headers = {"Content-Type": "application/json", DIGEST_HEADER: content_digest(sha256(content))}
        return self._request("POST", path, content=content, headers=headers)

    def _request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        return self._insist(lambda: self._http.request(method, path, **kwargs))

    def _insist(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send, and again while there is no room: the coordinator did nothing then."""
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                response = send()
            except httpx.TransportError as error:
                raise self._unreachable(f"does not answer: {type(error).__name__}") from error
            if response.is_success and not _is_page(response):
                return response
            refusal = _problem(response) or self._foreign(response)
            if response.status_code not in _BUSY:
                raise refusal
            wait = min(max(refusal.retry_after or 0.0, pause), _LONGEST_PAUSE) * random.uniform(1.0, 1.5)  # noqa: S311
            if time.monotonic() + wait > deadline:
                raise Busy(refusal.code, refusal.message, hint=refusal.hint or "try again in a while") from refusal
            time.sleep(wait)
            pause *= 2

    def _unreachable(self, what: str) -> Unreachable:
        return Unreachable(
            f"the coordinator at {redact(self.url)} {what}", hint="check the address, and that it is running"
        )

    def _foreign(self, response: httpx.Response) -> Refused:
        """What a coordinator never says, as a refusal. Raises Unreachable where it says nothing about the request: a
        page, a redirection, an error of a gateway."""
        status = response.status_code
        said = "a web page" if response.is_success else f"{status} {response.reason_phrase}".strip()
        what = f"is not reached: what answers in its place says {said}"
        if status not in _BUSY and not response.is_client_error:
            raise self._unreachable(what)
        words = f"the coordinator at {redact(self.url)} {what}"
        code, hint = "busy" if status in _BUSY else f"http_{status}", "check the address, and what stands between"
        return Refused(code, words, status=status, hint=hint, retry_after=_retry_after(response))


def _is_page(response: httpx.Response) -> bool:
    """Whether this is a page for people, as networks show to who hasn't logged in: no answer is one."""
    return bool(response.headers.get("Content-Type", "").lower().startswith("text/html"))


def _problem(response: httpx.Response) -> Refused | None:
    """The problem document as an exception; None where there is none."""
    if not response.is_error:
        return None
    try:
        problem = from_json(response.content)
        code, detail, hint = str(problem["code"]), str(problem["detail"]), problem.get("hint")
    except (ValueError, KeyError, TypeError):
        return None
    return Refused(code, detail, status=response.status_code, hint=hint, retry_after=_retry_after(response))


def _retry_after(response: httpx.Response) -> float | None:
    after = response.headers.get("Retry-After", "")
    return float(after) if after.isascii() and after.isdigit() else None


class _Chunks:
    """A file's bytes, or those that are there, as often as they are asked for: a request may have to be sent again."""

    def __init__(self, data: bytes | Path, throttle: Throttle | None) -> None:
        self._data, self._throttle = data, throttle

    def __iter__(self) -> Iterator[bytes]:
        with self._data.open("rb") if isinstance(self._data, Path) else BytesIO(self._data) as file:
            while chunk := file.read(CHUNK if self._throttle is None else PIECE):
                if self._throttle is not None:
                    self._throttle.take(len(chunk))
                yield chunk
