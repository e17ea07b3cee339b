"""Which document speaks of which recording, among those in one directory.

A recording's own document has its name (``talk.json`` for ``talk.webm``); a document of another name speaks of the
files that its ``chunks`` name. A recording whose document is in doubt is kept, so every doubt comes with its reason.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from audio_compressor.archive.documents.editing import is_gone_by_plan
from audio_compressor.archive.documents.names import name_in, own_document, parts_of, shown
from audio_compressor.archive.documents.reading import Document, Fields, Trouble


@dataclass(frozen=True)
class Survey:
    """What the documents of one directory say.

    ``claims`` maps the names of files to the documents whose chunks name them, as often as they do; ``present_chunks``
    maps documents to a file that is there and that their chunks name; ``unreadable`` is the first of the documents that
    cannot be read. ``problems`` are sentences to be reported, which keep no recording from being archived.
    """

    documents: Mapping[str, Document | Trouble]
    claims: Mapping[str, tuple[str, ...]]
    present_chunks: Mapping[str, str]
    unreadable: tuple[str, Trouble] | None
    problems: tuple[str, ...]


def survey_directory(directory: str, listing: Collection[str], documents: Mapping[str, Document | Trouble]) -> Survey:
    """Look through all documents of one directory.

    Args:
        directory: its path from the library's root, empty for the root.
        listing: the names of the files in it.
        documents: every JSON in it by its name, but for the master index.
    """
    present = frozenset(listing)
    claims: dict[str, list[str]] = {}
    present_chunks: dict[str, str] = {}
    unreadable: tuple[str, Trouble] | None = None
    problems: list[str] = []
    for name, document in sorted(documents.items()):
        if isinstance(document, Trouble):
            unreadable = unreadable or (name, document)  # it may speak of any file here, and a hold go by what it says
            continue
        chunks = document.fields.get("chunks")
        if chunks is not None and not isinstance(chunks, list):
            problems.append(f"{shown(name)} has chunks that are not a list.")
        for chunk, reference in _references(document.fields):
            file = name_in(reference, directory)
            if file is not None:
                claims.setdefault(file, []).append(name)
                if file in present:
                    present_chunks.setdefault(name, file)
                elif not is_gone_by_plan(chunk):
                    problems.append(f"{shown(name)} names {shown(reference)}, which is not there.")
            elif parts_of(reference) is None:
                problems.append(f"{shown(name)} names {shown(reference)}, which leads elsewhere and is not followed.")
            else:
                problems.append(f"{shown(name)} names {shown(reference)}, which lies in another directory.")
    return Survey(
        documents,
        {file: tuple(names) for file, names in claims.items()},
        present_chunks,
        unreadable,
        tuple(problems),
    )


def find_document(survey: Survey, name: str) -> Document | Trouble | None:
    """The document of one file in the directory, why that is in doubt, or None when there is none."""
    own_name = own_document(name)
    own = survey.documents.get(own_name)
    if isinstance(own, Trouble):
        return Trouble(f"its document {shown(own_name)} {own.reason}")
    claims = survey.claims.get(name, ())
    claimants = sorted({*claims, own_name} if own else {*claims})
    if len(claimants) > 1:
        return Trouble(f"both {shown(claimants[0])} and {shown(claimants[1])} name it")
    if len(claims) > 1:
        return Trouble(f"{shown(claims[0])} names it {len(claims)} times")
    if own is not None:
        if not claims and (other := survey.present_chunks.get(own_name)):
            return Trouble(f"its document {shown(own_name)} has chunks, which name {shown(other)} and not it")
        return own
    if survey.unreadable:
        unreadable, trouble = survey.unreadable
        return Trouble(f"{shown(unreadable)} beside it, which may be its document, {trouble.reason}")
    return survey.documents[claims[0]] if claims else None


def _references(fields: Fields) -> Iterator[tuple[Fields, str]]:
    chunks = fields.get("chunks")
    for chunk in chunks if isinstance(chunks, list) else ():
        if isinstance(chunk, dict) and isinstance(file := chunk.get("file"), str):
            yield chunk, file
