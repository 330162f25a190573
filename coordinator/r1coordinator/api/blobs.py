"""Content-addressed files: public to read, writable only where a job expects them."""

from __future__ import annotations

import shutil
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse, JSONResponse
from sqlalchemy import update
from starlette.concurrency import run_in_threadpool

from r1coordinator.api.bodies import chunks, declared_length
from r1coordinator.api.uploads import expected
from r1coordinator.api.wire import Use
from r1coordinator.scheduling.intake import start_waiting
from r1coordinator.services import Services
from r1coordinator.store.retention import why_gone
from r1coordinator.store.tables import BlobRow
from r1net.errors import Refused

router = APIRouter(prefix="/v1/blobs", tags=["blobs"])

_SPARE = 2**30
"""Bytes of the disk that no upload takes."""

Digest = Annotated[str, Path(pattern=r"^0x[0-9a-f]{64}$")]


@router.head("/{sha256}", include_in_schema=False)
@router.get("/{sha256}")
def get_blob(sha256: Digest, services: Use) -> FileResponse:
    """A blob, or a part of it (Range)."""
    if not services.blobs.has(sha256):
        with services.db.read() as s:
            reason = why_gone(s, sha256)
        if reason is not None:
            raise Refused("gone", f"blob {sha256} was {reason}", status=410)
        raise Refused("unknown_blob", f"there is no blob {sha256}", status=404)
    return FileResponse(
        services.blobs.path(sha256),
        media_type="application/octet-stream",
        headers={"ETag": f'"{sha256}"', "Cache-Control": "public, max-age=31536000, immutable"},
    )


def _require_disk(services: Services, length: int) -> None:
    """Uploads leave the disk some room: the database writes there too."""
    if shutil.disk_usage(services.settings.blobs).free < length + _SPARE:
        raise Refused("no_space", "the coordinator's disk is full", status=507, hint="tell its operator")


def _arrived(services: Services, sha256: str) -> None:
    with services.db.write() as s:
        s.execute(update(BlobRow).where(BlobRow.sha256 == sha256).values(present=True))
    start_waiting(services.db, services.ctx, services.scorers, services.clock(), sha256)
    services.bell.ring()


@router.put("/{sha256}", status_code=201)
async def put_blob(sha256: Digest, request: Request, services: Use) -> Any:
    """Store a blob from whom it is expected: a worker that publishes it, or the submitter whose model it belongs to."""
    upload = await expected(request, sha256, services)
    length = declared_length(request)
    if length is None:
        raise Refused("length_required", "a blob's length must be declared", status=411, hint="send Content-Length")
    if length > upload.limit:
        raise Refused("blob_too_large", f"{length} bytes; at most {upload.limit} are expected", status=413)
    if upload.exact and length != upload.limit:
        raise Refused("wrong_length", f"{length} bytes; {upload.limit} are expected", status=422)
    if await run_in_threadpool(services.blobs.has, sha256):
        await to_thread.run_sync(_arrived, services, sha256, limiter=services.limits.scoring)
        return JSONResponse({}, 200)
    with upload.among.hold(upload.caller, sha256, length):
        await run_in_threadpool(_require_disk, services, length)
        await services.blobs.receive(sha256, chunks(request, length, services.settings), length)
    await to_thread.run_sync(_arrived, services, sha256, limiter=services.limits.scoring)
    return {}
