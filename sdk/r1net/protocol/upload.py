"""How a submitter proves that a model's files may come: one EIP-712 signature for a job's uploads."""

from __future__ import annotations

from pydantic import Field

from r1net.protocol.canonical import Hash, Message, Signature

UPLOAD_HEADER = "R1-Upload"
UPLOAD_LIFETIME = 86400
"""Most seconds for which an upload may be signed ahead."""


class Upload(Message):
    """EIP-712 `Upload(bytes32 jobId, uint256 expires)`, signed by the job's submitter."""

    job_id: Hash
    expires: int = Field(description="Unix seconds")


class SignedUpload(Message):
    """The R1-Upload header of PUT /v1/blobs/{sha256}, as JSON: whose job expects the file."""

    upload: Upload
    signature: Signature
