"""An object in parts: begun, its parts side by side, and then completed, or aborted in every other outcome.

Only a killed process leaves parts behind, which cost money and are seen in no listing of objects; `abort_unfinished`
finds them.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from audio_compressor.errors import AudioCompressorError
from audio_compressor.retries import Retry
from audio_compressor.storage.s3_client import S3Client, told
from audio_compressor.storage.side_by_side import Task, side_by_side

log = logging.getLogger(__name__)

# Makes one part of the upload whose Bucket, Key and UploadId it is given; returns its entry in the list of parts.
Part = Callable[[Mapping[str, str], threading.Event], dict[str, Any]]


def in_parts(
    client: S3Client,
    create: Mapping[str, str],
    parts: Sequence[Part],
    workers: int,
    retry: Retry,
    stop: threading.Event,
) -> Any:
    """The server's answer to the completion. ``create`` holds at least Bucket and Key.

    Raises:
        AudioCompressorError: nothing was written, unless it was the answer to the completion that got lost.
    """
    uri = f"s3://{create['Bucket']}/{quote(create['Key'])}"
    with client.calls(uri) as calls:
        upload_id = told(calls.create_multipart_upload(**create), "UploadId", uri)
    upload = {"Bucket": create["Bucket"], "Key": create["Key"], "UploadId": upload_id}

    def task(part: Part) -> Task[dict[str, Any]]:
        return lambda stop: part(upload, stop)

    try:
        listed = side_by_side([task(part) for part in parts], workers, stop, uri)

        def complete() -> Any:
            with client.calls(uri) as calls:
                return calls.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})

        return retry.call(complete, what=f"completion of {uri}", cancel=stop)
    except BaseException:
        abort(client, upload, retry)
        raise


def abort(client: S3Client, upload: Mapping[str, str], retry: Retry) -> bool:
    """Give up an upload (its Bucket, Key and UploadId), with a second between attempts, for a run that is being stopped
    waits for it. A failure is only logged: `in_parts` has another error to raise, and a later look finds what is left.
    """
    uri = f"s3://{upload['Bucket']}/{quote(upload['Key'])}"

    def attempt() -> None:
        with client.calls(uri) as calls:
            calls.abort_multipart_upload(**upload)

    try:
        Retry(retry.attempts, min(1.0, retry.delay_seconds)).call(attempt, what=f"abortion of {uri}")
    except AudioCompressorError as error:
        log.warning("%s: parts of an upload may be left: %s", uri, error)
        return False
    return True
