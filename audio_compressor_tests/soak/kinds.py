"""All faults by name, and the order in which they come: each once before any comes again, the murders more often."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from audio_compressor_tests.soak import file_faults, network_faults, process_faults, upload_faults
from audio_compressor_tests.soak.faults import Fault, Nothing

KINDS: Mapping[str, type[Fault]] = {
    kind.kind: kind
    for kind in (
        Nothing,
        network_faults.Drop,
        network_faults.Stall,
        network_faults.SilentTooLong,
        network_faults.Away,
        network_faults.GoesAway,
        file_faults.Refuse,
        file_faults.Rewritten,
        file_faults.Grown,
        file_faults.Replaced,
        file_faults.DestinationFull,
        file_faults.DestinationFills,
        file_faults.StagingFull,
        file_faults.StagingFills,
        process_faults.KillCommand,
        process_faults.Terminate,
        process_faults.Interrupt,
        process_faults.KillDownload,
        process_faults.KillFfmpeg,
        process_faults.FfmpegFails,
        process_faults.FfmpegGarbage,
        process_faults.FfmpegShort,
        process_faults.FfmpegCuts,
        process_faults.FfmpegHangs,
        upload_faults.UploadRefused,
        upload_faults.UploadDropped,
        upload_faults.ArchiveFull,
        upload_faults.ArchiveFills,
    )
}
_TIMES = {"kill -9 command": 6, "SIGTERM": 2, "SIGINT": 2, "connection dropped": 2}


def in_turn(random: Random, names: Sequence[str]) -> Iterator[type[Fault]]:
    """Without end, if there is one at all, in an order that is drawn anew each time; of a few, each as often."""
    weighted = len(names) > len(_TIMES)
    bag = [KINDS[name] for name in names for _ in range(_TIMES.get(name, 1) if weighted else 1)]
    while bag:
        random.shuffle(bag)
        yield from bag
