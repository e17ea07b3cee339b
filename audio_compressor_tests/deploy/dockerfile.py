"""The Dockerfile as data: its stages, and for each the instructions with their arguments."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from audio_compressor_tests.fixtures.studio import CHECKOUT


@dataclass(frozen=True)
class Instruction:
    """``arguments`` is the text behind the keyword and the options, in one line."""

    keyword: str
    options: dict[str, str]
    arguments: str

    @property
    def words(self) -> list[str]:
        """Of the form that is a JSON list, or of shell words without quotes in them."""
        given = json.loads(self.arguments) if self.arguments.startswith("[") else self.arguments.split()
        return [str(word) for word in given]


@dataclass
class Stage:
    """What FROM begins; ``base`` is a stage or an image, ``name`` empty for one that has none."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, keyword: str) -> list[Instruction]:
        return [each for each in self.instructions if each.keyword == keyword]


def stages(path: Path = CHECKOUT / "Dockerfile") -> list[Stage]:
    found: list[Stage] = []
    for instruction in _instructions(path.read_text()):
        if instruction.keyword == "FROM":
            base, *name = instruction.words
            found.append(Stage(name[1] if name else "", base))
        else:
            found[-1].instructions.append(instruction)
    return found


def lineage(all_stages: list[Stage], stage: Stage) -> list[Stage]:
    """The stage, and what it is built upon, down to the image."""
    by_name = {each.name: each for each in all_stages if each.name}
    chain = [stage]
    while chain[-1].base in by_name:
        chain.append(by_name[chain[-1].base])
    return chain


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        keyword, *rest = line.split(maxsplit=1)
        options, arguments = {}, rest[0]
        while match := re.match(r"--([\w-]+)=(\S+)\s+", arguments):
            options[match[1]] = match[2]
            arguments = arguments[match.end() :]
        yield Instruction(keyword, options, re.sub(r"\s+", " ", arguments).strip())
