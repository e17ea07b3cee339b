"""Every error goes from process to process as it is: downloads run in one of their own."""

import pickle
from collections.abc import Iterator

import pytest

from audio_compressor import errors
from audio_compressor.errors import AudioCompressorError, ConfigurationError, ManifestError, VerificationError


def all_kinds(kind: type[AudioCompressorError]) -> Iterator[type[AudioCompressorError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from all_kinds(below)


def example(kind: type[AudioCompressorError]) -> AudioCompressorError:
    if kind is VerificationError:
        return VerificationError("too short", check="duration_matches")
    if kind is ConfigurationError:
        return ConfigurationError(["SFTP_PORT is 'x'", "SFTP_HOST is not set"])
    if kind is ManifestError:
        return ManifestError("cannot be read", ["line 3"])
    return kind("what happened")


@pytest.mark.parametrize(
    "kind", [kind for kind in all_kinds(AudioCompressorError) if kind.__module__ == errors.__name__]
)
def test_it_survives_pickling(kind: type[AudioCompressorError]) -> None:
    error = example(kind)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is kind
    assert (str(copy), vars(copy)) == (str(error), vars(error))
