"""The schedule of the library: requests runs for what is due, and for nothing else."""

import dagster as dg

from audio_compressor.defs.aged import Aged
from audio_compressor.defs.library_intake import look_at_library
from audio_compressor.defs.requests import add_partitions, run_tags
from audio_compressor.settings import LibrarySettings, RunningSettings

# Where every other recording is due, each is a run of its own. The daemon takes 0.14 s to create one, and evaluates no
# other schedule meanwhile.
MOST_RUNS = 500
# Of what does not fit together in the library, in the log of an evaluation.
_MOST_PROBLEMS = 100


def build_archive_schedule(
    aged: Aged, library_settings: LibrarySettings, running_settings: RunningSettings
) -> dg.ScheduleDefinition:
    line = aged.line

    @dg.schedule(
        name=f"{aged.prefix}_schedule",
        job_name=line.job_name,
        required_resource_keys={aged.resource, "audio", "running"},
        cron_schedule=library_settings.archive_schedule,
        execution_timezone=running_settings.schedule_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Looks at {aged.place}, adds partitions for new {aged.noun}, and requests runs for those that a "
        f"tier of the policy is due for; at most {MOST_RUNS} runs a night.",
    )
    def archive_schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        resources = aged.resources(context.resources)
        audio, running = resources.audio, resources.running
        with resources.open() as opened:
            survey = look_at_library(context.instance, opened, line)
        if survey.new_keys:
            add_partitions(context.instance, survey.new_keys, line)
        for problem in survey.look.problems[:_MOST_PROBLEMS]:
            context.log.warning(problem)
        ranges = survey.ranges(running.batch_size)
        if not ranges:
            return dg.SkipReason(survey.sentence)
        audio.ffmpeg()  # nothing is requested that could not be done
        context.log.info(survey.sentence)
        if len(ranges) > MOST_RUNS:
            context.log.warning(
                f"That is {len(ranges):,} runs; {MOST_RUNS} are requested, and the others the next time."
            )
        night = f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
        return [
            dg.RunRequest(
                run_key=f"{night} {keys.first}...{keys.last}",
                job_name=line.job_name,
                tags=run_tags(keys, survey.looked_at_seconds),
            )
            for keys in ranges[:MOST_RUNS]
        ]

    return archive_schedule
