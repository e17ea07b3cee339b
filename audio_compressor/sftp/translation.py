"""The one place where errors of paramiko, of sockets and of SFTP answers become this project's errors."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from paramiko import AuthenticationException, BadAuthenticationType, SSHException
from paramiko.sftp import SFTPError
from paramiko.ssh_exception import IncompatiblePeer

from audio_compressor.errors import (
    AccessDeniedError,
    AudioCompressorError,
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    OutOfSpaceError,
    RemoteFileMissingError,
    StorageError,
    TimedOutError,
)

# Servers put these into the text of a plain "failure": version 3 of the protocol has no code for a full disk.
_FULL = ("no space", "quota", "disk full", "enospc", "edquot")


@contextmanager
def remote_errors(server: str, doing: str) -> Iterator[None]:
    """Translate every library error of the block; ``doing`` is for its text, such as "reading /x"."""
    try:
        yield
    except (SSHException, SFTPError, OSError, EOFError) as error:
        raise translated(error, server, doing) from error


def translated(error: Exception, server: str, doing: str) -> AudioCompressorError:
    """The error to raise for a library's error."""
    if isinstance(error, BadAuthenticationType):
        allowed = ", ".join(error.allowed_types) or "nothing that we know"
        return AuthenticationError(
            f"{server} does not accept this kind of credentials; it accepts {allowed}. "
            "Give a password or a private key accordingly"
        )
    if isinstance(error, AuthenticationException):
        if "transport shut down" in str(error):  # no answer to the login: too many connections, or a restart
            return ConnectionLostError(f"{server} closed the connection during the login")
        if "timeout" in str(error).lower():
            return TimedOutError(f"{server} did not answer the login in time")
        return AuthenticationError(f"{server} refuses the user name with this password or key; check the credentials")
    if isinstance(error, IncompatiblePeer):
        text = (
            f"SFTP_HOST: {server} and this program have no SSH algorithm in common ({error}). Update the SSH software "
            "of the server, or allow there one of curve25519-sha256 and ecdh-sha2-nistp256 (KexAlgorithms), "
            "aes128-gcm@openssh.com and aes128-ctr (Ciphers), hmac-sha2-256 (MACs), and ssh-ed25519, "
            "ecdsa-sha2-nistp256 and rsa-sha2-512 (HostKeyAlgorithms)"
        )
        return ConfigurationError([text])
    if isinstance(error, SSHException):
        return _ssh_error(error, server, doing)
    if isinstance(error, SFTPError):
        return ConnectionLostError(f"{server} sent something that is not SFTP while {doing}: {error}")
    if isinstance(error, EOFError):
        return ConnectionLostError(f"{server} closed the connection while {doing}")
    if isinstance(error, OSError):
        return _os_error(error, server, doing)
    raise TypeError(f"not a library error: {type(error).__name__}")


def _ssh_error(error: SSHException, server: str, doing: str) -> AudioCompressorError:
    text = str(error)
    if "timeout" in text.lower() or "timed out" in text.lower() or isinstance(error.__context__, TimeoutError):
        return TimedOutError(f"{server} did not answer in time while {doing}: {text}")
    if "banner" in text.lower():
        return ConnectionLostError(f"{server} did not answer as an SSH server does: {text}; check host and port")
    return ConnectionLostError(f"The connection to {server} broke while {doing}: {text}")


def _os_error(error: OSError, server: str, doing: str) -> AudioCompressorError:
    text = error.strerror or str(error)
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return TimedOutError(f"{server} did not answer in time while {doing}")
    if isinstance(error, socket.gaierror):
        return ConnectionLostError(f"The name of {server} does not resolve ({text}); check SFTP_HOST and DNS")
    if isinstance(error, ConnectionRefusedError):
        return ConnectionLostError(f"{server} refuses connections; does it run, and is SFTP_PORT right?")
    # What follows are answers of the server, to which paramiko gives these two numbers or none.
    if error.errno == errno.ENOENT:
        return RemoteFileMissingError(f"{server} has no such file or directory ({doing})")
    if error.errno == errno.EACCES:
        return AccessDeniedError(f"{server} denies permission ({doing}); check the account's rights there")
    if error.errno is None and "socket is closed" not in text.lower():
        if any(word in text.lower() for word in _FULL):
            return OutOfSpaceError(f"{server} has no space left ({doing}: {text})")
        return StorageError(f"{server} answered '{text or 'failure'}' ({doing})")
    return ConnectionLostError(f"The connection to {server} broke while {doing}: {text}")
