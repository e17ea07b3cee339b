import hashlib
import tracemalloc
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.errors import StorageError
from audio_compressor.xml_metadata import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_PARSED_BYTES,
    MAX_VALUE_CHARACTERS,
    MetadataFile,
    read_metadata,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Meta.xml"


def read(path: Path, content: str | bytes) -> MetadataFile:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_metadata(path)


def test_elements_attributes_and_repeated_ones(path: Path) -> None:
    content = """<?xml version="1.0" encoding="UTF-8"?>
    <Recording id="10-17-25" xmlns:x="http://example.org/x">
      <!-- written by the recorder --><?recorder v2?>
      <Title>  Ältere
        Stücke &amp; &#65;nderes </Title>
      <Speakers><Speaker x:role="host">Anna</Speaker><Speaker>Ben</Speaker><Guest/></Speakers>
      <Speakers><Speaker>Carla</Speaker></Speakers>
      <Note><![CDATA[<b>loud</b>]]></Note>
    </Recording>"""
    metadata = read(path, content)
    assert list(metadata.fields.items()) == [
        ("Recording@id", "10-17-25"),
        ("Recording/Title", "Ältere Stücke & Anderes"),
        ("Recording/Speakers/Speaker@role", "host"),
        ("Recording/Speakers/Speaker", "Anna"),
        ("Recording/Speakers/Speaker[2]", "Ben"),
        ("Recording/Speakers[2]/Speaker", "Carla"),
        ("Recording/Note", "<b>loud</b>"),
    ]
    assert metadata.warning is None
    assert metadata.size_bytes == len(content.encode())
    assert metadata.sha256 == hashlib.sha256(content.encode()).hexdigest()


def test_namespaces_are_shown_by_local_name(path: Path) -> None:
    content = '<r xmlns="urn:a" xmlns:b="urn:b"><b:t b:id="1" id="2">x</b:t><t>y</t><undeclared:t>z</undeclared:t></r>'
    assert read(path, content).fields == {
        "r/t@id": "1",
        "r/t@id[2]": "2",
        "r/t": "x",
        "r/t[2]": "y",
        "r/t[3]": "z",
    }


def test_text_around_elements_is_kept_together(path: Path) -> None:
    assert read(path, "<p>one <b>two</b> three</p>").fields == {"p/b": "two", "p": "one three"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252", "iso-8859-15"])
def test_encodings(path: Path, encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    content = f'<?xml version="1.0" encoding="{declared}"?><Ort>Großer Saal, Köln</Ort>'.encode(encoding)
    metadata = read(path, content)
    assert (metadata.fields, metadata.warning) == ({"Ort": "Großer Saal, Köln"}, None)


@pytest.mark.parametrize(
    "encoding", ["shift_jis", "utf-7", "nope", "idna", "undefined", "rot13", "hex", "unicode_escape", "a" * 5000]
)
def test_encodings_that_nobody_can_read_are_a_warning(path: Path, encoding: str) -> None:
    metadata = read(path, f'<?xml version="1.0" encoding="{encoding}"?><a>x</a>')
    assert metadata.fields == {}
    assert metadata.warning
    assert "Meta.xml is kept as it is, but it is not read: its character encoding is not supported" in metadata.warning
    assert len(metadata.warning) < 1000


BOMB = "<!DOCTYPE lolz [\n" + "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1};" * 10 if n else "lol"}">\n' for n in range(10))


@pytest.mark.parametrize(
    "content",
    [
        BOMB + "]><lolz>&lol9;</lolz>",
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a>x</a>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x"> %x;]><a>x</a>',
        "<!DOCTYPE a><a>x</a>",
    ],
)
def test_document_types_and_entities_are_neither_expanded_nor_fetched(path: Path, content: str) -> None:
    metadata = read(path, content)
    assert metadata.fields == {}
    assert metadata.warning
    assert "neither expanded nor fetched" in metadata.warning


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("<a>\n  <b>x</c>\n</a>", "malformed XML at line 2, column 9: mismatched tag"),
        ("<a>", "malformed XML at line 1, column 4: no element found"),
        ("<a>&nbsp;</a>", "malformed XML at line 1, column 4: undefined entity"),
        ("<a/><b/>", "malformed XML at line 1, column 5: junk after document element"),
        (b"<a>\xff</a>", "malformed XML at line 1, column 4: not well-formed"),
        ("not XML", "malformed XML at line 1, column 1: syntax error"),
        (b"\x00" * 512, "malformed XML"),
        ("", "it is empty"),
    ],
)
def test_malformed_files_say_where(path: Path, content: str | bytes, where: str) -> None:
    metadata = read(path, content)
    assert metadata.fields == {}
    assert metadata.warning
    assert where in metadata.warning


def test_a_large_file_is_weighed_but_not_read(path: Path) -> None:
    content = b"<a>" + b"x" * MAX_PARSED_BYTES + b"</a>"
    metadata = read(path, content)
    assert metadata.fields == {}
    assert metadata.sha256 == hashlib.sha256(content).hexdigest()
    assert metadata.warning == ("Meta.xml is kept as it is, but it has 1.0 MB; files over 1 MB are not read.")
    largest = b"<a>" + b"x" * (MAX_PARSED_BYTES - 7) + b"</a>"
    assert read(path, largest).fields["a"].startswith("xxx")


@pytest.mark.parametrize(
    "content",
    [
        b"<a>" * 333_333,
        b"<a>" * 142_857 + b"</a>" * 142_857,
        b"<a " + b"".join(b'b%d="1" ' % number for number in range(70_000)) + b"/>",
        b"<a>" + b"<b/>" * 249_000 + b"</a>",
        b"<" + b"a" * 499_000 + b"><b/></" + b"a" * 499_000 + b">",
        b"<a>" + b" \n" * 499_000 + b"</a>",
    ],
    ids=["open", "deep", "attributes", "wide", "name", "space"],
)
def test_hostile_files_take_little_memory(path: Path, content: bytes) -> None:
    assert len(content) <= MAX_PARSED_BYTES
    path.write_bytes(content)
    tracemalloc.start()
    try:
        read_metadata(path)
        assert tracemalloc.get_traced_memory()[1] < 60e6  # 41 MB measured, nearly all of it in Expat
    finally:
        tracemalloc.stop()


def test_a_huge_file_takes_little_memory(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(300_000_000)
    tracemalloc.start()
    try:
        assert read_metadata(path).size_bytes == 300_000_000
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_limits_say_what_was_left_out(path: Path) -> None:
    deep = "<d>" * MAX_DEPTH + "never shown" + "</d>" * MAX_DEPTH
    long = "x" * (MAX_VALUE_CHARACTERS + 1)
    fields = "".join(f"<f>{number}</f>" for number in range(MAX_FIELDS + 5))
    metadata = read(path, f"<a><long>{long}</long>{deep}{fields}</a>")
    assert len(metadata.fields) == MAX_FIELDS
    assert len(metadata.fields["a/long"]) == MAX_VALUE_CHARACTERS
    assert "never shown" not in metadata.fields.values()
    assert metadata.warning == (
        "Meta.xml is kept as it is, but its fields leave out fields after the first 100 (6), "
        "elements below level 32 (1), the ends of values over 500 characters (1)."
    )


def test_many_long_fields_do_not_fill_the_event_log(path: Path) -> None:
    fields = "".join(f"<f>{'x' * MAX_VALUE_CHARACTERS}</f>" for _ in range(40))
    metadata = read(path, f"<a>{fields}</a>")
    kept_characters = sum(len(name) + len(value) for name, value in metadata.fields.items())
    assert MAX_CHARACTERS - 2 * MAX_VALUE_CHARACTERS < kept_characters <= MAX_CHARACTERS
    assert metadata.warning == (
        f"Meta.xml is kept as it is, but its fields leave out fields after the first {len(metadata.fields)} "
        f"({40 - len(metadata.fields)})."
    )


def test_what_is_just_within_the_limits_is_all_there(path: Path) -> None:
    content = "<d>" * MAX_DEPTH + "x" * MAX_VALUE_CHARACTERS + "</d>" * MAX_DEPTH
    metadata = read(path, content)
    assert metadata.fields == {"/".join(["d"] * MAX_DEPTH): "x" * MAX_VALUE_CHARACTERS}
    assert metadata.warning is None


def test_a_file_that_cannot_be_read_is_an_error_of_ours(path: Path) -> None:
    with pytest.raises(StorageError, match=r"Meta\.xml: No such file"):
        read_metadata(path)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(str.encode),
        st.text("<>/!?-[]&;#xabAB01 ='\"%\n", max_size=100).map(str.encode),
        st.text(max_size=20).map(lambda name: f'<?xml version="1.0" encoding="{name}"?><a>x</a>'.encode()),
    )
)
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_read_or_warned_about(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.xml"
    metadata = read(path, content)
    assert metadata.sha256 == hashlib.sha256(content).hexdigest()
    assert metadata.fields == {} or b"<" in content


names = st.sampled_from(["a", "b", "Größe", "_x", "n:s", "a.b-c"])
characters = st.characters(min_codepoint=32, max_codepoint=0xFFFD, exclude_categories=["Cs", "Cc"])
values = st.text(characters, max_size=30)
trees = st.recursive(
    st.tuples(names, st.dictionaries(names, values, max_size=3), values, st.just(())),
    lambda inner: st.tuples(names, st.dictionaries(names, values, max_size=3), values, st.lists(inner, max_size=4)),
    max_leaves=20,
)


def written(tree: tuple[str, dict[str, str], str, list[object]]) -> str:
    name, attributes, text, children = tree
    start = f"{name}{''.join(f' {key}={quoteattr(value)}' for key, value in attributes.items())}"
    inside = "".join(written(child) for child in children)  # type: ignore[arg-type]
    return f"<{start}>{escape(text)}{inside}</{name}>"


def texts_in(tree: tuple[str, dict[str, str], str, list[object]]) -> list[str]:
    _, attributes, text, children = tree
    inside = [text for child in children for text in texts_in(child)]  # type: ignore[arg-type]
    return [" ".join(value.split()) for value in (*attributes.values(), text)] + inside


@given(trees)
@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
def test_any_tree_is_read_in_full(
    tmp_path_factory: pytest.TempPathFactory, tree: tuple[str, dict[str, str], str, list[object]]
) -> None:
    metadata = read(tmp_path_factory.getbasetemp() / "tree.xml", written(tree))
    expected = sorted(text for text in texts_in(tree) if text)
    if metadata.warning is None:
        assert sorted(metadata.fields.values()) == expected
    else:
        kept_characters = sum(len(name) + len(value) for name, value in metadata.fields.items())
        assert len(expected) > MAX_FIELDS or kept_characters > MAX_CHARACTERS // 2
