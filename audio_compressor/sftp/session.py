"""Opens one SSH connection with an SFTP session in it: TCP, host key, login, channel, each within its time limit."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from paramiko import BadAuthenticationType, PKey, Transport

from audio_compressor.errors import TimedOutError
from audio_compressor.sftp.client import PipelinedSftpClient
from audio_compressor.sftp.credentials import Credentials
from audio_compressor.sftp.endpoint import SftpEndpoint
from audio_compressor.sftp.hostkeys import KnownHosts
from audio_compressor.sftp.translation import remote_errors

# Paramiko logs every failure that it also raises, with a traceback; ours are translated, raised and logged once.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class _FastTransport(Transport):
    # Its own order starts with aes128-ctr: 68 to 100 MB/s instead of 131 to 149 (115 MB over loopback).
    _preferred_ciphers = (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        *(cipher for cipher in Transport._preferred_ciphers if "gcm" not in cipher),  # type: ignore[attr-defined]
    )


@dataclass(frozen=True)
class Session:
    """An open connection. Closing the transport, from any thread, wakes up whoever waits for an answer."""

    transport: Transport
    client: PipelinedSftpClient


def open_session(endpoint: SftpEndpoint, on_connecting: Callable[[Transport], None]) -> Session:
    """Connect, check the host key, log in. ``on_connecting`` is given the transport before anything goes over it.

    Raises:
        CredentialsError, HostKeyError, AuthenticationError: for good.
        ConnectionLostError, TimedOutError: may pass.
    """
    credentials = endpoint.credentials()
    key = credentials.load_private_key()
    known_hosts = KnownHosts(endpoint.known_hosts, endpoint.host_key_policy, endpoint.host, endpoint.port)
    timeouts = endpoint.timeouts
    with remote_errors(endpoint.server, "connecting"):
        connected = socket.create_connection((endpoint.host, endpoint.port), timeout=timeouts.connect_seconds)
    # Without it small requests wait for the acknowledgement of earlier ones: 50 MB/s instead of 200 over loopback.
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    transport = _FastTransport(connected)
    try:
        on_connecting(transport)
        with _time_limit(transport, endpoint), remote_errors(endpoint.server, "connecting"):
            transport.banner_timeout = transport.handshake_timeout = timeouts.banner_seconds
            transport.auth_timeout = timeouts.auth_seconds
            options = transport.get_security_options()
            options.key_types = known_hosts.preferred_algorithms(options.key_types)
            transport.start_client()
            known_hosts.verify(transport.get_remote_server_key())
            _log_in(transport, credentials, key)
            transport.set_keepalive(endpoint.keepalive_seconds)
            channel = transport.open_session(timeout=timeouts.channel_seconds)
            channel.settimeout(timeouts.channel_seconds)
            channel.invoke_subsystem("sftp")
            return Session(transport, PipelinedSftpClient(channel))
    except BaseException:
        transport.close()
        connected.close()
        raise


@contextmanager
def _time_limit(transport: Transport, endpoint: SftpEndpoint) -> Iterator[None]:
    """Close the transport when a step takes longer than all of them may: paramiko waits for some without a limit."""
    timeouts = endpoint.timeouts
    seconds = timeouts.banner_seconds + timeouts.auth_seconds + timeouts.channel_seconds
    passed = threading.Event()

    def give_up() -> None:
        passed.set()
        transport.close()

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if passed.is_set():
            raise TimedOutError(f"{endpoint.server} did not open a session within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
        timer.join()


def _log_in(transport: Transport, credentials: Credentials, key: PKey | None) -> None:
    if key is not None:
        wanted_too = transport.auth_publickey(credentials.username, key)
    else:
        wanted_too = transport.auth_password(credentials.username, credentials.password or "")
    if wanted_too:
        raise BadAuthenticationType("one method is not enough", wanted_too)
