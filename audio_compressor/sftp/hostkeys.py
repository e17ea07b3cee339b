"""Which host keys are trusted: a file in OpenSSH's known_hosts format (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

`accept-new` remembers a server at first contact and refuses a change ever after; `strict` trusts only what is in the
file. There is no third policy.
"""

import base64
import binascii
import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paramiko import HostKeys, PKey

from audio_compressor.errors import HostKeyError
from audio_compressor.local_files import why_others_may_write

log = logging.getLogger(__name__)

HostKeyPolicy = Literal["accept-new", "strict"]

# A key of type ssh-rsa signs with these; the signature named like the key type uses SHA-1 (RFC 8332).
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")


@dataclass(frozen=True)
class KnownKey:
    """One line of the file that names the host."""

    key_type: str
    blob: bytes
    is_revoked: bool = False


class KnownHosts:
    """The keys of one host in one known_hosts file, read anew for each connection."""

    def __init__(self, path: Path, policy: HostKeyPolicy, host: str, port: int) -> None:
        self._path = path
        self._policy = policy
        self._host = host
        self._port = port
        self._name = host.lower() if port == 22 else f"[{host.lower()}]:{port}"

    def preferred_algorithms(self, offered: Sequence[str]) -> list[str]:
        """``offered`` with those first whose keys are known, as OpenSSH does: a server with several keys would
        otherwise show one that was never seen, and look changed.
        """
        known_types = {key.key_type for key in self._read() if not key.is_revoked}
        known = known_types.union(_RSA_SIGNATURES if "ssh-rsa" in known_types else ())
        return sorted(offered, key=lambda algorithm: algorithm not in known)

    def verify(self, key: PKey) -> None:
        """Trust the key, remember it, or refuse it.

        Raises:
            HostKeyError: unknown under ``strict``, changed, revoked, or it cannot be remembered.
        """
        if self._is_known(key, self._read()):
            return
        if self._policy == "strict":
            raise HostKeyError(
                f"The host key of {self._name} is not in {self._path}, and SFTP_HOST_KEY_POLICY is strict. The server "
                f"shows {_describe(key)}. Compare that with what the server's administrator says, then add it: "
                f"ssh-keyscan -p {self._port} {self._host} >> {self._path}"
            )
        self._remember(key)

    def _is_known(self, key: PKey, known: Iterable[KnownKey]) -> bool:
        """Raises HostKeyError when other keys are known for the host, but not this one."""
        trusted = []
        for entry in known:
            if entry.is_revoked and entry.blob == key.asbytes():
                raise HostKeyError(
                    f"The host key of {self._name}, {_describe(key)}, is marked as revoked in {self._path}"
                )
            if not entry.is_revoked:
                trusted.append(entry)
        if any(entry.blob == key.asbytes() for entry in trusted):
            return True
        if not trusted:
            return False
        expected = " or ".join(f"{entry.key_type} {fingerprint(entry.blob)}" for entry in trusted)
        raise HostKeyError(
            f"The host key of {self._name} has changed: {self._path} says {expected}, the server shows {_describe(key)}"
            ". Someone may be in between. If the server was really given a new key, remove the old one: "
            f"ssh-keygen -R '{self._name}' -f {self._path}"
        )

    def _remember(self, key: PKey) -> None:
        line = f"{self._name} {key.get_name()} {key.get_base64()}\n".encode()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "rb+", buffering=0) as file:
                # Several runs may meet the server for the first time at once: look again while no other can write.
                fcntl.flock(file, fcntl.LOCK_EX)
                content = file.readall()
                if self._is_known(key, self._parse(content.decode(errors="replace"))):
                    return
                file.write(line if not content or content.endswith(b"\n") else b"\n" + line)
                os.fsync(file.fileno())
        except OSError as error:
            raise HostKeyError(
                f"The host key of {self._name} cannot be remembered in {self._path} ({error.strerror}); set "
                "SFTP_KNOWN_HOSTS to a file that can be written, or add the key and use SFTP_HOST_KEY_POLICY=strict"
            ) from error
        log.info("First contact with %s: remembered its host key %s in %s", self._name, _describe(key), self._path)

    def _read(self) -> list[KnownKey]:
        try:
            self._require_ours()
            return self._parse(self._path.read_text(errors="replace"))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise HostKeyError(f"The known hosts in {self._path} cannot be read: {error.strerror}") from error

    def _require_ours(self) -> None:
        """Whoever can change the file decides which servers are trusted. Raises HostKeyError when that is not us.

        Not its directory: those of mounted ConfigMaps and volumes have mode 777. What is mounted to be read cannot be
        changed here, whoever it belongs to, and root may use the file of a service's user.
        """
        path = self._path
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return
        found = path.stat()
        user_id = found.st_uid if os.geteuid() == 0 else os.geteuid()
        reason = why_others_may_write(found, user_id, {os.getegid(), *os.getgroups()})
        if reason:
            raise HostKeyError(
                f"The known hosts in {path} cannot be trusted: {reason}. Look whether its keys are right, then: "
                f"chown $(id -u) {path}; chmod 600 {path}"
            )

    def _parse(self, text: str) -> list[KnownKey]:
        """Lines that name the host. Malformed ones are skipped, as by OpenSSH; host certificates are not used."""
        keys = []
        for line in text.splitlines():
            fields = line.split()
            marker = fields.pop(0) if fields and fields[0].startswith("@") else None
            if len(fields) < 3 or fields[0].startswith("#") or marker not in {None, "@revoked"}:
                continue
            patterns, key_type, encoded = fields[:3]
            try:
                blob = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                continue
            if _names_host(patterns, self._name):
                keys.append(KnownKey(key_type, blob, is_revoked=marker is not None))
        return keys


def fingerprint(blob: bytes) -> str:
    """As ``ssh-keygen -l`` prints it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def _describe(key: PKey) -> str:
    return f"{key.get_name()} {fingerprint(key.asbytes())}"


def _names_host(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _is_hash_of(name, patterns)
    matches = False
    for pattern in patterns.lower().split(","):
        if _matches(pattern.removeprefix("!"), name):
            if pattern.startswith("!"):
                return False
            matches = True
    return matches


def _is_hash_of(name: str, hashed: str) -> bool:
    try:
        return HostKeys.hash_host(name, hashed) == hashed
    except (AssertionError, IndexError, ValueError):
        return False


def _matches(pattern: str, name: str) -> bool:
    # Not fnmatch: in [host]:port the brackets are themselves.
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, name) is not None
