"""What a recording's ``Meta.xml`` says, as flat text fields.

The file comes from outside: it is streamed with limits on everything, nothing in it is expanded or fetched, and
whatever is wrong with it becomes a warning. The file itself is never changed; it is copied as it is.
"""

import hashlib
import xml.sax
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

import defusedxml
import defusedxml.sax

from audio_compressor.local_files import local_errors

# What recorders write is a few kilobytes with a few dozen fields; these limits keep a hostile file from filling the
# memory here and the metadata table in Dagster.
MAX_PARSED_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_FIELDS = 100
MAX_VALUE_CHARACTERS = 500
MAX_CHARACTERS = 8_000  # of all fields together: this much is kept for every recording, for good
MAX_NAME_CHARACTERS = 64

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class MetadataFile:
    """One metadata file: what it weighs, its SHA-256 in hex, what it says, and what could not be read of it.

    ``fields`` maps element paths (``Recording/Title``) and attributes (``Recording@id``) to their text, in the order of
    the document, by local names. From the second on, siblings of one name are numbered: ``Recording/Speaker[2]``.
    """

    size_bytes: int
    sha256: str
    fields: Mapping[str, str]
    warning: str | None


def read_metadata(path: Path) -> MetadataFile:
    """Read one file; its content never raises.

    Raises:
        AccessDeniedError, StorageError: it cannot be opened or read.
    """
    digest = hashlib.sha256()
    size_bytes = 0
    document = b""
    with local_errors(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
            if size_bytes <= MAX_PARSED_BYTES:
                document += chunk
    if size_bytes > MAX_PARSED_BYTES:
        fields: Mapping[str, str] = {}
        warning: str | None = (
            f"it has {size_bytes / 1e6:,.1f} MB; files over {MAX_PARSED_BYTES / 1e6:.0f} MB are not read"
        )
    else:
        fields, warning = _parse(document)
    if warning:
        warning = f"{path.name} is kept as it is, but {warning}."
    return MetadataFile(size_bytes, digest.hexdigest(), fields, warning)


def _parse(document: bytes) -> tuple[Mapping[str, str], str | None]:
    if not document:
        return {}, "it is empty"
    flattener = _Flattener()
    try:
        defusedxml.sax.parseString(document, flattener, forbid_dtd=True)
    except defusedxml.DefusedXmlException:
        return {}, "it is not read: it declares a document type or entities, which are neither expanded nor fetched"
    except xml.sax.SAXParseException as error:
        line, column = error.getLineNumber(), error.getColumnNumber()
        where = f" at line {line}, column {column + 1}" if line is not None and column is not None else ""
        return {}, f"it is malformed XML{where}: {error.getMessage()}"
    except (LookupError, ValueError, Warning) as error:
        # Expat asks Python for encodings that it does not know itself, and Python raises these for those it cannot use
        # (Warning: `unicode_escape`, when warnings are errors).
        return {}, f"it is not read: its character encoding is not supported ({_shortened(str(error))[0]})"
    return flattener.fields, flattener.left_out()


@dataclass
class _Open:
    """An element whose end has not come yet."""

    path: str
    text: list[str] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)


class _Flattener(ContentHandler):
    """Collects fields while the document streams by, and counts what does not fit.

    Names are split at the colon here instead of by the parser, because a prefix that nobody declared is a frequent
    mistake and not worth losing the file's content for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._open = [_Open("")]
        self._too_deep = 0
        self._levels_beyond = 0
        self._characters = 0
        self._too_many = 0
        self._too_long = 0

    def left_out(self) -> str | None:
        """What was left out of the fields, in words, or None when everything is there."""
        parts = []
        if self._too_many:
            parts.append(f"fields after the first {len(self.fields)} ({self._too_many})")
        if self._too_deep:
            parts.append(f"elements below level {MAX_DEPTH} ({self._too_deep})")
        if self._too_long:
            parts.append(f"the ends of values over {MAX_VALUE_CHARACTERS} characters ({self._too_long})")
        return f"its fields leave out {', '.join(parts)}" if parts else None

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        if self._levels_beyond or len(self._open) > MAX_DEPTH:
            self._levels_beyond += 1
            self._too_deep += 1
            return
        parent = self._open[-1]
        path = f"{parent.path}/" if parent.path else ""
        element = _Open(path + _numbered(name, parent.names))
        self._open.append(element)
        attributes: Counter[str] = Counter()
        for attribute, value in attrs.items():
            if attribute != "xmlns" and not attribute.startswith("xmlns:"):
                self._add(f"{element.path}@{_numbered(attribute, attributes)}", value)

    def characters(self, content: str) -> None:
        if not self._levels_beyond:
            self._open[-1].text.append(content)

    def endElement(self, name: str) -> None:  # noqa: ARG002, N802
        if self._levels_beyond:
            self._levels_beyond -= 1
            return
        element = self._open.pop()
        self._add(element.path, "".join(element.text))

    def _add(self, path: str, text: str) -> None:
        value = " ".join(text.split())
        if not value:
            return
        value, shortened = _shortened(value)
        characters = len(path) + len(value)
        if self._too_many or len(self.fields) >= MAX_FIELDS or self._characters + characters > MAX_CHARACTERS:
            self._too_many += 1
            return
        self.fields[path] = value
        self._characters += characters
        self._too_long += shortened


def _numbered(qualified_name: str, siblings: Counter[str]) -> str:
    name = qualified_name.rpartition(":")[2] or qualified_name
    if len(name) > MAX_NAME_CHARACTERS:
        name = f"{name[:MAX_NAME_CHARACTERS]}…"
    siblings[name] += 1
    return name if siblings[name] == 1 else f"{name}[{siblings[name]}]"


def _shortened(value: str) -> tuple[str, bool]:
    if len(value) <= MAX_VALUE_CHARACTERS:
        return value, False
    return f"{value[: MAX_VALUE_CHARACTERS - 1]}…", True
