"""How a sensor looks at a server again and again: how often, at how much, and less often while the server is away."""

import json
import time
from collections.abc import Callable

import dagster as dg

from audio_compressor.errors import AudioCompressorError
from audio_compressor.intake.outage import Outage
from audio_compressor.retries import Retry

INTERVAL_SECONDS = 30
# An evaluation has 60 s, and then the daemon takes 2 to 7 ms for each event that it stores. What is over is found
# again at the next tick.
MOST_PER_TICK = 500
# One attempt, since an evaluation has 60 s; the instance tries a failed one again (max_tick_retries in dagster.yaml).
LISTING_RETRY = Retry(attempts=1, delay_seconds=0)


def look_unless_away(
    context: dg.SensorEvaluationContext, look: Callable[[], dg.SensorResult], what: str
) -> dg.SensorResult:
    """What ``look`` finds; while it raises AudioCompressorError, pauses that grow, and ``what`` as their reason.

    The cursor is the outage, if there is one: ``look`` has to leave it empty.
    """
    now_seconds, outage = time.time(), _outage(context.cursor)
    if outage and outage.is_pause(now_seconds):
        return dg.SensorResult(skip_reason=outage.explain(now_seconds, what), cursor=context.cursor)
    try:
        return look()
    except AudioCompressorError as error:
        outage = Outage.after(outage, str(error), now_seconds, INTERVAL_SECONDS)
        return dg.SensorResult(skip_reason=outage.explain(now_seconds, what), cursor=json.dumps(outage.to_json()))


def _outage(cursor: str | None) -> Outage | None:
    """A cursor that cannot be read is none."""
    try:
        return Outage.from_json(json.loads(cursor or "null"))
    except ValueError:
        return None
