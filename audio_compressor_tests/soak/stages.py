"""Where in its course a night is, told from what can be seen from outside."""

from collections.abc import Sequence

import imageio_ffmpeg

from audio_compressor_tests.soak.night import Night
from audio_compressor_tests.soak.processes import processes
from audio_compressor_tests.soak.world import World


def stage(world: World, nights: Sequence[Night], connections_before: int) -> str:
    """``connections_before``: how many the server had had when the night began."""
    if not any(night.is_running for night in nights):
        return "over"
    if any(night.has_summed_up for night in nights):
        return "ending"
    if any(world.destination_path.glob(".*.part")):
        return "publishing"
    if any(processes(night.name, imageio_ffmpeg.get_ffmpeg_exe()) for night in nights):
        return "compressing"
    if any(world.staging.glob("*/*/.*.part")):
        return "downloading"
    if any(world.staging.glob("*/*/*")):
        return "between download and publishing"
    if any(path.is_dir() for path in world.staging.glob("*")):
        return "in a run"
    if world.server.connections == connections_before:
        return "starting"
    return "outside of runs"
