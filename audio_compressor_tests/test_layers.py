"""The rule of the two layers: the domain knows nothing of Dagster, and loading the code location loads little."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import audio_compressor

PACKAGE = Path(audio_compressor.__file__).parent
DAGSTER_CODE = ("audio_compressor.defs", "audio_compressor.definitions")
COMMAND_LINE = "audio_compressor.cli"
# Where a command may import Dagster itself: to open the instance, and there only.
OPENS_THE_INSTANCE = ("audio_compressor.cli.environment", "open_instance")
# What takes long to import, and is needed only when there is something to compute, draw, store or launch.
HEAVY = {"pandas", "matplotlib", "boto3", "kubernetes"}


@dataclass(frozen=True)
class Import:
    """One import; ``function`` is the innermost one around it, ``for_types`` when it never happens at run time."""

    module: str
    function: str
    for_types: bool


class ImportFinder(ast.NodeVisitor):
    """Finds every import in a file: at its top, in functions, under TYPE_CHECKING, and by name."""

    def __init__(self) -> None:
        self.found: list[Import] = []
        self._functions = [""]
        self._for_types = False

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, "imports are absolute here"
        for alias in node.names:
            self._add(f"{node.module}.{alias.name}")

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func).endswith(("import_module", "__import__")):
            self._add(ast.literal_eval(node.args[0]))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()

    def visit_If(self, node: ast.If) -> None:
        before = self._for_types
        self._for_types = before or ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body:
            self.visit(statement)
        self._for_types = before
        for statement in node.orelse:
            self.visit(statement)

    def _add(self, module: str) -> None:
        self.found.append(Import(module, self._functions[-1], self._for_types))


def imports_in(source: str) -> list[Import]:
    finder = ImportFinder()
    finder.visit(ast.parse(source))
    return finder.found


def belongs_to(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def is_dagster(module: str) -> bool:
    """Dagster itself and its companions, such as dagster_k8s."""
    return module.partition(".")[0].partition("_")[0] == "dagster"


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


DOMAIN = [
    name for name, _ in modules() if not belongs_to(name, *DAGSTER_CODE, COMMAND_LINE, "audio_compressor.__main__")
]


def in_fresh_process(code: str) -> str:
    environment = {**os.environ, "SFTP_HOST": "sftp.example.org"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import dagster as dg", Import("dagster", "", for_types=False)),
        ("from dagster import x", Import("dagster.x", "", for_types=False)),
        ("class A:\n def f(self):\n  if 1:\n   import dagster", Import("dagster", "f", for_types=False)),
        ("import importlib\nimportlib.import_module('dagster')", Import("dagster", "", for_types=False)),
        ("if TYPE_CHECKING:\n import dagster", Import("dagster", "", for_types=True)),
        ("if TYPE_CHECKING:\n pass\nelse:\n import dagster", Import("dagster", "", for_types=False)),
        ("if TYPE_CHECKING:\n pass\nimport dagster", Import("dagster", "", for_types=False)),
    ],
)
def test_every_form_of_an_import_is_found(source: str, expected: Import) -> None:
    assert expected in imports_in(source)


def test_the_layers_are_where_they_are_looked_for() -> None:
    assert len(DOMAIN) > 40
    assert {"audio_compressor.recording", "audio_compressor.intake.plan", "audio_compressor.sftp.session"} <= set(
        DOMAIN
    )
    dagster_code = [path.read_text() for name, path in modules() if belongs_to(name, *DAGSTER_CODE)]
    assert sum(any(is_dagster(found.module) for found in imports_in(source)) for source in dagster_code) > 10


@pytest.mark.parametrize(("name", "path"), [pytest.param(name, path, id=name) for name, path in modules()])
def test_only_dagster_code_imports_dagster(name: str, path: Path) -> None:
    if belongs_to(name, *DAGSTER_CODE):
        return
    found = [item for item in imports_in(path.read_text()) if is_dagster(item.module)]
    if belongs_to(name, COMMAND_LINE):
        found = [item for item in found if not item.for_types and (name, item.function) != OPENS_THE_INSTANCE]
    assert found == []


@pytest.mark.parametrize("name", DOMAIN)
def test_the_domain_does_not_use_what_is_built_on_it(name: str) -> None:
    found = imports_in(dict(modules())[name].read_text())
    assert [item for item in found if belongs_to(item.module, *DAGSTER_CODE, COMMAND_LINE)] == []


def test_the_whole_domain_is_imported_without_dagster() -> None:
    code = f"import sys, {', '.join(DOMAIN)}\nprint([name for name in sys.modules if name.startswith('dagster')])"
    assert in_fresh_process(code).strip() == "[]"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import audio_compressor.definitions", id="imported"),
        pytest.param("import audio_compressor.definitions as d; d.audio_compressor()", id="loaded"),
    ],
)
def test_the_code_location_loads_nothing_heavy(code: str) -> None:
    loaded = in_fresh_process(f"import sys\n{code}\nprint(*sys.modules)").split()
    assert "dagster" in loaded
    assert HEAVY & set(loaded) == set()


def test_importing_the_code_location_reads_no_environment() -> None:
    """Tests and tools import it without a configuration; only loading the definitions needs one."""
    in_fresh_process("import os; os.environ.pop('SFTP_HOST'); import audio_compressor.definitions")
