"""Every environment variable of Audio Compressor: name, type, default, meaning and what is allowed.

`docs/configuration.md` is generated from this module. The groups are plain models, so that the Dagster resources can be
made of the same fields; `Settings` reads all of them from the environment. Credentials are a model of their own: they
are read when a connection is made, never kept in a resource.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from croniter import croniter
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic import ValidationInfo as Info
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from audio_compressor.errors import ConfigurationError
from audio_compressor.tracks.layout import Prefixes

DOCUMENT_DIR_PATTERN = r"^\d{2}-\d{2}-\d{2}(-\d{2})?$"

# libopus: RFC 6716, section 2. LAME: ISO/IEC 11172-3 and 13818-3, and the unofficial MPEG 2.5. AAC: ISO/IEC 14496-3.
SAMPLE_RATES_HZ: Mapping[str, tuple[int, ...]] = {
    "opus": (8000, 12000, 16000, 24000, 48000),
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "m4a": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
}
_BITRATE = re.compile(r"^(?P<number>\d+(?:\.\d+)?)(?P<unit>[kKmM]?)$")
_ENDPOINT = re.compile(r"https?://[^/\s]")
_BITRATE_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


def _refuse(allowed: str) -> PydanticCustomError:
    return PydanticCustomError("not_allowed", "{allowed}", {"allowed": allowed})


def _local_path(value: object) -> str:
    try:
        path = Path(str(value)).expanduser()
    except RuntimeError:  # ~ or ~user of somebody without a home
        path = Path(str(value))
    if not path.is_absolute():
        raise _refuse("an absolute path such as /data/compressed")
    return str(path)


def _local_path_or_none(value: object) -> str:
    return _local_path(value) if value else ""


def _cron(value: str) -> str:
    if len(value.split()) != 5 or not croniter.is_valid(value, strict=True):
        raise _refuse("five cron fields such as 0 2 * * *")
    return value


def _remote_path(value: str) -> str:
    if not value.startswith("/") or ".." in PurePosixPath(value).parts:
        raise _refuse("an absolute path on the server such as /audio")
    return str(PurePosixPath(value))


def _file_name(value: str) -> str:
    if "/" in value or value in {"", ".", ".."}:
        raise _refuse("a file name without a path")
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _encryption(value: object) -> object:
    return {"none": "none", "aes256": "AES256", "aws:kms": "aws:kms"}.get(str(value).lower(), value)


def _prefix(value: str) -> str:
    if not value.strip("/") or value.startswith("/"):
        raise _refuse("what keys start with, such as tracks/, not empty and without a slash at its start")
    return f"{value.rstrip('/')}/"


# Text, because Dagster's resource configuration knows no paths.
LocalPath = Annotated[str, BeforeValidator(_local_path)]
RemotePath = Annotated[str, AfterValidator(_remote_path)]
LocalPathOrNone = Annotated[str, BeforeValidator(_local_path_or_none)]
FileName = Annotated[str, AfterValidator(_file_name)]
Cron = Annotated[str, AfterValidator(_cron)]
Prefix = Annotated[str, AfterValidator(_prefix)]


class SftpSettings(BaseModel):
    """SFTP server"""

    sftp_host: str = Field(
        "",
        description="Host name or address of the SFTP server, source and destination of recordings; not needed for "
        "tracks (`TRACKS_BUCKET`) or a library (`LIBRARY_DIR`) alone",
        validate_default=True,
    )
    sftp_port: int = Field(22, description="Port of the SFTP server", ge=1, le=65535)
    sftp_secrets_name: str = Field(
        "sftp/audio-server",
        description="Secret in AWS Secrets Manager: JSON with `username` and `password` or `private_key`; "
        "`none`: do not ask Secrets Manager",
    )
    aws_default_region: str = Field("us-east-1", description="AWS region of the secret and of the bucket", min_length=1)
    sftp_host_key_policy: Annotated[Literal["accept-new", "strict"], BeforeValidator(_lower)] = Field(
        "accept-new",
        description="`accept-new` remembers the server's key at first contact and refuses a change; "
        "`strict` trusts only keys that are in `SFTP_KNOWN_HOSTS` already",
    )
    sftp_known_hosts: LocalPath = Field(
        "~/.ssh/known_hosts", description="File of trusted host keys, in OpenSSH's format", validate_default=True
    )

    @field_validator("sftp_host")
    @classmethod
    def _host_where_needed(cls, value: str, info: Info) -> str:
        if not value and not info.data.get("tracks_bucket") and not info.data.get("library_dir"):
            raise PydanticCustomError("missing", "Field required")
        return value


class SourceSettings(BaseModel):
    """Source"""

    sftp_remote_path: RemotePath = Field(
        "/audio", description="Directory on the server that holds the recording directories"
    )
    dir_pattern: str = Field(
        DOCUMENT_DIR_PATTERN, description="Regular expression that a directory name must match to be a recording"
    )
    audio_filename: FileName = Field("StereoMix.wav", description="Name of the audio file in each recording directory")
    metadata_filename: FileName = Field("Meta.xml", description="Name of the metadata file in each recording directory")
    max_file_size_mb: float = Field(
        2000,
        description="Recordings with a larger audio file are skipped, with that reason (1 MB is 1,000,000 bytes)",
        gt=0,
    )
    settle_seconds: float = Field(
        60, description="An audio file is picked up only when it has not changed for this long (seconds)", ge=0
    )

    @field_validator("dir_pattern")
    @classmethod
    def _regular_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise _refuse(f"a regular expression (this one: {error})") from error
        return value

    @property
    def max_file_size_bytes(self) -> int:
        return int(self.max_file_size_mb * 1_000_000)


class StorageSettings(BaseModel):
    """Destination"""

    storage_backend: Annotated[Literal["local", "sftp", "s3"], BeforeValidator(_lower)] = Field(
        "local", description="Where results go: a local directory, the SFTP server, or a bucket"
    )
    output_dir: LocalPath = Field(
        "/data/compressed",
        description="Local directory of results, manifest and report; with `sftp` and `s3` also the fallback",
    )
    output_policy: LocalPathOrNone = Field(
        "",
        description="JSON file with the tiers by which results in `OUTPUT_DIR` are aged, as `ARCHIVE_POLICY` is for a "
        "library, with `STORAGE_BACKEND=local`; empty: they are kept as they are",
    )
    sftp_dest_path: RemotePath = Field(
        "/compressed", description="Directory on the SFTP server for `STORAGE_BACKEND=sftp`"
    )
    s3_bucket: str = Field(
        "", description="Bucket for `STORAGE_BACKEND=s3`, where it is required", validate_default=True
    )
    s3_prefix: str = Field("", description="What the keys in the bucket start with, such as `compressed/`")
    s3_endpoint_url: str = Field("", description="Endpoint of an S3 that is not Amazon's, such as MinIO")
    on_existing: Annotated[Literal["timestamp", "replace"], BeforeValidator(_lower)] = Field(
        "timestamp",
        description="When a result of that name but with other content is there already: write a timestamped name "
        "beside it, or replace it atomically",
    )
    upload_retry_attempts: int = Field(
        3, description="Attempts at an upload before it falls back to local storage", ge=1
    )
    upload_retry_delay: float = Field(
        5, description="Delay before the second attempt at an upload (seconds); doubles each time, with jitter", ge=0
    )

    @field_validator("s3_endpoint_url")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        if "@" in value:
            raise _refuse("a URL without a user name or password, which would be shown; boto3 finds credentials itself")
        if value and not _ENDPOINT.match(value):
            raise _refuse("a URL such as https://minio.example.org:9000")
        return value

    @field_validator("output_policy")
    @classmethod
    def _policy_of_local_files(cls, value: str, info: Info) -> str:
        if value and info.data.get("storage_backend") != "local":
            raise _refuse("nothing, since STORAGE_BACKEND is not local")
        return value

    @field_validator("s3_bucket")
    @classmethod
    def _bucket_where_needed(cls, value: str, info: Info) -> str:
        if not value and info.data.get("storage_backend") == "s3":
            raise _refuse("the name of a bucket, since STORAGE_BACKEND is s3")
        return value


class AudioSettings(BaseModel):
    """Audio"""

    audio_format: Annotated[Literal["wav", "opus", "mp3", "m4a", "flac"], BeforeValidator(_lower)] = Field(
        "wav", description="Format of the compressed audio; `opus` at 32k is 8 times smaller than `wav` at 16 kHz"
    )
    sample_rate: int = Field(16000, description="Sample rate of the compressed audio (Hz)", ge=8000, le=192000)
    channels: int = Field(1, description="Channels of the compressed audio: 1 mono, 2 stereo", ge=1, le=2)
    bitrate: str = Field(
        "32k", description="Bitrate of the compressed audio, such as `32k`; has no effect on `wav` and `flac`"
    )
    copy_metadata: bool = Field(
        True, description="Copy `METADATA_FILENAME` to the destination beside the compressed audio"
    )
    ffmpeg_binary: str = Field(
        "", description="FFmpeg to run; empty: the one in the `imageio-ffmpeg` package, else `ffmpeg` on the path"
    )

    @field_validator("sample_rate")
    @classmethod
    def _rate_of_the_format(cls, value: int, info: Info) -> int:
        audio_format = info.data.get("audio_format", "")
        rates = SAMPLE_RATES_HZ.get(audio_format)
        if rates and value not in rates:
            raise _refuse(f"with AUDIO_FORMAT={audio_format} one of {', '.join(map(str, rates))}")
        return value

    @field_validator("bitrate")
    @classmethod
    def _bitrate(cls, value: str) -> str:
        if not _BITRATE.match(value) or not 6_000 <= bits_per_second(value) <= 512_000:
            raise _refuse("6k to 512k, such as 32k or 32000")
        return value

    @property
    def bitrate_kbps(self) -> float:
        return bits_per_second(self.bitrate) / 1000


class TrackSettings(BaseModel):
    """Tracks"""

    tracks_bucket: str = Field(
        "", description="Bucket with uploaded tracks and their renditions; empty: there are no tracks"
    )
    raw_prefix: Prefix = Field("tracks/", description="What the keys of uploaded tracks start with")
    processed_prefix: Prefix = Field(
        "mwonya_audio_tracks/", description="Where each track gets a folder of its own for its renditions"
    )
    failed_prefix: Prefix = Field(
        "failedprocessing_tracks/", description="Where tracks that failed are copied to, each with the reason beside it"
    )
    target_lufs: float = Field(
        -14, description="Integrated loudness that every track is brought to (LUFS, EBU R 128)", ge=-40, le=-5
    )
    true_peak_dbtp: float = Field(-1.5, description="Highest true peak of a rendition (dBTP)", ge=-9, le=0)
    loudness_range_lu: float = Field(
        11,
        description="A wider loudness range is reported, and evened out with `PEAK_POLICY=dynamic` (LU)",
        ge=1,
        le=50,
    )
    peak_policy: Annotated[Literal["limit", "lower", "dynamic"], BeforeValidator(_lower)] = Field(
        "limit",
        description="Where the gain would take peaks over the limit: limit the peaks, leave the track at a lower "
        "loudness, or even it out with loudnorm's dynamic mode",
    )
    aac_coder: Annotated[Literal["fast", "twoloop"], BeforeValidator(_lower)] = Field(
        "fast", description="How FFmpeg's AAC encoder decides; `twoloop` takes twice the time and measures no better"
    )
    segment_duration: float = Field(
        10, description="Length of an HLS segment (seconds); 6 is what Apple recommends", ge=1, le=60
    )
    hls_segment_type: Annotated[Literal["mpegts", "fmp4"], BeforeValidator(_lower)] = Field(
        "mpegts", description="MPEG-TS, which every player knows, or fragmented MP4, which is smaller"
    )
    s3_encryption: Annotated[Literal["none", "AES256", "aws:kms"], BeforeValidator(_encryption)] = Field(
        "none", description="Server-side encryption that is asked for of what is written for tracks"
    )
    s3_kms_key_id: str = Field("", description="Key for `S3_ENCRYPTION=aws:kms`; empty: the account's own for S3")


class RunningSettings(BaseModel):
    """Running"""

    skip_processed: bool = Field(
        True, description="Skip a recording whose last success was made from the same source file (size and time)"
    )
    max_retries: int = Field(3, description="Attempts at connecting and at a download", ge=1)
    retry_delay: float = Field(
        5, description="Delay before the second attempt (seconds); doubles each time, with jitter", ge=0
    )
    batch_size: int = Field(25, description="Most recordings, or tracks, in one run", ge=1, le=1000)
    encode_workers: int = Field(
        0,
        description="Recordings encoded side by side in one run, and half as many tracks (each has three renditions); "
        "0: as many as there are CPUs",
        ge=0,
        le=256,
    )
    temp_dir: LocalPath = Field(
        "/tmp/audio-processing", description="Staging space; each run uses and removes its own part"
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(
        "INFO", description="Least severe messages that are logged"
    )
    schedule: Cron = Field("0 2 * * *", description="When the nightly schedule runs (cron)")
    schedule_timezone: str = Field("UTC", description="Time zone of the schedules, such as `Europe/Berlin`")
    verification_schedule: Cron = Field(
        "0 5 * * *",
        description="When stored files are compared with their receipts, replaced tracks removed, and storage reported "
        "on (cron)",
    )
    verification_days: int = Field(
        90, description="Each stored file is looked at once in so many of these nights; 0: never", ge=0
    )

    @field_validator("schedule_timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise _refuse("a time zone of the IANA database such as UTC or Europe/Berlin")
        return value

    @property
    def encoders(self) -> int:
        """``ENCODE_WORKERS``, with 0 resolved to the CPUs that this process may use."""
        return self.encode_workers or len(os.sched_getaffinity(0))


class LibrarySettings(BaseModel):
    """Library"""

    library_dir: LocalPathOrNone = Field(
        "", description="Directory of WebM recordings that are aged by tiers; empty: there is none"
    )
    library_index: FileName = Field(
        "index.json", description="Master index in `LIBRARY_DIR` that is kept up to date, where there is one"
    )
    archive_policy: LocalPathOrNone = Field(
        "",
        description="JSON file with the tiers; empty: untouched for 7 days, then Opus 96k, from 30 days Opus 64k or, "
        "with `COLD_BUCKET`, cold storage",
    )
    trash_days: float = Field(
        7,
        description="What was replaced or deleted stays in the library's trash for so long (days); 0: not at all",
        ge=0,
        le=36_500,
    )
    cold_bucket: str = Field("", description="Bucket for cold storage; its endpoint is `S3_ENDPOINT_URL`")
    cold_prefix: Prefix = Field("archive/", description="What the keys in cold storage start with")
    archive_schedule: Cron = Field("0 3 * * *", description="When what is due in the library is archived (cron)")
    drill_schedule: Cron = Field(
        "0 6 * * 0",
        description="When some recordings are fetched from cold storage, to see whether they come back (cron)",
    )
    drill_size: int = Field(
        3,
        description="So many recordings, drawn by lot, and what was lost or could not be looked at the last time; "
        "0: no drill",
        ge=0,
        le=1000,
    )


class RetentionSettings(BaseModel):
    """Retention and space"""

    audio_storage_path: LocalPath = Field(
        "/app/audio_storage", description="Directory of audio that is handed in and kept only for processing"
    )
    audio_retention_hours: float = Field(
        24, description="Such audio is deleted when its work has completed or failed this long ago (hours)", ge=0
    )
    cleanup_interval_minutes: int = Field(
        60, description="How often it is looked for what may be deleted (minutes)", ge=1, le=10_080
    )
    disk_warning_mb: float = Field(
        1000, description="Less free space than this is logged and shown (1 MB is 1,000,000 bytes)", ge=0
    )

    @property
    def disk_warning_bytes(self) -> int:
        return int(self.disk_warning_mb * 1_000_000)


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        case_sensitive=False,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


# The last ones are read first: whether there are tracks or a library decides what else is required.
class Settings(
    _Environment,
    RetentionSettings,
    RunningSettings,
    AudioSettings,
    StorageSettings,
    SourceSettings,
    SftpSettings,
    LibrarySettings,
    TrackSettings,
):
    """Everything but the credentials, from the environment."""


class CredentialSettings(_Environment):
    """Credentials"""

    sftp_username: str = Field("", description="User name, when it is not in Secrets Manager")
    sftp_password: SecretStr = Field(SecretStr(""), description="Password, when it is not in Secrets Manager")
    sftp_private_key_path: str = Field(
        "", description="File of an unencrypted private key in OpenSSH or PEM format, instead of a password"
    )
    catalog_url: SecretStr = Field(
        SecretStr(""),
        description="Database with the table `Uploads`: `postgresql://…`, `mysql+pymysql://…` or `sqlite:////…`; "
        "empty: what lies in the bucket is all there is to know",
    )


# In a URL.
_USER_INFO = re.compile("//.*@")

GROUPS: tuple[type[BaseModel], ...] = (
    SftpSettings,
    CredentialSettings,
    SourceSettings,
    StorageSettings,
    AudioSettings,
    TrackSettings,
    RunningSettings,
    LibrarySettings,
    RetentionSettings,
)


def load_settings(**overrides: Any) -> Settings:
    """Read and validate the environment; ``overrides`` win over it.

    Raises:
        ConfigurationError: naming every variable that is missing or has a value that is not allowed.
    """
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError([_problem(item) for item in error.errors(include_url=False)]) from None
    Prefixes(settings.raw_prefix, settings.processed_prefix, settings.failed_prefix)
    return settings


def _problem(item: Any) -> str:
    field = str(item["loc"][0]).lower()
    variable = field.upper()
    if item["type"] == "missing":
        return f"{variable} is not set; it is required: {Settings.model_fields[field].description}"
    allowed = str(item["msg"]).removeprefix("Input should be ").removeprefix("a valid ")
    given = _USER_INFO.sub("//***@", str(item["input"]))
    return f"{variable} is '{given}'; allowed: {allowed}"


def bits_per_second(bitrate: str) -> int:
    """Of ``32k``, ``1.5M`` or ``32000``. Raises ValueError for anything else."""
    match = _BITRATE.match(bitrate)
    if match is None:
        raise ValueError(bitrate)
    return int(float(match["number"]) * _BITRATE_UNITS[match["unit"].lower()])
