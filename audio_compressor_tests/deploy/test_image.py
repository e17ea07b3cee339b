"""The Dockerfile: what gets into the image and what does not, as whom it runs, and what it is made from."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from audio_compressor.cli.environment import SHIPPED_CONFIG
from audio_compressor.settings import Settings
from audio_compressor_tests.deploy.dockerfile import Stage, lineage, stages
from audio_compressor_tests.fixtures.studio import CHECKOUT

STAGES = stages()
IMAGE, DEMO = STAGES[-1], next(stage for stage in STAGES if stage.name == "demo")
INSTALLED = "/opt/audio-compressor"
PINNED = re.compile(r"^([a-z/]+:\d+\.\d+\.\d+-[a-z-]+)@sha256:[0-9a-f]{64}$")


def built(stage: Stage) -> list[Stage]:
    return lineage(STAGES, stage)


def removed_before_it_is_installed() -> list[str]:
    [application] = [stage for stage in STAGES if stage.name == "application"]
    [run] = application.all("RUN")
    first, *_ = run.arguments.split(" && ")
    command, option, *paths = first.split()
    assert [command, option] == ["rm", "-r"]
    return paths


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, str(CHECKOUT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_stage_is_built_on_one_pinned_image() -> None:
    images = {stage.base for stage in STAGES} - {stage.name for stage in STAGES}
    [image] = images
    pinned = PINNED.match(image)
    assert pinned is not None
    [label] = [each for each in IMAGE.all("LABEL") if "base.name" in each.arguments]
    assert f'org.opencontainers.image.base.name="docker.io/library/{pinned[1]}"' in label.arguments


@pytest.mark.parametrize("stage", [IMAGE, DEMO], ids=["image", "demo"])
def test_no_compiler_and_no_installer_comes_near(stage: Stage) -> None:
    """In what the image is built upon, commands only make the user and the directories; the rest is copied."""
    commands = [command for each in built(stage) for run in each.all("RUN") for command in run.arguments.split(" && ")]
    assert [command.split()[0] for command in commands] == ["groupadd", "useradd", "install"]
    copied = [(copy.options.get("from", ""), copy.words[-1]) for each in built(stage) for copy in each.all("COPY")]
    application = "application" if stage is IMAGE else "demo-application"
    assert {source for source, _ in copied} <= {"dependencies", application, ""}
    assert all(target.startswith(INSTALLED) for _, target in copied)


def test_the_image_works_without_what_is_left_out_of_it(tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "audio_compressor", tmp_path / "audio_compressor")
    for path in removed_before_it_is_installed():
        left_out = tmp_path / path
        shutil.rmtree(left_out) if left_out.is_dir() else left_out.unlink()
    assert not list(tmp_path.rglob("*demo*"))

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SFTP_HOST": "sftp.example.org"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    which = run("-c", "import audio_compressor; print(audio_compressor.__file__)")
    assert which.stdout.startswith(str(tmp_path))
    loaded = run("-c", "from audio_compressor.definitions import audio_compressor as a; a().get_repository_def()")
    assert (loaded.returncode, loaded.stderr) == (0, "")
    demo = run("-m", "audio_compressor", "demo")
    assert demo.returncode == 2
    assert "the container image leaves the demo out" in demo.stderr


def test_it_runs_as_a_number_that_is_not_root() -> None:
    for stage in (IMAGE, DEMO):
        users = [user.arguments for each in reversed(built(stage)) for user in each.all("USER")]
        assert users == ["10001:10001"]


def test_what_is_written_is_in_directories_of_that_user() -> None:
    [runtime] = [stage for stage in STAGES if stage.name == "runtime"]
    [environment] = runtime.all("ENV")
    variables = dict(word.split("=", 1) for word in environment.words)
    [run] = runtime.all("RUN")
    install = run.arguments.split(" && ")[-1].split()
    owned = set(install[install.index("10001", install.index("--group")) + 1 :])
    assert owned == {"/data", "/data/compressed", "/var/lib/audio-compressor"}
    assert {"--owner", "10001"} <= set(install)
    assert variables["HOME"] == "/tmp"
    assert variables["DAGSTER_HOME"] in owned
    assert variables["OUTPUT_DIR"] in owned
    assert str(Path(variables["SFTP_KNOWN_HOSTS"]).parent) in owned
    ours = {
        name for name in variables if name not in {"HOME", "PATH", "DAGSTER_HOME"} and not name.startswith("PYTHON")
    }
    assert ours <= {name.upper() for name in Settings.model_fields}


def test_the_command_line_is_the_role() -> None:
    for each in built(IMAGE):
        assert not each.all("ENTRYPOINT")  # Kubernetes' launcher gives only arguments
    [check] = IMAGE.all("HEALTHCHECK")
    assert check.arguments == 'CMD ["python", "-m", "audio_compressor.healthcheck"]'


def test_the_shipped_instance_is_where_the_command_looks_for_it() -> None:
    """Beside the package, in a checkout as in the image."""
    assert SHIPPED_CONFIG == CHECKOUT / "dagster.yaml"
    [copy] = [copy for copy in IMAGE.all("COPY") if "from" not in copy.options]
    python = re.search(r":(\d+\.\d+)\.", built(IMAGE)[-1].base)
    assert python is not None
    assert copy.words == ["dagster.yaml", f"{INSTALLED}/lib/python{python[1]}/site-packages/"]


def test_the_builder_sees_only_what_the_dockerfile_copies() -> None:
    first, *lines = [line for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert first == "*"
    seen = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        word for stage in STAGES for copy in stage.all("COPY") if "from" not in copy.options for word in copy.words[:-1]
    }
    assert {re.sub(r"^requirements.*\.lock$", "requirements*.lock", word) for word in copied} == seen
    assert all((CHECKOUT / word).exists() for word in copied)


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (CHECKOUT / name).read_text(), re.MULTILINE))


def test_everything_that_is_installed_is_locked_with_its_hashes() -> None:
    installs = [
        command
        for stage in STAGES
        for run in stage.all("RUN")
        for command in run.arguments.split(" && ")
        if " install " in command and "pip" in command
    ]
    assert len(installs) == 5
    for command in installs:
        assert "--no-deps" in command
        assert ("--require-hashes" in command and "--only-binary :all:" in command) or command.endswith(" wheel/*.whl")


def test_the_locks_fit_together() -> None:
    """The demo's has nothing but the demo's, the product's nothing of it, and development works with both."""
    product, demo, development = (locked(f"requirements{name}.lock") for name in ("", "-demo", "-dev"))
    assert set(demo) >= {"asyncssh", "flask", "moto"}
    assert not set(product) & set(demo)
    assert {**product, **demo}.items() <= development.items()
    needed = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert needed == ["setuptools>=77"]
    assert set(locked("requirements-build.lock")) == {"setuptools"}
    assert int(locked("requirements-build.lock")["setuptools"].split(".")[0]) >= 77
