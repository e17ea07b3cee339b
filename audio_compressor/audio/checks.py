"""The quality checks of a compression: pure judgements on what was measured, each with a sentence and its figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from audio_compressor.audio.compress import Compression
from audio_compressor.audio.levels import CANCELLATION_DB, FLOOR_DBFS, Hum, dead_channels
from audio_compressor.audio.profiles import Profile
from audio_compressor.errors import VerificationError

Figure = float | int | str

CHECKS: Mapping[str, str] = {
    "decodes_to_end": "The compressed audio decodes to its end without an error.",
    "duration_matches": "The compressed audio lasts as long as its source, within 50 ms or the codec's delay.",
    "smaller_than_original": "The compressed audio takes less space than its source.",
    "bitrate_honoured": "The compressed audio has the bitrate that BITRATE asks for.",
    "audible": "The recording is not silent but for hum, not clipped, and no channel is dead or in opposite phase.",
}

# Nothing in the file is louder than this: not even talk at the far end of a room.
_SILENT_PEAK_DBFS = -50.0
# Clipping: the peak is at full scale, and more than one sample in a thousand is within 1 dB of it. Talk that is
# well levelled stays under one in a hundred thousand.
_CLIPPED_PEAK_DBFS = -0.1
_CLIPPED_SHARE = 0.001
# Encoders of constant bitrate hold it within a percent; headers and Ogg's or MP4's framing add to it, up to 2 kB
# and 10 % in the formats here.
_BITRATE_TOLERANCE = 0.15
_HEADER_BYTES = 2000


@dataclass(frozen=True)
class CheckResult:
    """One judgement; ``severity`` is how bad it is not to pass."""

    name: str
    passed: bool
    severity: Literal["error", "warning"]
    summary: str
    figures: Mapping[str, Figure] = field(default_factory=dict)


def quality_checks(compression: Compression, original_size_bytes: int, profile: Profile) -> tuple[CheckResult, ...]:
    """Every check of `CHECKS`, in that order. A compression that exists has passed the first two."""
    return (
        _decodes_to_end(compression),
        _duration_matches(compression, profile),
        _smaller_than_original(compression, original_size_bytes),
        _bitrate_honoured(compression, profile),
        _audible(compression),
    )


def failed_checks(error: VerificationError) -> tuple[CheckResult, ...]:
    """What the first checks say when the output did not pass its verification; the others were not reached."""
    failed = CheckResult(error.check, False, "error", str(error))
    if error.check == "decodes_to_end":
        return (failed,)
    return (CheckResult("decodes_to_end", True, "error", "decodes to its end"), failed)


def _decodes_to_end(compression: Compression) -> CheckResult:
    figures = {"decoded_seconds": round(compression.duration_seconds, 3), "decoded_samples": compression.levels.samples}
    return CheckResult("decodes_to_end", True, "error", f"{compression.duration_seconds:.1f} s decoded", figures)


def _duration_matches(compression: Compression, profile: Profile) -> CheckResult:
    difference_seconds = compression.duration_seconds - compression.source.duration_seconds
    figures: dict[str, Figure] = {
        "source_seconds": round(compression.source.duration_seconds, 3),
        "compressed_seconds": round(compression.duration_seconds, 3),
        "difference_seconds": round(difference_seconds, 4),
        "allowed_seconds": round(profile.tolerance_seconds, 4),
    }
    summary = f"{abs(difference_seconds) * 1000:.0f} ms from the source's {compression.source.duration_seconds:.1f} s"
    if compression.source.repair:
        summary += f"; the source was damaged: {compression.source.repair}"
        figures["source_repair"] = compression.source.repair
    passed = abs(difference_seconds) <= profile.tolerance_seconds
    return CheckResult("duration_matches", passed, "error", summary, figures)


def _smaller_than_original(compression: Compression, original_size_bytes: int) -> CheckResult:
    ratio = original_size_bytes / compression.size_bytes
    figures = {
        "original_bytes": original_size_bytes,
        "compressed_bytes": compression.size_bytes,
        "compression_ratio": round(ratio, 2),
    }
    if compression.size_bytes < original_size_bytes:
        return CheckResult("smaller_than_original", True, "warning", f"{ratio:.1f} times smaller", figures)
    summary = (
        f"{compression.size_bytes} bytes, and the source only {original_size_bytes}; "
        "lower SAMPLE_RATE, CHANNELS or BITRATE, or choose AUDIO_FORMAT=opus"
    )
    return CheckResult("smaller_than_original", False, "warning", summary, figures)


def _bitrate_honoured(compression: Compression, profile: Profile) -> CheckResult:
    asked, achieved = profile.bitrate_kbps, compression.bitrate_kbps
    figures: dict[str, Figure] = {"requested_kbps": asked, "achieved_kbps": round(achieved, 1)}

    def result(passed: bool, summary: str) -> CheckResult:
        return CheckResult("bitrate_honoured", passed, "warning", summary, figures)

    if not profile.honours_bitrate:
        summary = (
            f"BITRATE={asked:g}k does nothing for AUDIO_FORMAT={profile.audio_format}: {achieved:.0f} kbit/s. "
            f"Set AUDIO_FORMAT=opus for {asked:g} kbit/s, {achieved / asked:.0f} times smaller"
        )
        # A lossless file can happen to be as small as asked for, such as FLAC of silence.
        return result(achieved <= asked, summary if achieved > asked else f"{achieved:.0f} kbit/s")
    headers_kbps = _HEADER_BYTES * 8 / compression.duration_seconds / 1000
    if achieved > asked * (1 + _BITRATE_TOLERANCE) + headers_kbps:
        lowest = f"{profile.audio_format} at {profile.sample_rate_hz} Hz cannot go as low as {asked:g} kbit/s"
        return result(False, f"{achieved:.0f} kbit/s: {lowest}; lower SAMPLE_RATE, or choose AUDIO_FORMAT=opus")
    if asked > profile.max_bitrate_kbps:
        highest = (
            f"{profile.audio_format} at {profile.sample_rate_hz} Hz goes up to {profile.max_bitrate_kbps:g} kbit/s"
        )
        return result(False, f"{achieved:.0f} kbit/s: {highest}; lower BITRATE")
    # Less is no fault: Opus and AAC save what quiet passages do not need.
    return result(True, f"{achieved:.1f} kbit/s, {asked:g} asked for")


def _audible(compression: Compression) -> CheckResult:
    source = compression.source
    figures: dict[str, Figure] = {
        "rms_dbfs": compression.levels.rms_dbfs,
        "peak_dbfs": compression.levels.peak_dbfs,
        "gain_db": compression.gain_db,
    }
    for number, (level, hum) in enumerate(zip(source.levels, source.hums, strict=True), start=1):
        figures[f"source_channel_{number}_rms_dbfs"] = level.rms_dbfs
        figures[f"source_channel_{number}_peak_dbfs"] = level.peak_dbfs
        figures[f"source_channel_{number}_near_full_scale_share"] = round(level.near_full_scale_share, 6)
        if hum.rms_dbfs > FLOOR_DBFS:
            figures[f"source_channel_{number}_hum_dbfs"] = hum.rms_dbfs
            figures[f"source_channel_{number}_hum_hz"] = hum.mains_hz
    if source.cancellation_db is not None:
        figures["cancellation_db"] = source.cancellation_db
    if source.worst_cancellation_db is not None:
        figures["worst_cancellation_db"] = source.worst_cancellation_db
    found = [*_silence(compression), *_clipping(compression), *_channels(compression)]
    if found:
        return CheckResult("audible", False, "warning", "; ".join(found), figures)
    summary = f"{compression.levels.rms_dbfs:.1f} dBFS RMS, peak {compression.levels.peak_dbfs:.1f} dBFS"
    return CheckResult("audible", True, "warning", summary, figures)


def _silence(compression: Compression) -> list[str]:
    output, hums = compression.levels, compression.source.hums
    if output.is_digital_silence:
        return ["digital silence"]
    if output.peak_dbfs < _SILENT_PEAK_DBFS:
        return [f"as good as silent: peak {output.peak_dbfs:.1f} dBFS"]
    if all(hum.is_all for hum in hums):
        return [f"nothing but hum of {hums[0].mains_hz} Hz: {output.rms_dbfs:.1f} dBFS RMS"]
    return []


def _clipping(compression: Compression) -> list[str]:
    if compression.gain_db:  # a float source over full scale is not clipped, and was turned down
        return []
    return [
        f"channel {number} is clipped: {level.near_full_scale_share:.1%} of its samples are within 1 dB of full scale"
        for number, level in enumerate(compression.source.levels, start=1)
        if level.peak_dbfs >= _CLIPPED_PEAK_DBFS and level.near_full_scale_share >= _CLIPPED_SHARE
    ]


def _channels(compression: Compression) -> list[str]:
    source = compression.source
    found = [
        f"channel {index + 1} is dead: {source.levels[index].rms_dbfs:.1f} dBFS RMS{_of_hum(source.hums[index])}"
        for index in dead_channels(source.levels, source.hums)
    ]
    if source.cancellation_db is not None and source.cancellation_db > CANCELLATION_DB:
        found.append(f"channels in opposite phase: the mix of two is {source.cancellation_db:.0f} dB too quiet")
    elif source.worst_cancellation_db is not None and source.worst_cancellation_db > CANCELLATION_DB:
        worst_db = source.worst_cancellation_db
        found.append(f"channels in opposite phase at times: the mix of two is up to {worst_db:.0f} dB too quiet")
    return found


def _of_hum(hum: Hum) -> str:
    return f" of {hum.mains_hz} Hz hum" if hum.is_all else ""
