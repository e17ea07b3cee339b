"""The generated page says what the settings do."""

import json
import re

import pytest

from audio_compressor.reference import PATH, configuration_page, policies
from audio_compressor.settings import GROUPS, CredentialSettings, Settings, load_settings


def rows() -> dict[str, list[str]]:
    """The cells of each variable's row."""
    found: dict[str, list[str]] = {}
    for line in configuration_page().splitlines():
        if match := re.match(r"\| `([A-Z0-9_]+)` \|", line):
            assert match[1] not in found
            found[match[1]] = [cell.strip() for cell in line.strip("|").split(" | ")]
    return found


def test_the_page_is_not_stale() -> None:
    assert PATH.read_text() == configuration_page(), "docs/configuration.md is stale; run `make docs` and commit it"


@pytest.mark.parametrize("name", ["tracks-policy.json", "archive-policy.json"])
def test_the_policies_are_not_stale(name: str) -> None:
    assert PATH.with_name(name).read_text() == policies()[name], f"docs/{name} is stale; run `make docs` and commit it"


def test_the_policies_are_for_the_default_prefixes() -> None:
    for policy, settings in (
        ("tracks-policy.json", ("raw_prefix", "processed_prefix", "failed_prefix")),
        ("archive-policy.json", ("cold_prefix",)),
    ):
        statements = json.loads(policies()[policy])["Statement"]
        below = {name for each in statements if "/" in (name := each["Resource"].partition(":::")[2])}
        assert below == {f"YOUR-BUCKET/{Settings.model_fields[name].default}*" for name in settings}


def test_every_variable_has_one_row_with_four_cells() -> None:
    variables = [name.upper() for group in GROUPS for name in group.model_fields]
    assert list(rows()) == ["DAGSTER_HOME", *variables]
    assert {len(cells) for cells in rows().values()} == {4}
    assert all(all(cells) for cells in rows().values())


def test_each_group_is_a_section() -> None:
    headings = re.findall(r"^## (.*)$", configuration_page(), re.MULTILINE)
    assert headings == ["Dagster", *(group.__doc__ for group in GROUPS)]


def test_the_defaults_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting every variable to what the page says changes nothing."""
    for variable in [*Settings.model_fields, *CredentialSettings.model_fields]:
        monkeypatch.delenv(variable.upper(), raising=False)
    monkeypatch.setenv("SFTP_HOST", "sftp.example.org")
    defaults, no_credentials = load_settings(), CredentialSettings()
    required = []
    for variable, (_, default, _, _) in rows().items():
        if default == "required":
            required.append(variable)
        elif variable != "SFTP_HOST":  # without which there must be tracks
            monkeypatch.setenv(variable, "" if default == "empty" else default.strip("`"))
    assert required == ["DAGSTER_HOME"]
    assert load_settings() == defaults
    assert CredentialSettings() == no_credentials


@pytest.mark.parametrize(
    ("variable", "allowed"),
    [
        ("SFTP_HOST", "text"),
        ("SFTP_PORT", "whole number, 1 to 65535"),
        ("MAX_RETRIES", "whole number, 1 or more"),
        ("RETRY_DELAY", "number, 0 or more"),
        ("MAX_FILE_SIZE_MB", "number above 0"),
        ("COPY_METADATA", "`true`, `false`"),
        ("STORAGE_BACKEND", "`local`, `sftp`, `s3`"),
        ("SFTP_KNOWN_HOSTS", "an absolute path"),
        ("SFTP_REMOTE_PATH", "an absolute path on the server"),
        ("DIR_PATTERN", "a regular expression"),
        ("AUDIO_FILENAME", "a file name without a path"),
        ("BITRATE", "6k to 512k, such as 32k or 32000"),
        ("SCHEDULE", "five cron fields such as 0 2 * * *"),
    ],
)
def test_what_is_allowed_comes_from_the_field(variable: str, allowed: str) -> None:
    assert rows()[variable][2] == allowed


def test_what_holds_a_password_is_marked_as_a_secret() -> None:
    assert [name for name, cells in rows().items() if "**Secret.**" in cells[3]] == ["SFTP_PASSWORD", "CATALOG_URL"]
    assert "MB is 1,000,000 bytes" in configuration_page()
    assert "`.env`" in configuration_page()
