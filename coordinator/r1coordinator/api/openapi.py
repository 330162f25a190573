"""What /openapi.json says: each route's body, who must sign it, and that every refusal is a problem document.

Bodies are read after their senders are known, so that the framework never sees them; here they are named.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from r1net.protocol.canonical import Message
from r1net.protocol.gradients import GradientCommitment, SignedStatement
from r1net.protocol.job import JobSpec, SubmitJob
from r1net.protocol.reach import DialReport
from r1net.protocol.session import (
    DIGEST_HEADER,
    NONCE_HEADER,
    SESSION_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    OpenSession,
)
from r1net.protocol.steering import SignedSteering
from r1net.protocol.trace import RolloutSubmission
from r1net.protocol.upload import UPLOAD_HEADER
from r1net.protocol.views import Problem
from r1net.protocol.work import LeaseFailure, PossessionProof, TrainReport, VoteCommitment, VoteReveal, WorkRequest

Operation = dict[str, Any]

BODIES: dict[str, type[Message] | None] = {
    "POST /v1/jobs": SubmitJob,
    "POST /v1/jobs/check": JobSpec,
    "POST /v1/jobs/{job_id}/steering": SignedSteering,
    "POST /v1/sessions": OpenSession,
    "POST /v1/work": WorkRequest,
    "POST /v1/leave": None,
    "POST /v1/dials/{order_id}": DialReport,
    "POST /v1/leases/{lease_id}/heartbeat": None,
    "POST /v1/leases/{lease_id}/rollout": RolloutSubmission,
    "POST /v1/leases/{lease_id}/train": TrainReport,
    "POST /v1/leases/{lease_id}/published": None,
    "POST /v1/leases/{lease_id}/possession": PossessionProof,
    "POST /v1/leases/{lease_id}/gradient": GradientCommitment,
    "POST /v1/leases/{lease_id}/statement": SignedStatement,
    "POST /v1/leases/{lease_id}/commitment": VoteCommitment,
    "POST /v1/leases/{lease_id}/vote": VoteReveal,
    "POST /v1/leases/{lease_id}/failure": LeaseFailure,
}
"""The message that each POST takes; None for an empty body."""

_PUBLIC_POSTS = ("POST /v1/jobs", "POST /v1/jobs/check", "POST /v1/sessions", "POST /v1/jobs/{job_id}/steering")
_BLOB = "PUT /v1/blobs/{sha256}"
_REF = "#/components/schemas/{model}"
_SCHEMES = {
    "session": {
        "type": "apiKey",
        "in": "header",
        "name": SIGNATURE_HEADER,
        "description": (
            f"Ed25519 by the session's key over method, target, {DIGEST_HEADER} (RFC 9530, sha-256), {TIME_HEADER} and "
            f"{NONCE_HEADER}, a line each; {SESSION_HEADER} names the session. See r1net.protocol.session."
        ),
    },
    "upload": {
        "type": "apiKey",
        "in": "header",
        "name": UPLOAD_HEADER,
        "description": "EIP-712 by the job's submitter. See r1net.protocol.upload.",
    },
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        models: list[Any] = [(model, "validation") for model in (*BODIES.values(), Problem) if model is not None]
        _, found = models_json_schema(models, ref_template=_REF)
        schemas.update(found["$defs"])
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        document["components"]["securitySchemes"] = _SCHEMES
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(f"{method.upper()} {path}", operation)
        app.openapi_schema = document
    return app.openapi_schema


def methods_at(app: FastAPI, path: str) -> list[str]:
    """Every method that some route takes at a path: the framework's own answer names those of one route only."""
    found: set[str] = set()
    for template, operations in describe(app)["paths"].items():
        if re.fullmatch(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template)), path):
            found |= {method.upper() for method in operations}
            found |= {"HEAD"} if _BLOB.endswith(template) else set()
    return sorted(found)


def _complete(name: str, operation: Operation) -> None:
    problem = {"content": {"application/problem+json": {"schema": {"$ref": _REF.format(model=Problem.__name__)}}}}
    operation["responses"].pop("422", None)
    operation["responses"]["4XX"] = {"description": "Refused, with a machine word (RFC 9457)", **problem}
    operation["responses"]["5XX"] = {"description": "Not now; Retry-After says when to try again", **problem}
    if name == _BLOB:
        binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": binary}
        operation["responses"]["200"] = {"description": "It was here already", "content": {"application/json": {}}}
        operation["security"] = [{"session": []}, {"upload": []}]
    if name in BODIES:
        _describe_post(name, operation)


def _describe_post(name: str, operation: Operation) -> None:
    model = BODIES[name]
    if model is not None:
        schema = {"$ref": _REF.format(model=model.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if name not in _PUBLIC_POSTS:
        operation["security"] = [{"session": []}]
