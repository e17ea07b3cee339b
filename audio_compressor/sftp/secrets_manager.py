"""Asks AWS Secrets Manager for one secret, and tells what a refusal means: none for us, not allowed, or not now."""

import logging
from dataclasses import dataclass
from typing import Any

from audio_compressor.errors import ConnectionLostError, CredentialsError, TimedOutError, TransientError

# At DEBUG, which somebody may have set for everything, it logs what AWS answers, and here that is the secret.
logging.getLogger("botocore.parsers").setLevel(logging.INFO)

# Outside of AWS nothing answers; a run must not wait a minute to find that out.
_CONNECT_SECONDS = 3
_READ_SECONDS = 5

_DENIED = {"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"}
_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "LimitExceededException",
    "SlowDown",
}
_PERMISSION = "secretsmanager:GetSecretValue"


@dataclass(frozen=True)
class NoSecret:
    """Why there is none, how loudly to say so (a level of ``logging``), and the error to raise if it may pass."""

    reason: str
    level: int
    may_pass: TransientError | None = None


def fetch_secret(name: str, region: str) -> str | NoSecret:
    """The secret's text. Raises CredentialsError when it is there but binary."""
    # Imported here, because boto3 takes half a second and many installations never use it.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"total_max_attempts": 2})
    try:
        client = boto3.session.Session().client("secretsmanager", region_name=region, config=config)
        try:
            answer = client.get_secret_value(SecretId=name)
        finally:
            client.close()
    except ClientError as error:
        return _refused(error.response, name)
    except (BotoCoreError, ValueError) as error:
        return _not_asked(error, name)
    text = answer.get("SecretString")
    if text is None:
        raise CredentialsError(
            f"AWS Secrets Manager secret '{name}' is binary; it must be a JSON object with username and password"
        )
    return str(text)


def _refused(response: Any, name: str) -> NoSecret:
    code = str(response.get("Error", {}).get("Code", "an error without a code"))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "ResourceNotFoundException":
        return NoSecret(f"there is no such secret ({code})", logging.INFO)
    if code in _DENIED:
        return NoSecret(
            f"this AWS account may not read it ({code}); grant it {_PERMISSION} on this secret", logging.WARNING
        )
    if code in _THROTTLED or status == 429 or status >= 500:
        error = ConnectionLostError(
            f"AWS Secrets Manager could not give the secret '{name}' just now ({code}, HTTP {status})"
        )
        return NoSecret(f"it fails at the moment ({code}, HTTP {status})", logging.WARNING, error)
    return NoSecret(f"AWS refuses ({code}); check the AWS credentials and SFTP_SECRETS_NAME", logging.WARNING)


def _not_asked(error: Exception, name: str) -> NoSecret:
    from botocore import exceptions

    kind = type(error).__name__
    if isinstance(error, exceptions.NoCredentialsError):
        return NoSecret(f"there are no AWS credentials ({kind})", logging.INFO)
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError):
        late = TimedOutError(f"AWS Secrets Manager did not answer in time when asked for the secret '{name}' ({kind})")
        return NoSecret(f"AWS did not answer in time ({kind})", logging.WARNING, late)
    if isinstance(error, exceptions.EndpointConnectionError):
        return NoSecret(f"AWS cannot be reached from here ({kind})", logging.INFO)
    if isinstance(error, exceptions.HTTPClientError):
        broken = ConnectionLostError(f"The connection to AWS Secrets Manager broke while reading '{name}' ({kind})")
        return NoSecret(f"the connection to AWS broke ({kind})", logging.WARNING, broken)
    return NoSecret(f"AWS cannot be asked ({kind}); check the AWS settings", logging.WARNING)
