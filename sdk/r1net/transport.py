"""HTTP to a coordinator: JSON messages in and out, problems on the wire (RFC 9457) as exceptions, blobs by hash."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from r1net.errors import ProtocolError, Refused, Unreachable
from r1net.protocol.canonical import Message

M = TypeVar("M", bound=Message)

CHUNK = 1 << 20


class Transport:
    """Requests to one coordinator. Raises Refused for its problems and Unreachable when it doesn't answer."""

    def __init__(self, url: str, *, auth: httpx.Auth | None = None, timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, timeout=httpx.Timeout(timeout, connect=5.0), auth=auth)

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
        return [kind.model_validate(row) for row in self.get_json(path, **params)]

    def get_json(self, path: str, **params: Any) -> Any:
        """GET plain JSON."""
        return self._request("GET", path, params=params).json()

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

    def put_blob(self, digest: str, data: bytes | Path) -> None:
        """Upload a blob. The coordinator takes only those it expects."""
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        content = _chunks(data) if isinstance(data, Path) else data
        self._request("PUT", f"/v1/blobs/{digest}", content=content, headers={"Content-Length": str(size)})

    def get_blob(self, digest: str) -> bytes:
        """Download a blob into memory. Raises ProtocolError when its content isn't what its name says."""
        data = self._request("GET", f"/v1/blobs/{digest}").content
        if "0x" + hashlib.sha256(data).hexdigest() != digest:
            raise ProtocolError(f"blob {digest} arrived damaged", hint="try again")
        return data

    def fetch_blob(self, digest: str, target: Path) -> None:
        """Download a blob to a file, whole or not at all."""
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".blob-")
        try:
            with os.fdopen(handle, "wb") as file:
                self._stream(digest, file)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise

    def _stream(self, digest: str, file: Any) -> None:
        state = hashlib.sha256()
        try:
            with self._http.stream("GET", f"/v1/blobs/{digest}") as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                for chunk in response.iter_bytes(CHUNK):
                    state.update(chunk)
                    file.write(chunk)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if "0x" + state.hexdigest() != digest:
            raise ProtocolError(f"blob {digest} arrived damaged", hint="try again")

    def _post(self, path: str, body: Message) -> httpx.Response:
        return self._request(
            "POST", path, content=body.model_dump_json().encode(), headers={"Content-Type": "application/json"}
        )

    def _request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **kwargs)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _refusal(response)
        return response

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(
            f"the coordinator at {self.url} does not answer: {type(error).__name__}",
            hint="check the address, and that it is running",
        )


def _refusal(response: httpx.Response) -> Refused:
    """The problem document as an exception, whatever a proxy in between made of it."""
    try:
        problem = json.loads(response.content)
        code, detail, hint = problem["code"], problem["detail"], problem.get("hint")
    except (ValueError, KeyError, TypeError):
        code, detail, hint = f"http_{response.status_code}", response.reason_phrase or "refused", None
    return Refused(str(code), str(detail), status=response.status_code, hint=hint)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
