"""Runs launched by the real K8sRunLauncher with the configuration of a rendering, against a stand-in for the API.

Two things differ from a cluster: the address of the API and the token are in a kubeconfig, and the instance of these
tests keeps its events in SQLite (test_roles.py has PostgreSQL).
"""

import copy
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher.base import LaunchRunContext, RunLauncher
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_k8s import K8sRunLauncher

from audio_compressor_tests.deploy.kubernetes_api import Cluster, kubernetes_api, rights_of
from audio_compressor_tests.deploy.rendered import Object, Rendered

_LAUNCHED: dict[str, Object] = {}
IMAGE = "registry.example/audio-compressor:v1"


@dataclass
class Launching:
    """An instance whose launcher speaks to ``cluster``."""

    instance: dg.DagsterInstance
    cluster: Cluster

    @property
    def launcher(self) -> RunLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, K8sRunLauncher)
        return launcher

    def launch(self, *, tags: dict[str, str] | None = None, container_context: Object | None = None) -> dg.DagsterRun:
        """A run of the code location as its code server describes itself: with its image."""
        repository = RepositoryPythonOrigin(
            executable_path=sys.executable,
            code_pointer=ModuleCodePointer("audio_compressor.definitions", "audio_compressor"),
            container_image=IMAGE,
            entry_point=["dagster"],
            container_context=container_context,
        )

        @dg.job(name="compression_job")
        def any_job() -> None: ...

        run = self.instance.create_run_for_job(
            any_job, tags=tags, job_code_origin=JobPythonOrigin("compression_job", repository)
        )
        self.launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        launched = self.instance.get_run_by_id(run.run_id)
        assert launched is not None
        return launched

    def job_of(self, run: dg.DagsterRun) -> Object:
        return self.cluster.jobs[f"dagster-run-{run.run_id}"]


@contextmanager
def launching(rendered: Rendered, directory: Path) -> Iterator[Launching]:
    kubeconfig = directory / "kubeconfig"
    with kubernetes_api(rights_of(rendered, "dagster"), kubeconfig) as cluster:
        config: dict[str, Any] = rendered.instance
        del config["storage"]
        config["run_launcher"]["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
        home = directory / "home"
        home.mkdir()
        (home / "dagster.yaml").write_text(yaml.safe_dump(config))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield Launching(instance, cluster)


def launched_job(rendered: Rendered) -> Object:
    """The Job of some run; made once for each configuration of the launcher."""
    key = json.dumps(rendered.instance["run_launcher"], sort_keys=True)
    if key not in _LAUNCHED:
        with tempfile.TemporaryDirectory() as directory, launching(rendered, Path(directory)) as ours:
            _LAUNCHED[key] = ours.job_of(ours.launch())
    return copy.deepcopy(_LAUNCHED[key])
