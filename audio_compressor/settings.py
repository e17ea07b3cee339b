"""Every environment variable of Audio Compressor: name, type, default, meaning and what is allowed.

`docs/configuration.md` is generated from this module. Settings are validated together, so that one message names every
problem. Credentials are a model of their own: they are read when a connection is made, never kept in a resource.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from croniter import croniter
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from audio_compressor.errors import ConfigurationError

DOCUMENT_DIR_PATTERN = r"^\d{2}-\d{2}-\d{2}(-\d{2})?$"

AudioFormat = Literal["wav", "opus", "mp3", "m4a", "flac"]
StorageBackend = Literal["local", "sftp", "s3"]
OnExisting = Literal["timestamp", "replace"]
HostKeyPolicy = Literal["accept-new", "strict"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

# libopus: RFC 6716, section 2; LAME and MPEG: ISO/IEC 11172-3 and 13818-3, and the unofficial 2.5 extension.
SAMPLE_RATES_HZ: Mapping[str, tuple[int, ...]] = {
    "opus": (8000, 12000, 16000, 24000, 48000),
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "m4a": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
}
_BITRATE = re.compile(r"^(?P<number>\d+(?:\.\d+)?)(?P<unit>[kKmM]?)$")
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


def setting(group: str, default: Any, description: str, **limits: Any) -> Any:
    """A field of a settings model; ``group`` is its heading in docs/configuration.md."""
    return Field(default, description=description, json_schema_extra={"group": group}, **limits)


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        case_sensitive=False, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )


class Settings(_Environment):
    """Everything but the credentials."""

    # -- source
    sftp_host: str = setting(
        "Source", ..., "Host name or address of the SFTP server, source and destination", min_length=1
    )
    sftp_port: int = setting("Source", 22, "Port of the SFTP server", ge=1, le=65535)
    sftp_remote_path: str = setting("Source", "/audio", "Directory on the server that holds the recording directories")
    dir_pattern: str = setting(
        "Source", DOCUMENT_DIR_PATTERN, "Regular expression that a directory name must match to be a recording"
    )
    audio_filename: str = setting("Source", "StereoMix.wav", "Name of the audio file in each recording directory")
    metadata_filename: str = setting("Source", "Meta.xml", "Name of the metadata file in each recording directory")
    max_file_size_mb: float = setting(
        "Source",
        2000,
        "Recordings with a larger audio file are skipped, with that reason (1 MB is 1,000,000 bytes)",
        gt=0,
    )
    settle_seconds: float = setting(
        "Source", 60, "An audio file is picked up only when it has not changed for this long (seconds)", ge=0
    )

    # -- credentials that are not secret
    sftp_secrets_name: str = setting(
        "Credentials",
        "sftp/audio-server",
        "Secret in AWS Secrets Manager: JSON with `username` and `password` or `private_key`; "
        "`none`: do not ask Secrets Manager",
    )
    aws_default_region: str = setting(
        "Credentials", "us-east-1", "AWS region of the secret and of the bucket", min_length=1
    )
    sftp_host_key_policy: HostKeyPolicy = setting(
        "Credentials",
        "accept-new",
        "`accept-new` remembers the server's key at first contact and refuses a change; "
        "`strict` trusts only keys that are in `SFTP_KNOWN_HOSTS` already",
    )
    sftp_known_hosts: Path = setting(
        "Credentials", Path("~/.ssh/known_hosts"), "File of trusted host keys, in OpenSSH's format"
    )

    # -- destination
    storage_backend: StorageBackend = setting(
        "Destination", "local", "Where results go: a directory, the SFTP server, or S3"
    )
    output_dir: Path = setting(
        "Destination",
        Path("/data/compressed"),
        "Local directory of results, manifest and report; with `sftp` and `s3` also the fallback",
    )
    sftp_dest_path: str = setting(
        "Destination", "/compressed", "Directory on the SFTP server for `STORAGE_BACKEND=sftp`"
    )
    s3_bucket: str = setting("Destination", "", "Bucket for `STORAGE_BACKEND=s3`, where it is required")
    s3_prefix: str = setting("Destination", "", "What the keys in the bucket start with, such as `compressed/`")
    s3_endpoint_url: str = setting("Destination", "", "Endpoint of an S3 that is not Amazon's, such as MinIO")
    on_existing: OnExisting = setting(
        "Destination",
        "timestamp",
        "When a result of that name but with other content is already there: write a timestamped name beside it, "
        "or replace it atomically",
    )
    upload_retry_attempts: int = setting(
        "Destination", 3, "Attempts at an upload before falling back to local storage", ge=1
    )
    upload_retry_delay: float = setting(
        "Destination", 5, "Delay before the second attempt at an upload (seconds); doubles each time, with jitter", ge=0
    )

    # -- audio
    sample_rate: int = setting("Audio", 16000, "Sample rate of the compressed audio (Hz)", ge=8000, le=192000)
    channels: Annotated[int, Field(ge=1, le=2)] = setting(
        "Audio", 1, "Channels of the compressed audio: 1 mono, 2 stereo"
    )
    bitrate: str = setting(
        "Audio", "32k", "Bitrate of the compressed audio, such as `32k`; has no effect on `wav` and `flac`"
    )
    audio_format: AudioFormat = setting(
        "Audio", "wav", "Format of the compressed audio; `opus` at 32k is about 8 times smaller than `wav` at 16 kHz"
    )
    copy_metadata: bool = setting(
        "Audio", True, "Copy `METADATA_FILENAME` to the destination beside the compressed audio"
    )
    ffmpeg_binary: str = setting(
        "Audio", "", "FFmpeg to run; empty: the one that the `imageio-ffmpeg` package ships, else `ffmpeg` on the path"
    )

    # -- running
    skip_processed: bool = setting(
        "Running", True, "Skip a recording whose last success was made from the same source file (size and time)"
    )
    max_retries: int = setting("Running", 3, "Attempts at connecting and at a download", ge=1)
    retry_delay: float = setting(
        "Running", 5, "Delay before the second attempt (seconds); doubles each time, with jitter", ge=0
    )
    batch_size: int = setting("Running", 25, "Most recordings in one run", ge=1, le=1000)
    encode_workers: int = setting(
        "Running", 0, "Recordings encoded side by side in one run; 0: as many as there are CPUs", ge=0, le=256
    )
    temp_dir: Path = setting(
        "Running", Path("/tmp/audio-processing"), "Staging space; each run uses and removes its own part"
    )
    log_level: LogLevel = setting("Running", "INFO", "Least severe messages that are logged")
    schedule: str = setting("Running", "0 2 * * *", "When the nightly schedule runs (cron)")
    schedule_timezone: str = setting("Running", "UTC", "Time zone of `SCHEDULE`, such as `Europe/Berlin`")

    @field_validator(
        "log_level", "storage_backend", "audio_format", "on_existing", "sftp_host_key_policy", mode="before"
    )
    @classmethod
    def _any_case(cls, value: object, info: Any) -> object:
        if not isinstance(value, str):
            return value
        return value.upper() if info.field_name == "log_level" else value.lower()

    @field_validator("sftp_remote_path", "sftp_dest_path")
    @classmethod
    def _absolute_remote(cls, value: str) -> str:
        if not value.startswith("/") or ".." in PurePosixPath(value).parts:
            raise PydanticCustomError("path", "an absolute path on the server such as /audio")
        return str(PurePosixPath(value))

    @field_validator("audio_filename", "metadata_filename")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if "/" in value or value in {"", ".", ".."}:
            raise PydanticCustomError("name", "a file name without a path")
        return value

    @field_validator("dir_pattern")
    @classmethod
    def _regular_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise PydanticCustomError("regex", "a regular expression; {reason}", {"reason": str(error)}) from error
        return value

    @field_validator("output_dir", "temp_dir", "sftp_known_hosts")
    @classmethod
    def _absolute_local(cls, value: Path) -> Path:
        path = value.expanduser()
        if not path.is_absolute():
            raise PydanticCustomError("path", "an absolute path such as /data/compressed")
        return path

    @field_validator("bitrate")
    @classmethod
    def _bitrate(cls, value: str) -> str:
        if not _BITRATE.match(value) or not 6_000 <= _bits_per_second(value) <= 512_000:
            raise PydanticCustomError("bitrate", "6k to 512k, such as 32k or 32000")
        return value

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str) -> str:

        if len(value.split()) != 5 or not croniter.is_valid(value):
            raise PydanticCustomError("cron", "five cron fields such as 0 2 * * *")
        return value

    @field_validator("schedule_timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise PydanticCustomError("timezone", "a time zone of the IANA database such as UTC or Europe/Berlin")
        ZoneInfo(value)
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        problems = []
        if self.storage_backend == "s3" and not self.s3_bucket:
            problems.append("S3_BUCKET is not set; STORAGE_BACKEND=s3 needs the name of a bucket")
        rates = SAMPLE_RATES_HZ.get(self.audio_format)
        if rates and self.sample_rate not in rates:
            allowed = ", ".join(map(str, rates))
            problems.append(
                f"SAMPLE_RATE is '{self.sample_rate}'; with AUDIO_FORMAT={self.audio_format} allowed: {allowed}"
            )
        if problems:
            raise PydanticCustomError("together", "{problems}", {"problems": "\n".join(problems)})
        return self

    @property
    def bitrate_kbps(self) -> float:
        return _bits_per_second(self.bitrate) / 1000

    @property
    def max_file_size_bytes(self) -> int:
        return int(self.max_file_size_mb * 1_000_000)

    @property
    def encoders(self) -> int:
        """``ENCODE_WORKERS``, with 0 resolved to the CPUs that this process may use."""
        return self.encode_workers or len(os.sched_getaffinity(0))


class CredentialSettings(_Environment):
    """Credentials from the environment, used when Secrets Manager has none."""

    sftp_username: str = setting("Credentials", "", "User name, when it is not in Secrets Manager")
    sftp_password: SecretStr = setting("Credentials", SecretStr(""), "Password, when it is not in Secrets Manager")
    sftp_private_key_path: str = setting(
        "Credentials", "", "File of an unencrypted private key in OpenSSH or PEM format, instead of a password"
    )


def load_settings(**overrides: Any) -> Settings:
    """Read and validate the environment.

    Raises:
        ConfigurationError: naming every variable that is missing or has a value that is not allowed.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError(_problems(error, overrides)) from None


def _problems(error: ValidationError, overrides: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    environment = {name.upper(): value for name, value in {**os.environ, **overrides}.items()}
    for item in error.errors(include_url=False, include_context=True):
        if not item["loc"]:
            problems.extend(item["msg"].split("\n"))
            continue
        variable = str(item["loc"][0]).upper()
        if item["type"] == "missing":
            description = Settings.model_fields[variable.lower()].description
            problems.append(f"{variable} is not set; it is required: {description}")
        else:
            problems.append(f"{variable} is '{environment.get(variable, '')}'; allowed: {_allowed(item['msg'])}")
    return problems


def _allowed(message: str) -> str:
    return message.removeprefix("Input should be ").removeprefix("a valid ")


def _bits_per_second(bitrate: str) -> int:
    match = _BITRATE.match(bitrate)
    if match is None:
        raise ValueError(bitrate)
    return int(float(match["number"]) * _UNITS[match["unit"].lower()])
