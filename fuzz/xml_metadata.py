"""Meta.xml (`audio_compressor.xml_metadata.read_metadata`)."""

import hashlib
import os
import tempfile
from pathlib import Path

from audio_compressor.xml_metadata import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_NAME_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    read_metadata,
)
from fuzz.command import run_target
from fuzz.harness import Target

_PLAIN = """<?xml version="1.0" encoding="{0}"?>
<Recording id="10-17-25" xmlns:x="http://example.org/x"><!-- c --><?pi d?>
<Title>Großer &amp; &#65; &#x42;</Title><Speakers><Speaker x:role="host">Anna</Speaker><Speaker>Ben</Speaker></Speakers>
<Note><![CDATA[<b>]]></Note><Empty/></Recording>"""
_SEEDS = [
    _PLAIN.format(name).encode(name, "replace") for name in ("utf-8", "utf-16", "iso-8859-1", "utf-8-sig", "ascii")
]
_SEEDS += [
    b"<a>" * 50 + b"x" + b"</a>" * 50,
    b"<a>" + b"<b>y</b>" * 150 + b"</a>",
    b"<a " + b" ".join(b'n%d="v"' % number for number in range(150)) + b"/>",
    b"<" + b"n" * 100 + b">" + b"v" * 900 + b"</" + b"n" * 100 + b">",
    b'<!DOCTYPE a [<!ENTITY x "' + b"y" * 99 + b'"><!ENTITY z "&x;&x;&x;">]><a>&z;&z;</a>',
    b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:1/"> %p;]><a>&x;</a>',
]
_WORDS = [
    b"<a>",
    b"</a>",
    b"<!DOCTYPE a [",
    b"]>",
    b'<!ENTITY x "',
    b"&x;",
    b"<![CDATA[",
    b"]]>",
    b"<?",
    b"?>",
    b"<!--",
]
_WORDS += [
    b"-->",
    b'encoding="shift_jis"',
    b'encoding="utf-7"',
    b'encoding="utf-16"',
    b"\xff\xfe",
    b"\xfe\xff",
    b"\0",
    b"&#0;",
]
_WORDS += [b"&#x10FFFF;", b"xmlns=", b":", b'="', b"\xef\xbb\xbf"]
_DIRECTORY = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir())
_PATH = _DIRECTORY / f"fuzz-{os.getpid()}.xml"


def check(data: bytes) -> None:
    """It is read or warned about, and what is kept of it is within the limits."""
    try:
        _PATH.write_bytes(data)
        metadata = read_metadata(_PATH)
    finally:
        _PATH.unlink(missing_ok=True)
    assert metadata.size_bytes == len(data)
    assert metadata.sha256 == hashlib.sha256(data).hexdigest()
    assert metadata.warning is None or 0 < len(metadata.warning) < 2_000
    assert metadata.fields or metadata.warning or b"<" in data or b"\xff" in data or b"\0" in data
    assert sum(map(len, metadata.fields.values())) <= len(data), "more than there is: something was expanded"
    assert len(metadata.fields) <= MAX_FIELDS
    assert sum(len(path) + len(value) for path, value in metadata.fields.items()) <= MAX_CHARACTERS
    for path, value in metadata.fields.items():
        assert 0 < len(value) <= MAX_VALUE_CHARACTERS
        assert path.count("/") < MAX_DEPTH
        assert all(
            len(name.partition("[")[0].rstrip("…")) <= MAX_NAME_CHARACTERS for name in path.replace("@", "/").split("/")
        )
        assert "root:" not in value, "another file was read"


TARGET = Target("xml_metadata", _SEEDS, _WORDS, check)

if __name__ == "__main__":
    run_target(TARGET)
