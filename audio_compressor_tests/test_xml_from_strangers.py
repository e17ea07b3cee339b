"""Meta.xml that tries to reach for more: entities in every disguise, other files, the network, time and memory."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audio_compressor.xml_metadata import MAX_PARSED_BYTES, read_metadata

# Python itself tells of every file and connection that is opened (PEP 578).
_WATCHED = """
import json, sys
from pathlib import Path
from audio_compressor.xml_metadata import read_metadata
path = Path(sys.argv[1])
read_metadata(path)  # what is imported or loaded at first use
seen = []
sys.addaudithook(lambda name, arguments: seen.append([name, str(arguments[0])])
    if name == "open" or name.startswith(("socket.", "urllib.", "subprocess.", "os.")) else None)
read_metadata(path)
print(json.dumps(seen))
"""

SECRET = "/etc/passwd"
DISGUISES = {
    "entity": f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{SECRET}">]><a>&x;</a>',
    "parameter entity": f'<!DOCTYPE a [<!ENTITY % x SYSTEM "file://{SECRET}"> %x;]><a/>',
    "public": f'<!DOCTYPE a PUBLIC "-//x//y" "{SECRET}"><a/>',
    "network": '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><a/>',
    "attribute default": '<!DOCTYPE a [<!ATTLIST a x CDATA "&e;"><!ENTITY e "y">]><a/>',
    "notation": f'<!DOCTYPE a [<!NOTATION n SYSTEM "{SECRET}"><!ENTITY e SYSTEM "{SECRET}" NDATA n>]><a/>',
    "lower case": f'<!doctype a SYSTEM "{SECRET}"><a/>',
    "xinclude": f'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{SECRET}" parse="text"/></a>',
    "stylesheet": f'<?xml-stylesheet type="text/xsl" href="file://{SECRET}"?><a>x</a>',
    "schema": f'<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="u file://{SECRET}">x</a>',
    "base": f'<a xml:base="file:///etc/"><b href="{SECRET}"/></a>',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", DISGUISES)
def test_nothing_else_is_opened(tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / "Meta.xml"
    path.write_bytes(DISGUISES[name].encode(encoding))
    done = subprocess.run([sys.executable, "-c", _WATCHED, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["open", str(path)]]
    metadata = read_metadata(path)
    assert not any("root:" in value for value in metadata.fields.values())
    if "DOCTYPE" in DISGUISES[name] and encoding in {"utf-8", "utf-16"}:
        assert "neither expanded nor fetched" in (metadata.warning or "")


QUADRATIC = f'<!DOCTYPE a [<!ENTITY x "{"y" * 300_000}">]><a>{"&x;" * 200_000}</a>'
LAUGHS = "<!DOCTYPE a [<!ENTITY l0 'l'>" + "".join(
    f"<!ENTITY l{number} '{f'&l{number - 1};' * 10}'>" for number in range(1, 30)
)


@pytest.mark.parametrize("content", [QUADRATIC, LAUGHS + "]><a>&l29;</a>", LAUGHS + "]><a b='&l29;'/>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_would_grow_is_not_expanded(tmp_path: Path, content: str, encoding: str) -> None:
    path = tmp_path / "Meta.xml"
    path.write_bytes(content.encode(encoding))
    started = time.monotonic()
    metadata = read_metadata(path)
    assert time.monotonic() - started < 5
    assert metadata.fields == {}
    if len(content.encode(encoding)) <= MAX_PARSED_BYTES:
        assert "neither expanded nor fetched" in (metadata.warning or "")
    else:
        assert "are not read" in (metadata.warning or "")


@pytest.mark.parametrize("reference", ["&#0;", "&#x1F;", "&#xD800;", "&#xFFFE;", "&#x110000;", "&#99999999999;"])
def test_characters_that_xml_does_not_have(tmp_path: Path, reference: str) -> None:
    path = tmp_path / "Meta.xml"
    path.write_text(f"<a>{reference}</a>")
    metadata = read_metadata(path)
    assert metadata.fields == {}
    assert "malformed XML at line 1" in (metadata.warning or "")
