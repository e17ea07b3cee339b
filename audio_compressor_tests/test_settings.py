"""Every variable: its default, what it takes, and what a person is told when it does not."""

import os
from typing import Any

import pytest
from croniter import croniter
from dagster._utils.schedules import is_valid_cron_schedule
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from audio_compressor.errors import ConfigurationError
from audio_compressor.settings import (
    DOCUMENT_DIR_PATTERN,
    GROUPS,
    SAMPLE_RATES_HZ,
    CredentialSettings,
    Settings,
    load_settings,
)

VARIABLES = [name.upper() for group in GROUPS for name in group.model_fields]

# The table of the source document, and what the design adds to it. A blank default is a variable that is not used.
DOCUMENT_DEFAULTS = {
    "SFTP_PORT": 22,
    "SFTP_REMOTE_PATH": "/audio",
    "OUTPUT_DIR": "/data/compressed",
    "STORAGE_BACKEND": "local",
    "SFTP_DEST_PATH": "/compressed",
    "UPLOAD_RETRY_ATTEMPTS": 3,
    "UPLOAD_RETRY_DELAY": 5,
    "AWS_DEFAULT_REGION": "us-east-1",
    "SFTP_SECRETS_NAME": "sftp/audio-server",
    "SAMPLE_RATE": 16000,
    "CHANNELS": 1,
    "BITRATE": "32k",
    "AUDIO_FORMAT": "wav",
    "AUDIO_FILENAME": "StereoMix.wav",
    "METADATA_FILENAME": "Meta.xml",
    "COPY_METADATA": True,
    "SKIP_PROCESSED": True,
    "DIR_PATTERN": r"^\d{2}-\d{2}-\d{2}(-\d{2})?$",
    "MAX_FILE_SIZE_MB": 2000,
    "MAX_RETRIES": 3,
    "RETRY_DELAY": 5,
    "LOG_LEVEL": "INFO",
    "TEMP_DIR": "/tmp/audio-processing",
}
DESIGN_DEFAULTS = {
    "SETTLE_SECONDS": 60,
    "SFTP_HOST_KEY_POLICY": "accept-new",
    "SFTP_KNOWN_HOSTS": "/home/somebody/.ssh/known_hosts",
    "S3_BUCKET": "",
    "S3_PREFIX": "",
    "S3_ENDPOINT_URL": "",
    "ON_EXISTING": "timestamp",
    "FFMPEG_BINARY": "",
    "BATCH_SIZE": 25,
    "ENCODE_WORKERS": 0,
    "SCHEDULE": "0 2 * * *",
    "SCHEDULE_TIMEZONE": "UTC",
    "VERIFICATION_SCHEDULE": "0 5 * * *",
    "VERIFICATION_DAYS": 90,
    "AUDIO_STORAGE_PATH": "/app/audio_storage",
    "AUDIO_RETENTION_HOURS": 24,
    "CLEANUP_INTERVAL_MINUTES": 60,
    "DISK_WARNING_MB": 1000,
}
# Of the document on streaming renditions; AAC_CODER, HLS_SEGMENT_TYPE and what is about S3 are this project's.
TRACK_DEFAULTS = {
    "TRACKS_BUCKET": "",
    "RAW_PREFIX": "tracks/",
    "PROCESSED_PREFIX": "mwonya_audio_tracks/",
    "FAILED_PREFIX": "failedprocessing_tracks/",
    "TARGET_LUFS": -14,
    "TRUE_PEAK_DBTP": -1.5,
    "LOUDNESS_RANGE_LU": 11,
    "PEAK_POLICY": "limit",
    "AAC_CODER": "fast",
    "SEGMENT_DURATION": 10,
    "HLS_SEGMENT_TYPE": "mpegts",
    "S3_ENCRYPTION": "none",
    "S3_KMS_KEY_ID": "",
}
LIBRARY_DEFAULTS = {
    "LIBRARY_DIR": "",
    "LIBRARY_INDEX": "index.json",
    "OUTPUT_POLICY": "",
    "ARCHIVE_POLICY": "",
    "TRASH_DAYS": 7,
    "COLD_BUCKET": "",
    "COLD_PREFIX": "archive/",
    "ARCHIVE_SCHEDULE": "0 3 * * *",
    "DRILL_SCHEDULE": "0 6 * * 0",
    "DRILL_SIZE": 3,
}
DEFAULTS = {**DOCUMENT_DEFAULTS, **DESIGN_DEFAULTS, **TRACK_DEFAULTS, **LIBRARY_DEFAULTS}
CREDENTIAL_DEFAULTS = {"SFTP_USERNAME": "", "SFTP_PASSWORD": SecretStr(""), "SFTP_PRIVATE_KEY_PATH": ""}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's; only the one variable that is required."""
    for name in list(os.environ):
        if name.upper() in VARIABLES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("SFTP_HOST", "sftp.example.org")


def problems(**overrides: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**overrides)
    return list(caught.value.problems)


def problem_of(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> str:
    monkeypatch.setenv(variable, value)
    (problem,) = problems()
    return problem


# -- defaults


def test_there_are_no_other_variables() -> None:
    assert sorted(VARIABLES) == sorted(["SFTP_HOST", *DEFAULTS, *CREDENTIAL_DEFAULTS, "CATALOG_URL"])


@pytest.mark.parametrize(("variable", "default"), DEFAULTS.items())
def test_default(variable: str, default: object) -> None:
    value = getattr(load_settings(), variable.lower())
    assert value == default
    assert isinstance(value, bool) == isinstance(default, bool)


@pytest.mark.parametrize(("variable", "default"), CREDENTIAL_DEFAULTS.items())
def test_default_of_credentials(variable: str, default: object) -> None:
    assert getattr(CredentialSettings(), variable.lower()) == default


def test_the_catalogue_is_off_unless_it_is_named() -> None:
    assert CredentialSettings().catalog_url.get_secret_value() == ""


@pytest.mark.parametrize(
    ("variable", "given", "meant"),
    [("RAW_PREFIX", "in", "in/"), ("S3_ENCRYPTION", "aes256", "AES256"), ("PEAK_POLICY", "LOWER", "lower")],
)
def test_what_is_meant_is_understood(monkeypatch: pytest.MonkeyPatch, variable: str, given: str, meant: str) -> None:
    monkeypatch.setenv(variable, given)
    assert getattr(load_settings(), variable.lower()) == meant


@pytest.mark.parametrize(
    ("variable", "value"), [("RAW_PREFIX", "/in"), ("FAILED_PREFIX", "/"), ("PROCESSED_PREFIX", "tracks")]
)
def test_prefixes_that_cannot_be(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv("TRACKS_BUCKET", "music")
    monkeypatch.setenv(variable, value)
    [problem] = problems()
    assert variable in problem


def test_the_documents_pattern_is_the_default() -> None:
    assert DOCUMENT_DEFAULTS["DIR_PATTERN"] == DOCUMENT_DIR_PATTERN


@pytest.mark.parametrize("variable", [*DOCUMENT_DEFAULTS, *DESIGN_DEFAULTS, *TRACK_DEFAULTS])
def test_blank_is_unset(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    unset = load_settings()
    monkeypatch.setenv(variable, "")
    assert load_settings() == unset


def test_every_variable_has_a_meaning() -> None:
    for group in GROUPS:
        assert group.__doc__
        assert all(field.description for field in group.model_fields.values())


# -- values


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("STORAGE_BACKEND", "SFTP", "sftp"),
        ("AUDIO_FORMAT", "Opus", "opus"),
        ("ON_EXISTING", "Replace", "replace"),
        ("SFTP_HOST_KEY_POLICY", "STRICT", "strict"),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("COPY_METADATA", "False", False),
        ("SKIP_PROCESSED", "0", False),
        ("SKIP_PROCESSED", "YES", True),
        ("OUTPUT_DIR", "~/compressed", "/home/somebody/compressed"),
        ("SFTP_REMOTE_PATH", "/audio/", "/audio"),
        ("MAX_FILE_SIZE_MB", "0.5", 0.5),
        ("SCHEDULE", "30 1 * * mon-fri", "30 1 * * mon-fri"),
        ("SCHEDULE_TIMEZONE", "Europe/Berlin", "Europe/Berlin"),
    ],
)
def test_values_in_any_case(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: object) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(load_settings(), variable.lower()) == expected


@pytest.mark.parametrize("name", ["sftp_port", "Sftp_Port", "SFTP_PORT"])
def test_names_in_any_case(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "2222")
    assert load_settings().sftp_port == 2222
    monkeypatch.setenv(name, "x")
    assert problems()[0].startswith("SFTP_PORT is 'x'; allowed: integer")


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("SFTP_PORT", "0", "greater than or equal to 1"),
        ("SFTP_PORT", "65536", "less than or equal to 65535"),
        ("SFTP_REMOTE_PATH", "audio", "an absolute path on the server such as /audio"),
        ("SFTP_DEST_PATH", "/a/../b", "an absolute path on the server such as /audio"),
        ("OUTPUT_DIR", "compressed", "an absolute path such as /data/compressed"),
        ("OUTPUT_DIR", "~nobody-has-this-name/x", "an absolute path such as /data/compressed"),
        ("TEMP_DIR", ".", "an absolute path such as /data/compressed"),
        ("STORAGE_BACKEND", "ftp", "'local', 'sftp' or 's3'"),
        ("AUDIO_FORMAT", "ogg", "'wav', 'opus', 'mp3', 'm4a' or 'flac'"),
        ("ON_EXISTING", "overwrite", "'timestamp' or 'replace'"),
        ("SFTP_HOST_KEY_POLICY", "ignore", "'accept-new' or 'strict'"),
        ("LOG_LEVEL", "TRACE", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("DIR_PATTERN", "(", "a regular expression (this one: "),
        ("AUDIO_FILENAME", "a/b.wav", "a file name without a path"),
        ("METADATA_FILENAME", "..", "a file name without a path"),
        ("MAX_FILE_SIZE_MB", "0", "greater than 0"),
        ("MAX_FILE_SIZE_MB", "inf", "finite"),
        ("SETTLE_SECONDS", "-1", "greater than or equal to 0"),
        ("SETTLE_SECONDS", "inf", "finite"),
        ("LIBRARY_DIR", "recordings", "an absolute path"),
        ("LIBRARY_INDEX", "a/index.json", "a file name without a path"),
        ("TRASH_DAYS", "-1", "greater than or equal to 0"),
        ("TRASH_DAYS", "1e9", "less than or equal to 36500"),
        ("COLD_PREFIX", "/archive", "without a slash at its start"),
        ("ARCHIVE_SCHEDULE", "nightly", "five cron fields such as 0 2 * * *"),
        ("DRILL_SIZE", "-1", "greater than or equal to 0"),
        ("RETRY_DELAY", "nan", "finite"),
        ("UPLOAD_RETRY_ATTEMPTS", "0", "greater than or equal to 1"),
        ("MAX_RETRIES", "three", "integer"),
        ("COPY_METADATA", "maybe", "boolean"),
        ("CHANNELS", "3", "less than or equal to 2"),
        ("SAMPLE_RATE", "4000", "greater than or equal to 8000"),
        ("BATCH_SIZE", "0", "greater than or equal to 1"),
        ("ENCODE_WORKERS", "-1", "greater than or equal to 0"),
        ("SCHEDULE", "nightly", "five cron fields such as 0 2 * * *"),
        ("SCHEDULE", "@daily", "five cron fields such as 0 2 * * *"),
        ("SCHEDULE", "0 0 2 * * *", "five cron fields such as 0 2 * * *"),
        ("SCHEDULE", "0 2 31 2 *", "five cron fields such as 0 2 * * *"),
        ("SCHEDULE_TIMEZONE", "Middle/Earth", "a time zone of the IANA database such as UTC or Europe/Berlin"),
    ],
)
def test_what_is_refused_names_variable_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, allowed: str
) -> None:
    problem = problem_of(monkeypatch, variable, value)
    assert problem.startswith(f"{variable} is '{value}'; allowed: ")
    assert allowed in problem


def test_a_password_in_a_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(monkeypatch, "S3_ENDPOINT_URL", "https://me:pa/ss@minio:9000")
    assert problem.startswith("S3_ENDPOINT_URL is 'https://***@minio:9000'; allowed: a URL without")
    assert "ss@" not in problem


def test_a_missing_variable_is_named_with_its_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SFTP_HOST")
    missing = (
        "SFTP_HOST is not set; it is required: Host name or address of the SFTP server, source and destination of "
        "recordings; not needed for tracks (`TRACKS_BUCKET`) or a library (`LIBRARY_DIR`) alone"
    )
    assert problems() == [missing]
    monkeypatch.setenv("SFTP_HOST", "")
    assert problems() == [missing]
    monkeypatch.setenv("TRACKS_BUCKET", "music")
    assert load_settings().sftp_host == ""
    monkeypatch.delenv("TRACKS_BUCKET")
    monkeypatch.setenv("LIBRARY_DIR", "/recordings")
    assert load_settings().sftp_host == ""


def test_all_problems_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SFTP_HOST")
    wrong = {
        "SFTP_PORT": "ssh",
        "OUTPUT_DIR": "here",
        "STORAGE_BACKEND": "tape",
        "SAMPLE_RATE": "7",
        "BITRATE": "fast",
        "SCHEDULE": "never",
        "DIR_PATTERN": "[",
    }
    for variable, value in wrong.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    found = {problem.split(" ")[0]: problem for problem in caught.value.problems}
    assert set(found) == {"SFTP_HOST", *wrong}
    message = str(caught.value)
    assert message.startswith("The configuration has 8 problems:\n")
    assert all(f"  - {problem}" in message for problem in found.values())


def test_overrides_win_and_are_told_in_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_SIZE", "3")
    assert load_settings(batch_size=7).batch_size == 7
    assert problems(batch_size=0) == ["BATCH_SIZE is '0'; allowed: greater than or equal to 1"]


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().batch_size = 1  # type: ignore[misc]


# -- rules across variables


def test_an_endpoint_without_a_scheme_is_refused_here_and_not_by_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem_of(monkeypatch, "S3_ENDPOINT_URL", "minio:9000") == (
        "S3_ENDPOINT_URL is 'minio:9000'; allowed: a URL such as https://minio.example.org:9000"
    )


def test_s3_needs_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem_of(monkeypatch, "STORAGE_BACKEND", "S3") == (
        "S3_BUCKET is ''; allowed: the name of a bucket, since STORAGE_BACKEND is s3"
    )
    monkeypatch.setenv("S3_BUCKET", "recordings")
    assert load_settings().s3_bucket == "recordings"


@pytest.mark.parametrize("audio_format", ["wav", "opus", "mp3", "m4a", "flac"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 96000, 192000])
def test_sample_rates_are_those_of_the_format(monkeypatch: pytest.MonkeyPatch, audio_format: str, rate: int) -> None:
    monkeypatch.setenv("AUDIO_FORMAT", audio_format)
    rates = SAMPLE_RATES_HZ.get(audio_format)
    if rates is None or rate in rates:
        monkeypatch.setenv("SAMPLE_RATE", str(rate))
        assert load_settings().sample_rate == rate
    else:
        problem = problem_of(monkeypatch, "SAMPLE_RATE", str(rate))
        assert problem.endswith(f"with AUDIO_FORMAT={audio_format} one of {', '.join(map(str, rates))}")


def test_a_wrong_format_is_one_problem_not_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_RATE", "44100")
    assert problem_of(monkeypatch, "AUDIO_FORMAT", "ogg").startswith("AUDIO_FORMAT is 'ogg'")


@pytest.mark.parametrize(
    ("text", "kbps"),
    [("32k", 32), ("32K", 32), ("32000", 32), ("0.5m", 500), ("6k", 6), ("512k", 512), ("12.5k", 12.5)],
)
def test_bitrates(monkeypatch: pytest.MonkeyPatch, text: str, kbps: float) -> None:
    monkeypatch.setenv("BITRATE", text)
    assert load_settings().bitrate_kbps == kbps


@pytest.mark.parametrize("text", ["32", "5k", "513k", "1m", "-32k", "32kbps", "k", "1e3k"])
def test_bitrates_that_no_encoder_would_take(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert "6k to 512k" in problem_of(monkeypatch, "BITRATE", text)


def test_a_megabyte_is_a_million_bytes() -> None:
    assert load_settings(max_file_size_mb=0.5).max_file_size_bytes == 500_000
    assert load_settings().max_file_size_bytes == 2_000_000_000


def test_encoders_are_as_many_as_cpus_unless_said_otherwise() -> None:
    assert load_settings().encoders == len(os.sched_getaffinity(0))
    assert load_settings(encode_workers=3).encoders == 3


@given(
    st.lists(st.sampled_from(["*", "*/5", "0", "2", "31", "1-5", "1,15", "7", "mon", "x", ""]), min_size=4, max_size=6)
)
@settings(deadline=None)
def test_every_schedule_that_is_taken_can_be_run_by_dagster(fields: list[str]) -> None:
    text = " ".join(fields)
    try:
        schedule = load_settings(schedule=text).schedule
    except ConfigurationError:
        assert len(text.split()) != 5 or not croniter.is_valid(text, strict=True)
    else:
        assert is_valid_cron_schedule(schedule)


# -- secrets

SECRET = "correct-horse-7491"


def test_a_password_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SFTP_PASSWORD", "SFTP_USERNAME", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, SECRET)
    for variable in [*DOCUMENT_DEFAULTS, *DESIGN_DEFAULTS]:
        if variable not in {"SFTP_SECRETS_NAME", "AWS_DEFAULT_REGION", "S3_PREFIX", "S3_ENDPOINT_URL", "FFMPEG_BINARY"}:
            monkeypatch.setenv(variable, "/wrong/..")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert len(caught.value.problems) > 20
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_password_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", SECRET)
    credentials = CredentialSettings()
    assert credentials.sftp_password.get_secret_value() == SECRET
    assert SECRET not in f"{credentials} {credentials!r} {credentials.model_dump()} {credentials.model_dump_json()}"
    assert not set(CredentialSettings.model_fields) & set(Settings.model_fields)
    assert SECRET not in repr(load_settings())
