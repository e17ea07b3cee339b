"""Directories, fingerprints and histories as hypothesis makes them."""

from hypothesis import strategies as st

from audio_compressor.intake.listing import Ignored, Listing, SourceDirectory
from audio_compressor.intake.plan import History, Rules, Success
from audio_compressor.intake.settling import Look
from audio_compressor.recording import Fingerprint

NOW_SECONDS = 1_760_000_000.0
MAX_FILE_SIZE_BYTES = 2_000

# Few names, sizes and times, so that they meet.
names = st.sampled_from(["10-17-25", "10-17-25-01", "10-18-25", "a", "b", "ä ö"])
times = st.integers(-200, 200).map(lambda offset: int(NOW_SECONDS) + offset)
fingerprints = st.builds(Fingerprint, st.sampled_from([0, 1000, MAX_FILE_SIZE_BYTES, 3000]), times)
readable = st.builds(SourceDirectory, names, times, fingerprints)
without_audio = st.builds(SourceDirectory, names, times, st.none(), st.sampled_from([None, "permission denied"]))
listings = st.builds(
    Listing,
    st.lists(readable | without_audio, unique_by=lambda source: source.directory).map(tuple),
    st.lists(st.builds(Ignored, st.sampled_from(["lost+found", "x"]), st.just("does not match"))).map(tuple),
)
skip_kinds = st.sampled_from(["no_audio", "unreadable", "too_large"])
histories = st.builds(
    History,
    known=st.lists(names, unique=True),
    observed=st.dictionaries(names, fingerprints),
    successes=st.dictionaries(
        names, st.builds(Success, st.none() | fingerprints, st.floats(NOW_SECONDS - 300, NOW_SECONDS))
    ),
    failures=st.dictionaries(names, st.none() | fingerprints),
    skips=st.dictionaries(names, st.tuples(skip_kinds, st.none() | fingerprints)),
    in_flight=st.dictionaries(names, st.just("0123456789abcdef")),
)
rules = st.builds(Rules, st.sampled_from([0.0, 60.0]), st.just(MAX_FILE_SIZE_BYTES), st.booleans())
looks = st.dictionaries(
    names, st.builds(Look, fingerprints, st.integers(-200, 0).map(lambda offset: NOW_SECONDS + offset))
)
