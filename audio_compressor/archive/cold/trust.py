"""Whether the checksums of a store are worth something: a store may keep and tell whatever it is given.

So it is given a wrong one. A store that takes it has not compared, and nothing is believed of what it tells.
"""

import hashlib
import logging
import secrets
import threading

from audio_compressor.errors import StorageError
from audio_compressor.retries import Retry
from audio_compressor.storage.s3_body import as_base64
from audio_compressor.storage.s3_client import OtherChecksumError, S3Client, UnsupportedError
from audio_compressor.storage.s3_objects import S3Objects
from audio_compressor.storage.s3_writer import Encryption

log = logging.getLogger(__name__)

_CONTENT, _OTHER_CONTENT = b"probe", b"another"


def probe_key(prefix: str) -> str:
    """Of an object that nobody else writes at this moment."""
    return f"{prefix}.probe-{secrets.token_hex(8)}"


class Trust:
    """In one store; may be used by several threads. The store is tried once."""

    def __init__(self, client: S3Client, bucket: str, prefix: str, retry: Retry, encryption: Encryption) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._retry = retry
        self._encryption = encryption
        self._objects = S3Objects(client, bucket, retry, workers=1)
        self._compares: bool | None = None
        self._trying = threading.Lock()

    def compares_checksums(self, cancel: threading.Event) -> bool:
        """Raises AudioCompressorError: it could not be found out, since nothing can be written there now."""
        with self._trying:
            if self._compares is None:
                self._compares = self._try(cancel)
                if not self._compares:
                    log.warning(
                        "%s takes what has not the checksum that comes with it; all that is archived is read back",
                        self._objects.uri(self._prefix),
                    )
            return self._compares

    def _try(self, cancel: threading.Event) -> bool:
        key = probe_key(self._prefix)
        wrong = as_base64(hashlib.sha256(_OTHER_CONTENT).hexdigest())

        def attempt() -> bool:
            try:
                with self._client.calls(self._objects.uri(key)) as client:
                    client.put_object(
                        Bucket=self._bucket,
                        Key=key,
                        Body=_CONTENT,
                        ChecksumSHA256=wrong,
                        **self._encryption.parameters(),
                    )
            except OtherChecksumError:
                return True
            except UnsupportedError:
                return False
            self._objects.remove([key], cancel)
            return False

        try:
            return self._retry.call(attempt, what=self._objects.uri(key), cancel=cancel)
        except StorageError as error:  # refused, and nobody knows why: no proof that it was for the checksum
            log.warning("%s", error)
            return False
