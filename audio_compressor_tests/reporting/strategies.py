"""Results as hypothesis makes them: everything that a run can report, and texts that nobody expects."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from audio_compressor.recording import why_unusable
from audio_compressor.reporting.results import STATUSES, Result

directories = st.one_of(
    st.builds(
        "{:%m-%d-%y}{}".format,
        st.dates(datetime(2020, 1, 1).date(), datetime(2030, 1, 1).date()),  # noqa: DTZ001
        st.sampled_from(["", "-01", "-02"]),
    ),
    st.text(min_size=1, max_size=20).filter(lambda name: why_unusable(name) is None),
    st.sampled_from(["NA", "null", "nan", "1e5", "007", "=1+1", "ä ö", "True", 'a"b', "a;b"]),
)
zones = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-9, minutes=-30))])
moments = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001
sizes_mb = st.none() | st.floats(0, 1e7, allow_subnormal=False)
texts = st.none() | st.text(max_size=30)

results = st.builds(
    Result,
    directory=directories,
    status=st.sampled_from(STATUSES),
    processed_at=moments,
    reason=texts,
    original_size_mb=sizes_mb,
    compressed_size_mb=sizes_mb,
    compression_ratio=sizes_mb,
    duration_seconds=sizes_mb,
    bitrate_kbps=sizes_mb,
    codec=texts,
    storage_location=st.sampled_from([None, "local", "sftp", "s3"]),
    uri=texts,
)
