"""What the file of a policy may say, and what is said of one that is wrong."""

from pathlib import Path
from typing import Any

import pytest

from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.policy import KEEP, Action, Policy, Tier, default_policy, load_policy, parse_policy
from audio_compressor.errors import AudioCompressorError, ConfigurationError

# The document's, as it stands there.
COMPRESSION_CONFIG = """{
  "age_threshold_days": 7,
  "target_bitrate": "96k",
  "target_format": "opus",
  "delete_originals": true,
  "verify_before_delete": true,
  "log_file": "logs/compression.log",
  "dry_run": false
}
"""
_OPUS_64 = {"after_days": 30, "action": "opus", "bitrate": "64k"}


def load(path: Path, text: str | bytes) -> Policy:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_policy(path)


def problems_of(data: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(data, "p.json")
    for problem in caught.value.problems:
        assert problem.startswith("p.json: ")
        assert problem in str(caught.value)
    return [problem.removeprefix("p.json: ") for problem in caught.value.problems]


def tier(**fields: Any) -> dict[str, Any]:
    return {**_OPUS_64, **fields}


def test_the_documents_file_is_a_policy(tmp_path: Path) -> None:
    policy = load(tmp_path / "compression_config.json", COMPRESSION_CONFIG)
    assert policy.tiers == (Tier(0, KEEP), Tier(7, Action("opus", 96)))
    assert (policy.delete_originals, policy.drop_video, policy.dry_run) == (True, False, False)
    assert policy.notes == ("'log_file' is not written; Dagster keeps the log of each run",)


def test_by_default_everything_is_as_in_the_document() -> None:
    without = [(each.after_days, str(each.action)) for each in default_policy(has_cold_storage=False).tiers]
    cold = [(each.after_days, str(each.action)) for each in default_policy(has_cold_storage=True).tiers]
    assert without == [(0, "keep"), (7, "Opus 96k"), (30, "Opus 64k")]
    assert cold == [(0, "keep"), (7, "Opus 96k"), (30, "cold storage (STANDARD_IA)")]
    assert parse_policy({}, "p.json").tiers == default_policy(has_cold_storage=False).tiers[:2]


def test_tiers() -> None:
    match = {"path": "2026/**", "language": ["de", "en"], "metadata": {"a.b": [1, True, None], "c": "x"}}
    policy = parse_policy(
        {
            "tiers": [
                tier(after_days=0.5, match=match, name="the new ones"),
                {"after_days": 90, "action": "cold", "storage_class": "DEEP_ARCHIVE"},
                {"after_days": 3650, "action": "delete", "match": {"path": ["a.webm", "b"]}},
            ],
            "drop_video": True,
        },
        "p.json",
    )
    matcher = Matcher(("2026/**",), ("de", "en"), {"a.b": (1, True, None), "c": ("x",)})
    assert policy.tiers[0] == Tier(0.5, Action("opus", 64), matcher, "the new ones")
    assert policy.tiers[1] == Tier(90, Action("cold", storage_class="DEEP_ARCHIVE"))
    assert policy.tiers[2].matcher == Matcher(("a.webm", "b"))
    assert [str(each) for each in policy.tiers] == [
        "the new ones",
        "cold storage (DEEP_ARCHIVE) from 90 days",
        "delete from 3650 days",
    ]
    assert policy.drop_video


@pytest.mark.parametrize(("bitrate", "kbps"), [("64k", 64), ("6k", 6), ("510k", 510), ("96000", 96), ("0.5M", 500)])
def test_bitrates(bitrate: str, kbps: float) -> None:
    assert parse_policy({"target_bitrate": bitrate}, "p.json").tiers[1].action.bitrate_kbps == kbps


def test_what_does_not_hold_here_is_said() -> None:
    policy = parse_policy({"verify_before_delete": False, "dry_run": True, "log_file": ""}, "p.json")
    assert policy.dry_run
    assert policy.notes == (
        "'verify_before_delete' is false; nothing is deleted unverified here",
        "'dry_run' is true: nothing is done until it is false",
    )


def test_originals_that_are_kept() -> None:
    assert not parse_policy({"delete_originals": False, "tiers": [_OPUS_64]}, "p.json").delete_originals
    [problem] = problems_of({"delete_originals": False, "tiers": [{"after_days": 9, "action": "delete"}]})
    assert problem == "'delete_originals' is false, and a tier deletes: which of them is meant?"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "it should be an object in braces"),
        ("x", "it should be an object in braces; it is 'x'"),
        ({"delete_original": True}, "'delete_original' is no part of a policy; check its spelling"),
        ({"age_threshold_days": "7"}, "'age_threshold_days' should be a valid number; it is '7'"),
        ({"age_threshold_days": True}, "'age_threshold_days' should be a valid number; it is True"),
        ({"age_threshold_days": -1}, "'age_threshold_days' should be greater than or equal to 0; it is -1"),
        ({"age_threshold_days": 1e300}, "'age_threshold_days' should be less than or equal to 36500; it is 1e+300"),
        ({"age_threshold_days": float("nan")}, "'age_threshold_days' should be a finite number; it is nan"),
        ({"age_threshold_days": None}, "'age_threshold_days' should be a valid number; it is None"),
        ({"target_bitrate": 96}, "'target_bitrate' should be a valid string; it is 96"),
        ({"target_bitrate": "96"}, "'target_bitrate' should be from 6k to 510k; it is '96'"),
        ({"target_bitrate": "fast"}, "'target_bitrate' should be from 6k to 510k; it is 'fast'"),
        ({"target_bitrate": ""}, "'target_bitrate' should be from 6k to 510k"),
        ({"target_format": "mp3"}, "'target_format' should be 'opus'; it is 'mp3'"),
        ({"delete_originals": 1}, "'delete_originals' should be a valid boolean; it is 1"),
        ({"verify_before_delete": "no"}, "'verify_before_delete' should be a valid boolean; it is 'no'"),
        ({"tiers": []}, "'tiers' is empty; leave it out for the usual ones"),
        ({"tiers": {}}, "'tiers' should be a valid list; it is {}"),
        ({"tiers": [5]}, "tier 1: it should be an object in braces; it is 5"),
        ({"tiers": [_OPUS_64], "target_bitrate": "96k"}, "'target_bitrate' says what 'tiers' say, too; leave it out"),
    ],
)
def test_a_wrong_value(data: object, problem: str) -> None:
    assert problems_of(data) == [problem]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"after_days": "30"}, "'after_days' should be a valid number; it is '30'"),
        ({"action": "burn"}, "'action' should be 'keep', 'opus', 'cold' or 'delete'; it is 'burn'"),
        ({"bitrate": ""}, "'bitrate' is missing, such as \"64k\""),
        ({"bitrate": "5k"}, "'bitrate' should be from 6k to 510k; it is '5k'"),
        ({"bitrate": "511k"}, "'bitrate' should be from 6k to 510k; it is '511k'"),
        ({"action": "delete"}, "'bitrate' means nothing for the action 'delete'; it is '64k'"),
        ({"storage_class": "GLACIER"}, "'storage_class' means nothing for the action 'opus'; it is 'GLACIER'"),
        (
            {"action": "cold", "bitrate": "", "storage_class": "glacier"},
            "'storage_class' should be one of S3's, such as STANDARD_IA, GLACIER_IR or DEEP_ARCHIVE; it is 'glacier'",
        ),
        (
            {"action": "cold", "bitrate": ""},
            "'storage_class' should be one of S3's, such as STANDARD_IA, GLACIER_IR or DEEP_ARCHIVE",
        ),
        ({"match": {"file": "x"}}, "'match.file' is no part of a policy; check its spelling"),
        ({"match": {"path": ""}}, "'match.path.0' matches nothing: it is empty"),
        (
            {"match": {"path": ["a", "/srv/b"]}},
            "'match.path.1' matches nothing: it begins with a slash; paths are below LIBRARY_DIR; it is '/srv/b'",
        ),
        (
            {"match": {"path": "a/../b"}},
            "'match.path.0' matches nothing: it leads out of LIBRARY_DIR; it is 'a/../b'",
        ),
        ({"match": {"path": 5}}, "'match.path.0' should be a valid string; it is 5"),
        (
            {"match": {"path": []}},
            "'match.path' is an empty list, which names nothing; leave it out if everything is meant",
        ),
        (
            {"match": {"language": []}},
            "'match.language' is an empty list, which names nothing; leave it out if everything is meant",
        ),
        (
            {"match": {"metadata": {"speaker": []}}},
            "'match.metadata.speaker' is an empty list, which names nothing; leave it out if everything is meant",
        ),
        ({"match": {"language": None}}, "'match.language.0' should be a valid string; it is None"),
        (
            {"match": {"metadata": {"a": {"b": 1}}}},
            "'match.metadata.a.0' should be a text, a number, true, false or null, or a list of these; it is {'b': 1}",
        ),
        (
            {"match": {"metadata": {"a": float("nan")}}},
            "'match.metadata.a.0' should be a text, a number, true, false or null, or a list of these; it is nan",
        ),
        ({"name": "a\x1b[2Jb"}, "'name' holds control or invisible characters; it is 'a\\x1b[2Jb'"),
        ({"name": "\ud800"}, "'name' holds control or invisible characters; it is '\\ud800'"),
    ],
)
def test_a_wrong_value_in_a_tier(fields: dict[str, Any], problem: str) -> None:
    assert problems_of({"tiers": [_OPUS_64, tier(**fields)]}) == [f"tier 2: {problem}"]


def test_all_problems_are_told_at_once() -> None:
    data = {
        "age_threshold_days": "x",
        "colour": "red",
        "delete_originals": False,
        "tiers": [
            {"action": "opus"},
            {"after_days": True, "action": "burn", "bitrate": "1k"},
            {"after_days": 1, "action": "delete", "match": {"path": ["../x", 5]}},
        ],
    }
    assert problems_of(data) == [
        "'age_threshold_days' should be a valid number; it is 'x'",
        "tier 1: 'after_days' is missing",
        "tier 1: 'bitrate' is missing, such as \"64k\"",
        "tier 2: 'after_days' should be a valid number; it is True",
        "tier 2: 'action' should be 'keep', 'opus', 'cold' or 'delete'; it is 'burn'",
        "tier 2: 'bitrate' should be from 6k to 510k; it is '1k'",
        "tier 3: 'match.path.0' matches nothing: it leads out of LIBRARY_DIR; it is '../x'",
        "tier 3: 'match.path.1' should be a valid string; it is 5",
        "'colour' is no part of a policy; check its spelling",
        "'age_threshold_days' says what 'tiers' say, too; leave it out",
        "'delete_originals' is false, and a tier deletes: which of them is meant?",
    ]


def test_what_is_shown_of_a_wrong_value_is_short_and_harmless() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy({"target_bitrate": "\x1b[2J" + "x" * 100_000}, "p\x1b.json")
    assert len(str(caught.value)) < 200
    assert "\x1b" not in str(caught.value)


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    assert load(tmp_path / "p.json", "\ufeff" + COMPRESSION_CONFIG).tiers[1].after_days == 7


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is no JSON: Expecting value"),
        ("age_threshold_days: 7", "is no JSON: Expecting value"),
        ("{'dry_run': true}", "is no JSON: Expecting property name"),
        (b'{"log_file": "\xe4"}', "is no JSON: 'utf-8' codec can't decode"),
        (COMPRESSION_CONFIG.encode("utf-16"), "is no JSON: 'utf-8' codec can't decode"),
        ("[" * 200_000, "is no JSON: maximum recursion depth"),
        ('{"age_threshold_days": ' + "9" * 5_000 + "}", "is no JSON: Exceeds the limit"),
        (COMPRESSION_CONFIG + " " * 1_000_000, "has more than 1,000,000 bytes; it is no policy"),
        ('{"delete_originals": false, "delete_originals": true}', "is no JSON: 'delete_originals' is there twice"),
        ('{"age_threshold_days": NaN}', "'age_threshold_days' should be a finite number"),
        ('{"age_threshold_days": 1e999}', "'age_threshold_days' should be a finite number"),
    ],
)
def test_a_file_that_is_no_policy(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "p.json", content)
    assert str(tmp_path / "p.json") in caught.value.problems[0]
    assert reason in caught.value.problems[0]


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(AudioCompressorError, match=str(tmp_path)):
        load_policy(tmp_path / name)
