"""Makes S3_BUCKET on the S3 of compose.yaml, unless it is there."""

import os

import boto3
from botocore.exceptions import ClientError

bucket = os.environ["S3_BUCKET"]
s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"])
try:
    s3.head_bucket(Bucket=bucket)
except ClientError as error:
    if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
        raise
    s3.create_bucket(Bucket=bucket)
print(f"bucket {bucket} is there")
