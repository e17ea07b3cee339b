"""Texts from strangers in Dagster's UI: descriptions are rendered as Markdown, other metadata is shown as it is."""

import logging
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from audio_compressor.audio.checks import CheckResult
from audio_compressor.audio.ffmpeg import problems
from audio_compressor.batch.explain import explain as explain_outcome
from audio_compressor.batch.model import Outcome, RecordingMetadata
from audio_compressor.defs.events import import_materialized, outcome_events, skip_observed
from audio_compressor.defs.names import COMPRESSED_AUDIO, RECORDING_METADATA
from audio_compressor.errors import EncodingError, StorageError
from audio_compressor.intake.explain import explain
from audio_compressor.intake.listing import Ignored
from audio_compressor.intake.plan import Plan, Skip
from audio_compressor.recording import Fingerprint
from audio_compressor.reporting.results import Result
from audio_compressor.texts import visible
from audio_compressor.xml_metadata import read_metadata
from audio_compressor_tests.hostile_names import any_name

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
AT = datetime(2025, 11, 5, 2, 1, tzinfo=UTC)
FINGERPRINT = Fingerprint(1000, 1_760_000_000)
hostile = st.one_of(
    any_name,
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "[x](javascript:alert(1))",
            "](javascript:alert(1))",
            "![x](https://example.org/pixel.png)",
            "a | b\n| - | - |\n| c | d |",
            "`code` ```\nfence\n```",
            "\n\n# heading\n\n- list\n\n1. list\n\n> quote\n\n    code\n\n---\n",
            "\u202egnp.exe \u2066x\u2069",
            "\x1b]0;title\x07\x1b[2J\x1b[31mred\x9b31m",
            "https://example.org www.example.org a@example.org",
        ]
    ),
)


def events_with(
    text: str, tmp_path: Path
) -> Iterator[dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation]:
    """Every event that holds a text of somebody else's."""
    meta = tmp_path / "Meta.xml"
    escaped = "".join(f"&#{ord(c)};" for c in text if c in "\t\n\r" or (ord(c) >= 32 and not 0xD800 <= ord(c) < 0xE000))
    meta.write_text(f'<Recording title="{escaped}"><Title>{escaped}</Title></Recording>')
    file = read_metadata(meta)
    check = CheckResult("duration_matches", False, "error", text, {"source_repair": text})
    outcome = Outcome(
        "10-17-25", "failed", text, FINGERPRINT, metadata=RecordingMetadata(file, None, text), checks=(check,)
    )
    yield from outcome_events(outcome, {COMPRESSED_AUDIO, RECORDING_METADATA}, 0, lambda: 0, lambda _key: None)
    yield skip_observed(Skip("10-17-25", "unreadable", text, FINGERPRINT, is_news=True))
    yield import_materialized(Result("10-17-25", "failed", AT, reason=text), 0)


def unseen(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} - {"\n", "\t", "\u2060"}


@given(hostile)
@settings(deadline=None, max_examples=200)
@example("")
def test_every_text_shows_as_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    events = list(events_with(text, tmp_path_factory.getbasetemp()))
    assert len(events) == 5
    for event in events:
        if event.description:
            tokens = RENDERER.parse(event.description)
            assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
            assert {child.type for child in tokens[1].children or []} <= {"text", "text_special", "entity"}
            assert unseen(event.description) == set()
        for value in event.metadata.values():
            assert not isinstance(value, dg.MarkdownMetadataValue | dg.UrlMetadataValue)
            assert unseen(str(value.value)) == set()


def test_a_title_of_markup_and_where_it_is_shown(tmp_path: Path) -> None:
    events = list(events_with("<script>alert(1)</script> [x](javascript:alert(1))", tmp_path))
    content = next(event.metadata["content"].value for event in events if "content" in event.metadata)
    assert content["Recording/Title"] == "<script>alert(1)</script> [x](javascript:alert(1))"  # type: ignore[index, call-overload]
    descriptions = {event.description for event in events if event.description}
    assert "failed: &lt;script&gt;alert(1)&lt;/script&gt; \\[x\\](javascript:alert(1))" in descriptions


@given(hostile)
@settings(deadline=None, max_examples=200)
def test_a_terminal_obeys_no_name_and_no_server(text: str) -> None:
    plan = Plan((), (), (), (), (), (Ignored(text, "not a directory"),), (), {})
    _, line = explain_outcome(Outcome("10-17-25", "failed", str(StorageError(f"the server answered '{text}'"))))
    assert unseen(explain(plan)) == set()
    assert len(explain(plan).splitlines()) == 2
    assert unseen(line) == set()
    assert unseen(str(EncodingError(text))) == set()
    assert all(unseen(problem) == set() for problem in problems(f"[error] title: {text}"))


def test_a_log_line_is_as_harmless(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        logging.getLogger("audio_compressor").warning("upload: %s", StorageError("\x1b[2Jgone"))
    assert "upload: \ufffd[2Jgone" in caplog.text


@given(st.text())
@settings(deadline=None)
def test_what_is_seen_stays(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    assert all(was == now or now == "\ufffd" for was, now in zip(text, shown, strict=True))
    assert unseen(shown) == set() if "\u2060" not in shown else True
