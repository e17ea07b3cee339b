import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from audio_compressor.reporting.markdown import markdown_table
from audio_compressor.reporting.results import Result
from audio_compressor.reporting.table import update
from audio_compressor.texts import escape_cell, escape_line

AT = datetime(2025, 11, 5, 2, 1, tzinfo=UTC)
GOOD = Result(
    "10-17-25",
    "success",
    AT,
    original_size_mb=156.3,
    compressed_size_mb=8.2,
    compression_ratio=19.06,
    duration_seconds=886,
    storage_location="sftp",
)
JOINER = "\u2060"
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def cells_of(markdown: str) -> list[list[list[Token]]]:
    """The inline tokens of every cell of every row, as a Markdown parser sees them."""
    rows: list[list[list[Token]]] = []
    tokens = RENDERER.parse(markdown)
    for number, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in {"th_open", "td_open"}:
            rows[-1].append(tokens[number + 1].children or [])
    return rows


def text_of(cell: list[Token]) -> str:
    return "".join(token.content for token in cell)


def test_a_row() -> None:
    heading, row = ([text_of(cell) for cell in cells] for cells in cells_of(markdown_table(update(None, [GOOD]))))
    assert dict(zip(heading, row, strict=True)) == {
        "Directory": "10-17-25",
        "Outcome": "success",
        "Original MB": "156.3",
        "Compressed MB": "8.2",
        "Ratio": "19.1×",
        "Duration": "0:14:46",
        "Stored": "sftp",
        "Processed at (UTC)": "2025-11-05 02:01",
        "Reason": "",
    }


def test_what_is_unknown_is_a_dash() -> None:
    frame = update(None, [Result("10-18-25", "failed", AT, reason="not audio")])
    assert [text_of(cell) for cell in cells_of(markdown_table(frame))[1]] == [
        *("10-18-25", "failed", "–", "–", "–", "–", "–", "2025-11-05 02:01", "not audio")
    ]


def test_the_newest_come_first_and_the_rest_is_counted() -> None:
    frame = update(
        None, [replace(GOOD, directory=f"10-{day}-25", processed_at=AT - timedelta(days=day)) for day in range(10, 31)]
    )
    markdown = markdown_table(frame, limit=3)
    assert [text_of(row[0]) for row in cells_of(markdown)[1:]] == ["10-10-25", "10-11-25", "10-12-25"]
    assert markdown.endswith("The latest 3 of 21 recordings.\n")
    assert "latest" not in markdown_table(frame, limit=21)


def test_no_rows_is_a_table_without_rows() -> None:
    assert len(cells_of(markdown_table(update(None, [])))) == 1


def test_a_large_table_is_quick_and_short(large: pd.DataFrame) -> None:
    assert len(markdown_table(large)) < 8_000


@pytest.mark.parametrize(
    "text",
    [
        "a | b",
        "a \\| b",
        "<script>alert(1)</script>",
        "<!-- hidden",
        "[click](javascript:alert(1))",
        "](javascript:alert(1))",
        "![x](https://example.org/pixel.png)",
        "<https://example.org>",
        "`code` ``more``",
        "**bold** __bold__ *i* _i_ ~~gone~~",
        "&lt;b&gt; &amp; &#60;",
        "line\n\n# heading\r\n| a | b |\n",
        "\\",
        "ends with \\",
        "a\u2028b\u202ec\x00d",
    ],
)
def test_hostile_text_is_shown_as_it_is(text: str) -> None:
    assert_only_text(text)


@pytest.mark.parametrize(
    "text", ["see https://example.org/x", "www.example.org", "WWW.Example.org", "mail a@example.org"]
)
def test_bare_addresses_do_not_become_links(text: str) -> None:
    # GitHub's extension (section 6.9 of its specification) looks for these in the text after escapes are resolved.
    shown = assert_only_text(text)
    assert not re.search(r"https?://|www\.|[\w.+-]@", shown, re.IGNORECASE)


@given(st.text(alphabet=st.sampled_from("ab \\`*_[]()<>!|~&#;:/\n\t-\"'@.wxj0") | st.characters(), max_size=40))
@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
@example("`|`")
@example("\\|\\")
@example("[a]: /b")
def test_any_text_is_shown_as_it_is(text: str) -> None:
    assert_only_text(text)


def assert_only_text(text: str) -> str:
    """Put it into a directory's and a reason's cell; return what a reader sees of it."""
    cell = escape_cell(text)
    rows = cells_of(f"| a | b | c |\n| - | - | - |\n| {cell} | x | {cell} |\n")
    assert len(rows) == 2, "the text broke out of its row"
    first, middle, last = rows[1]
    assert text_of(middle) == "x", "the text broke out of its cell"
    for tokens in (first, last):
        assert {token.type for token in tokens} <= {"text", "text_special", "entity"}, tokens
    shown = text_of(first)
    assert shown == text_of(last)
    kept = (c for c in text if not c.isspace() and unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"})
    assert shown.replace(JOINER, "").replace(" ", "") == "".join(kept)
    return shown


@given(st.text(alphabet=st.sampled_from("ab \\`*_[]()<>!|~&#;:/\n\t-+=.1)\"'@.wxj0") | st.characters(), max_size=40))
@settings(deadline=None)
@example("# heading")
@example("1. item")
@example("1) item")
@example("- item")
@example("+ item")
@example("---")
@example("> quote")
@example("    code")
@example("```")
@example("![x](https://example.org/pixel.png)")
@example("](javascript:alert(1))")
def test_any_line_is_one_paragraph_of_text(text: str) -> None:
    tokens = RENDERER.parse(escape_line(text))
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    for token in tokens[1:2]:
        assert {child.type for child in token.children or []} <= {"text", "text_special", "entity"}
    shown = "".join(text_of(token.children or []) for token in tokens[1:2])
    assert shown.replace(JOINER, "") == " ".join(escape_cell_free(text).split())


@pytest.mark.parametrize("text", ["5.5 times smaller", "-26.3 dBFS RMS", "#1 of 3", "MAX_FILE_SIZE_MB", "+3 dB", "=x"])
def test_what_means_nothing_is_not_escaped(text: str) -> None:
    """Dagster's logs show descriptions as they are."""
    assert escape_line(text) == text


def escape_cell_free(text: str) -> str:
    """What of a text is to be seen."""
    return "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c for c in text)


def test_a_long_reason_is_cut() -> None:
    failed = replace(GOOD, status="failed", reason="x" * 10_000)
    _, row = cells_of(markdown_table(update(None, [failed])))
    assert text_of(row[-1]) == "x" * 299 + "…"
