"""Content-addressed files: public to read, writable only where a job expects them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse, JSONResponse
from sqlalchemy import select, update
from starlette.concurrency import run_in_threadpool

from r1coordinator.api.wire import Use
from r1coordinator.scheduling.intake import start_waiting
from r1coordinator.services import Services
from r1coordinator.store.tables import BlobRow
from r1net.errors import Refused

router = APIRouter(prefix="/v1/blobs", tags=["blobs"])

Digest = Annotated[str, Path(pattern=r"^0x[0-9a-f]{64}$")]


@router.head("/{sha256}", include_in_schema=False)
@router.get("/{sha256}")
def get_blob(sha256: Digest, services: Use) -> FileResponse:
    """A blob, or a part of it (Range)."""
    if not services.blobs.has(sha256):
        raise Refused("unknown_blob", f"there is no blob {sha256}", status=404)
    return FileResponse(
        services.blobs.path(sha256),
        media_type="application/octet-stream",
        headers={"ETag": f'"{sha256}"', "Cache-Control": "public, max-age=31536000, immutable"},
    )


def _limit(services: Services, sha256: str) -> int:
    with services.db.read() as s:
        limits = list(s.scalars(select(BlobRow.limit).where(BlobRow.sha256 == sha256)))
    if not limits:
        raise Refused("unexpected_blob", "no job expects this blob", status=403, hint="submit the job first")
    return min(max(limits), services.settings.max_blob_bytes)


def _arrived(services: Services, sha256: str) -> None:
    with services.db.write() as s:
        s.execute(update(BlobRow).where(BlobRow.sha256 == sha256).values(present=True))
    start_waiting(services.db, services.ctx, services.scorers, services.clock())
    services.bell.ring()


@router.put("/{sha256}", status_code=201)
async def put_blob(sha256: Digest, request: Request, services: Use) -> Any:
    """Store an expected blob; its name is its proof, so nobody signs."""
    limit = await run_in_threadpool(_limit, services, sha256)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise Refused("blob_too_large", f"{declared} bytes; at most {limit} are expected", status=413)
    if await run_in_threadpool(services.blobs.has, sha256):
        await run_in_threadpool(_arrived, services, sha256)
        return JSONResponse({}, 200)
    chunks: AsyncIterator[bytes] = request.stream()
    await services.blobs.receive(sha256, chunks, limit)
    await run_in_threadpool(_arrived, services, sha256)
    return {}
