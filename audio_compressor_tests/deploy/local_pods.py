"""Containers of the manifests as processes of this machine: their command lines, their environment and nothing of ours,
their volumes as directories.

What cannot be the same here: paths of mounts begin with a directory of the test, hosts are 127.0.0.1, ports free ones.
"""

import base64
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from audio_compressor_tests.deploy.probes import accepts, free_port, grpc_is_serving, http_answers
from audio_compressor_tests.deploy.rendered import NAMESPACE, Object, Rendered
from audio_compressor_tests.fixtures.studio import CHECKOUT


@dataclass
class Machine:
    """Where the pods of one rendering live. ``ports`` has the local one for each port of a manifest, ``hosts`` the
    address for values that are names of hosts; ``texts`` are replaced in configuration files.
    """

    rendered: Rendered
    directory: Path
    ports: dict[int, int] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def port(self, of_manifest: int) -> int:
        return self.ports.setdefault(of_manifest, free_port())

    def claim(self, namespace: str, name: str) -> Path:
        """Claims of both namespaces on the same export are one directory."""
        path = self.directory / "volumes" / (name if name == "audio-compressed-pvc" else f"{namespace}-{name}")
        path.mkdir(parents=True, exist_ok=True)
        return path

    def translate(self, text: str) -> str:
        for old, new in self.texts.items():
            text = text.replace(old, new)
        return text


class Container:
    """One container of a pod. ``root`` stands for its root directory: mounts are links below it."""

    def __init__(self, machine: Machine, template: Object, container: Object, name: str) -> None:
        self.spec = container
        self.name = name
        self._machine = machine
        self._namespace = template["metadata"].get("namespace", NAMESPACE)
        self.root = machine.directory / "pods" / name
        self.log = machine.directory / f"{name}.log"
        volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
        # Mounts in other mounts come last, as in a container.
        for mount in sorted(container.get("volumeMounts", []), key=lambda mount: mount["mountPath"].count("/")):
            self._mount(mount, volumes[mount["name"]])
        self.environment = self._environment()
        self.command = [self._local(word) for word in [*container.get("command", []), *container["args"]]]

    def _mount(self, mount: Object, volume: Object) -> None:
        at = self.root / mount["mountPath"].lstrip("/")
        source = self._volume(volume)
        at.parent.mkdir(parents=True, exist_ok=True)
        if not at.is_symlink():
            at.symlink_to(source / mount.get("subPath", ""))

    def _volume(self, volume: Object) -> Path:
        if "persistentVolumeClaim" in volume:
            return self._machine.claim(self._namespace, volume["persistentVolumeClaim"]["claimName"])
        path = self._machine.directory / "volumes" / f"{self.name}-{volume['name']}"
        path.mkdir(parents=True, exist_ok=True)
        for name, content in self._files(volume).items():
            (path / name).write_text(content)
        return path

    def _files(self, volume: Object) -> dict[str, str]:
        if "configMap" in volume:
            data = self._object("ConfigMap", volume["configMap"]["name"])["data"]
            return {name: self._machine.translate(content) for name, content in data.items()}
        if "secret" in volume:
            assert volume["secret"]["optional"] is True, volume
            return {}
        assert "emptyDir" in volume, volume
        return {}

    def _object(self, kind: str, name: str) -> Object:
        return self._machine.rendered.get(kind, name, self._namespace)

    def _environment(self) -> dict[str, str]:
        given: dict[str, str] = {}
        for source in self.spec.get("envFrom", []):
            if "configMapRef" in source:
                given.update(self._object("ConfigMap", source["configMapRef"]["name"])["data"])
            else:
                given.update(secret_data(self._object("Secret", source["secretRef"]["name"])))
        for entry in self.spec.get("env", []):
            given[entry["name"]] = entry["value"] if "value" in entry else self._value(entry["valueFrom"])
        local = {name: self._local(self._machine.hosts.get(value, value)) for name, value in given.items()}
        # Of the image: where programs are. PYTHONPATH: this checkout, which it has installed.
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {"PATH": programs, "PYTHONPATH": str(CHECKOUT), "HOME": self._local("/tmp"), **local}

    def _value(self, source: Object) -> str:
        if "secretKeyRef" in source:
            reference = source["secretKeyRef"]
            return secret_data(self._object("Secret", reference["name"]))[reference["key"]]
        reference = source["configMapKeyRef"]
        value = self._object("ConfigMap", reference["name"])["data"][reference["key"]]
        assert isinstance(value, str)
        return value

    def _local(self, word: str) -> str:
        """A port, or a path in a directory at the root in which something is mounted."""
        if word.isdigit() and int(word) in self._machine.ports:
            return str(self._machine.ports[int(word)])
        word = re.sub(
            rf"{self._machine.directory}/pods/[^/\"]+", "", word
        )  # of another container, which told it this one
        mounts = [mount["mountPath"] for mount in self.spec.get("volumeMounts", [])]
        tops = "|".join(sorted({re.escape(f"/{path.split('/')[1]}") for path in mounts}))
        return (
            re.sub(rf'(?<![\w/.])(?:{tops})(?=[/"]|$)', lambda match: f"{self.root}{match[0]}", word) if tops else word
        )

    def run(self, timeout_seconds: float = 120) -> int:
        """To its end; gives its exit code."""
        with self.log.open("ab") as log:
            done = subprocess.run(
                self.command,
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=timeout_seconds,
                check=False,
            )
        return done.returncode

    @contextmanager
    def running(self) -> Iterator["Running"]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command,
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield Running(self, process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def probe(self, kind: str) -> bool:
        """Once, as a kubelet would."""
        probe = self.spec[kind]
        timeout_seconds = probe.get("timeoutSeconds", 1)
        if "grpc" in probe:
            port = self._machine.port(probe["grpc"]["port"])
            return grpc_is_serving(port, probe["grpc"]["service"], timeout_seconds)
        if "httpGet" in probe:
            return http_answers(self._port(probe["httpGet"]["port"]), probe["httpGet"]["path"], timeout_seconds)
        if "tcpSocket" in probe:
            return accepts(self._port(probe["tcpSocket"]["port"]), timeout_seconds)
        command = [self._local(word) for word in probe["exec"]["command"]]
        try:
            with self.log.open("ab") as log:
                done = subprocess.run(
                    command,
                    cwd=self.root,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    timeout=timeout_seconds,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def _port(self, name: str | int) -> int:
        [number] = [
            port["containerPort"] for port in self.spec["ports"] if name in (port["name"], port["containerPort"])
        ]
        return self._machine.port(number)


@dataclass
class Running:
    """A container that was started."""

    container: Container
    process: "subprocess.Popen[bytes]"

    def wait_until_started(self) -> float:
        """Until its startup probe succeeds; gives the seconds. Fails when a kubelet would have given up."""
        probe = self.container.spec["startupProbe"]
        patience_seconds = probe["failureThreshold"] * probe.get("periodSeconds", 10)
        started = time.monotonic()
        while not self.container.probe("startupProbe"):
            waited = time.monotonic() - started
            assert self.process.poll() is None, f"{self.container.name} ended: {self.tail()}"
            assert waited < patience_seconds, f"{self.container.name} did not start: {self.tail()}"
            time.sleep(0.5)
        return time.monotonic() - started

    def stop(self, grace_seconds: float) -> int:
        """As a kubelet: SIGTERM to process 1. Fails when it would have been killed; gives the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(grace_seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.container.name} did not end in {grace_seconds} s: {self.tail()}") from error

    def tail(self) -> str:
        return self.container.log.read_text(errors="replace")[-3000:]


def secret_data(secret: Object) -> dict[str, str]:
    plain = dict(secret.get("stringData", {}))
    return {**{name: base64.b64decode(value).decode() for name, value in secret.get("data", {}).items()}, **plain}
