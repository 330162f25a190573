"""HTTP answers of bounded size: whoever answers may be anybody, and an endless answer must not fill the memory."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

MOST_BYTES = 256 * 2**20
"""Of an answer that is read whole: an epoch's report over three million traces."""
_STREAMED = "/v1/blobs"
"""Files are bounded by who asks for them and knows their size."""


class _Counted(httpx.SyncByteStream):
    """A stream that ends with an error where it becomes too long."""

    def __init__(self, stream: httpx.SyncByteStream, most: int) -> None:
        self._stream, self._most = stream, most

    def __iter__(self) -> Iterator[bytes]:
        left = self._most
        for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise httpx.ReadError(f"an answer of more than {self._most} bytes")
            yield chunk

    def close(self) -> None:
        """See httpx."""
        self._stream.close()


def bound(response: httpx.Response) -> None:
    """A response hook for httpx. Raises ReadError for an answer that is compressed (nobody asked for that, and a few
    bytes can stand for many), and lets one that is too long end so."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx.ReadError("a compressed answer")
    folder = response.request.url.path.rpartition("/")[0]
    streamed = folder.endswith(_STREAMED) and not response.is_error
    if not streamed and isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _Counted(response.stream, MOST_BYTES)
