"""Who we are to the SFTP server: from AWS Secrets Manager, else from the environment.

Read anew for every connection, so that a rotated secret is used by the next one. No text made here holds a secret.
"""

import io
import json
import logging
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from paramiko import ECDSAKey, Ed25519Key, PKey, RSAKey

from audio_compressor.errors import CredentialsError
from audio_compressor.settings import CredentialSettings
from audio_compressor.sftp.secrets_manager import fetch_secret

log = logging.getLogger(__name__)

DO_NOT_ASK = "none"
# A key of RSA with 16,384 bits has 13 kB.
_MOST_KEY_BYTES = 100_000
_PARAMIKO_KEYS: tuple[tuple[Any, type[PKey]], ...] = (
    (rsa.RSAPrivateKey, RSAKey),
    (ec.EllipticCurvePrivateKey, ECDSAKey),
    (ed25519.Ed25519PrivateKey, Ed25519Key),
)


@dataclass(frozen=True)
class Credentials:
    """A user name with a password or a private key, which goes first; ``origin`` says where they are from."""

    username: str
    origin: str
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    private_key_path: Path | None = None

    def load_private_key(self) -> PKey | None:
        """The private key, if there is one.

        Raises:
            CredentialsError: it cannot be read, others can read it too, is encrypted, or is of a kind that SSH no
                longer uses.
        """
        if self.private_key is not None:
            return _parse_private_key(self.private_key.encode(), f"the private key in {self.origin}")
        if self.private_key_path is None:
            return None
        try:
            with self.private_key_path.open("rb") as file:
                _require_private(self.private_key_path, os.fstat(file.fileno()))
                data = file.read(_MOST_KEY_BYTES)
        except OSError as error:
            raise CredentialsError(
                f"SFTP_PRIVATE_KEY_PATH is {self.private_key_path}, which cannot be read: {error.strerror}"
            ) from error
        return _parse_private_key(data, f"the private key {self.private_key_path}")


def resolve_credentials(secrets_name: str, region: str) -> Credentials:
    """Ask Secrets Manager (unless ``secrets_name`` is ``none``), then the environment.

    Raises:
        CredentialsError: there are none, or the secret is there but cannot be used.
        ConnectionLostError, TimedOutError: Secrets Manager fails in a way that may pass, and the environment has none.
    """
    if secrets_name.lower() == DO_NOT_ASK:
        return _from_environment("was not asked")
    found = fetch_secret(secrets_name, region)
    if isinstance(found, str):
        return _from_secret(found, secrets_name)
    log.log(found.level, "No SFTP credentials from %s: %s; trying the environment", _origin(secrets_name), found.reason)
    try:
        return _from_environment(f"gave no secret '{secrets_name}' ({found.reason})")
    except CredentialsError:
        if found.may_pass is not None:
            raise found.may_pass from None
        raise


def _from_secret(text: str, name: str) -> Credentials:
    wanted = "it must be a JSON object with username and password or private_key"
    try:
        secret: Any = json.loads(text)
    except ValueError:
        # Not chained: the error's text would quote the secret.
        raise CredentialsError(f"{_origin(name)} is not JSON; {wanted}") from None
    if not isinstance(secret, dict):
        raise CredentialsError(f"{_origin(name)} is JSON, but not an object; {wanted}")
    values = {key: secret.get(key) or None for key in ("username", "password", "private_key")}
    for key, value in values.items():
        if value is not None and not isinstance(value, str):
            raise CredentialsError(f"{_origin(name)}: '{key}' is not a text; {wanted}")
    if not values["username"]:
        raise CredentialsError(f"{_origin(name)} has no 'username'; {wanted}")
    if not values["password"] and not values["private_key"]:
        raise CredentialsError(f"{_origin(name)} has neither 'password' nor 'private_key'; {wanted}")
    return Credentials(
        username=values["username"],
        password=values["password"],
        private_key=values["private_key"],
        origin=_origin(name),
    )


def _from_environment(secrets_manager: str) -> Credentials:
    settings = CredentialSettings()
    password = settings.sftp_password.get_secret_value()
    path = settings.sftp_private_key_path
    if not settings.sftp_username or not (password or path):
        missing = "SFTP_USERNAME is not set" if not settings.sftp_username else "there is no password and no key"
        raise CredentialsError(
            f"No SFTP credentials: AWS Secrets Manager {secrets_manager}, and in the environment {missing}. Either "
            "store a JSON object with username and password or private_key there and name it in SFTP_SECRETS_NAME, or "
            "set SFTP_USERNAME with SFTP_PASSWORD or SFTP_PRIVATE_KEY_PATH"
        )
    return Credentials(
        username=settings.sftp_username,
        password=password or None,
        private_key_path=Path(path).expanduser() if path else None,
        origin="environment",
    )


def _require_private(path: Path, found: os.stat_result) -> None:
    """As OpenSSH does (sshkey_perm_ok): a key of our own must be for our eyes only. One that belongs to somebody else,
    such as a mounted Kubernetes secret, is as its owner made it, but for everybody it is not either.
    """
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid == os.geteuid() and mode & 0o077:
        raise CredentialsError(
            f"The private key {path} can be used by others (mode {mode:03o}), and is not used, as by OpenSSH. If "
            f"nobody may have copied it: chmod 600 {path}; else make a new one"
        )
    if mode & 0o007:
        log.warning("The private key %s can be read by everybody on this machine (mode %03o)", path, mode)


def _parse_private_key(data: bytes, what: str) -> PKey:
    """Any format that OpenSSH or OpenSSL writes; paramiko alone does not read PKCS #8."""
    try:
        key = _load_any(data)
    except TypeError:
        raise CredentialsError(f"{what} is encrypted; give one without a passphrase") from None
    except Exception:  # the parsers raise many kinds, and some quote what they read
        raise CredentialsError(f"{what} is not a private key in OpenSSH or PEM format") from None
    for kind, paramiko_key in _PARAMIKO_KEYS:
        if isinstance(key, kind):
            text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
            return paramiko_key.from_private_key(io.StringIO(text))
    raise CredentialsError(f"{what} is of a kind that is not used any more; make an Ed25519, ECDSA or RSA key")


def _load_any(data: bytes) -> Any:
    try:
        return load_ssh_private_key(data, password=None)
    except ValueError:
        return load_pem_private_key(data, password=None)


def _origin(name: str) -> str:
    return f"AWS Secrets Manager secret '{name}'"
