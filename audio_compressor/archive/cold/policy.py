"""The least IAM policy that cold storage works with, for the documentation. A test compares it with the requests that
are made.
"""

from typing import Any

# HeadObject needs s3:GetObject; parts of an upload need s3:PutObject (Amazon S3 user guide, "Required permissions for
# Amazon S3 API operations").
_OBJECTS = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject", "s3:RestoreObject")
_KMS = ("kms:Decrypt", "kms:GenerateDataKey")


def least_policy(bucket: str, prefix: str, kms_key_arn: str = "") -> dict[str, Any]:
    """A policy document for the identity that the code location runs as. ``kms_key_arn``: the key of the bucket, when
    its objects are encrypted with one of AWS KMS.
    """
    arn = f"arn:aws:s3:::{bucket}"
    statements: list[dict[str, Any]] = [
        {
            "Sid": "LookIntoColdStorage",
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": arn,
            "Condition": {"StringLike": {"s3:prefix": [f"{prefix}*"]}},
        },
        {"Sid": "KeepColdCopies", "Effect": "Allow", "Action": list(_OBJECTS), "Resource": f"{arn}/{prefix}*"},
    ]
    if kms_key_arn:
        statements.append({"Sid": "UseTheKey", "Effect": "Allow", "Action": list(_KMS), "Resource": kms_key_arn})
    return {"Version": "2012-10-17", "Statement": statements}
