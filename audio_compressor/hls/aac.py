"""AAC as containers describe it: AudioSpecificConfig in MP4, ADTS headers in a transport stream. Pure."""

from dataclasses import dataclass

from audio_compressor.errors import NotAudioError

# ISO/IEC 14496-3, table 1.18.
_SAMPLE_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_RATE_FOLLOWS = 15
AAC_LC = 2
# The profile field of ADTS is the object type less one (ISO/IEC 14496-3, 1.A.2.2.1).
_ADTS_HEADER_BYTES = 7
FRAME_SAMPLES = 1024


@dataclass(frozen=True)
class AacStream:
    """``object_type`` is MPEG-4's number of the kind of AAC; 2 is AAC-LC."""

    object_type: int
    sample_rate_hz: int
    channels: int

    @property
    def codec(self) -> str:
        """For CODECS (RFC 6381, 3.3): ``mp4a``, object type 0x40 of MPEG-4 audio, and the kind of AAC."""
        return f"mp4a.40.{self.object_type}"


@dataclass(frozen=True)
class AdtsFrames:
    """A run of ADTS frames; ``payload_bytes`` is what is in them, ``left_bytes`` what follows the last whole one."""

    frames: int
    payload_bytes: int
    streams: frozenset[AacStream]
    left_bytes: int


def parse_audio_specific_config(config: bytes) -> AacStream:
    """Raises NotAudioError when it is cut off, or its frames are not of 1024 samples."""
    bits = _Bits(config)
    object_type = bits.take(5)
    if object_type == 31:
        object_type = 32 + bits.take(6)
    sample_rate_hz = _rate(bits)
    channels = _channels(bits.take(4))
    if object_type == AAC_LC and bits.take(1):
        raise NotAudioError("the AAC has frames of 960 samples, which no player expects; encode it again")
    return AacStream(object_type, sample_rate_hz, channels)


def parse_adts(data: bytes) -> AdtsFrames:
    """Counts frames to the first place where none begins."""
    position = frames = headers = 0
    streams = set()
    while position + _ADTS_HEADER_BYTES <= len(data):
        header = data[position : position + _ADTS_HEADER_BYTES]
        if header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
            break
        index = header[2] >> 2 & 15
        frame_bytes = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        if index >= len(_SAMPLE_RATES_HZ) or not _ADTS_HEADER_BYTES < frame_bytes <= len(data) - position:
            break
        channels = _channels((header[2] & 1) << 2 | header[3] >> 6)
        streams.add(AacStream((header[2] >> 6) + 1, _SAMPLE_RATES_HZ[index], channels))
        frames += 1 + (header[6] & 3)
        headers += 1
        position += frame_bytes
    payload_bytes = position - headers * _ADTS_HEADER_BYTES
    return AdtsFrames(frames, payload_bytes, frozenset(streams), len(data) - position)


def _rate(bits: "_Bits") -> int:
    index = bits.take(4)
    if index == _RATE_FOLLOWS:
        return bits.take(24)
    if index >= len(_SAMPLE_RATES_HZ):
        raise NotAudioError("the AAC has a sample rate that does not exist; encode it again")
    return _SAMPLE_RATES_HZ[index]


def _channels(configuration: int) -> int:
    return 8 if configuration == 7 else configuration


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise NotAudioError("the description of the AAC is cut off; encode it again")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)
