"""The least IAM policy that works, for the documentation. A test compares it with the requests that are made."""

from collections.abc import Mapping, Sequence
from typing import Any

from audio_compressor.tracks.layout import Prefixes

# What is done below each prefix. HeadObject needs s3:GetObject; parts of an upload need s3:PutObject, and a copy
# s3:GetObject of its source (Amazon S3 user guide, "Required permissions for Amazon S3 API operations").
_RAW = ("s3:GetObject",)
_PROCESSED = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject")
_FAILED = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject")
_KMS = ("kms:Decrypt", "kms:GenerateDataKey")


def least_policy(bucket: str, prefixes: Prefixes, kms_key_arn: str = "") -> dict[str, Any]:
    """A policy document for the identity that the code location runs as. ``kms_key_arn``: the key of the bucket, when
    its objects are encrypted with one of AWS KMS.
    """
    arn = f"arn:aws:s3:::{bucket}"
    everywhere = [f"{prefix}*" for prefix in (prefixes.raw, prefixes.processed, prefixes.failed)]
    statements = [
        _allow("ListThePrefixes", ["s3:ListBucket"], arn, {"StringLike": {"s3:prefix": everywhere}}),
        # This action knows no condition on the prefix (Service Authorization Reference, "Amazon S3").
        _allow("FindUnfinishedUploads", ["s3:ListBucketMultipartUploads"], arn),
        _allow("ReadRawTracks", _RAW, f"{arn}/{prefixes.raw}*"),
        _allow("PublishTracks", _PROCESSED, f"{arn}/{prefixes.processed}*"),
        _allow("KeepFailedTracks", _FAILED, f"{arn}/{prefixes.failed}*"),
    ]
    if kms_key_arn:
        statements.append(_allow("UseTheKey", _KMS, kms_key_arn))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(
    sid: str, actions: Sequence[str], resource: str, condition: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}
    return statement if condition is None else {**statement, "Condition": dict(condition)}
