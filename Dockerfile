# One image for every role: code server, webserver, daemon, run, and the command `audio-compressor`. Which one a container
# has is its command line: there is no ENTRYPOINT, because Kubernetes' launcher gives runs only arguments.
#
#   docker build -t audio-compressor .                      the image
#   docker build -t audio-compressor-demo --target demo .   the SFTP server with sample recordings of compose.yaml

# 3.11, on which the tests run, for both architectures (the digest is the index's). Dependabot moves it when Debian's
# security updates make another.
FROM python:3.11.17-slim-trixie@sha256:45037981b62b34b44602584fccbc4d884d5f7dc92c7ee86bb38a698a79fe1e51 AS base


# -- everything that is locked, in an environment without pip
FROM base AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements-build.lock requirements.lock ./
# Wheels only: what has none for this architecture ends the build, instead of asking for a compiler. The tests of pandas
# and its like are 72 MB. Bytecode is compiled here, as nothing can be written later, and never compared with the times
# of its sources, which builders may change.
RUN python -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-deps --require-hashes --only-binary :all: --requirement requirements-build.lock \
    && python -m venv --without-pip /opt/audio-compressor \
    && /opt/tools/bin/pip --python /opt/audio-compressor install \
        --no-deps --require-hashes --only-binary :all: --requirement requirements.lock \
    && find /opt/audio-compressor -type d -name tests -prune -exec rm -r {} + \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/audio-compressor


# -- ourselves, apart from the dependencies: a new version is a new layer of 1 MB
FROM dependencies AS application
COPY pyproject.toml setup.py ./
COPY audio_compressor audio_compressor
RUN rm -r audio_compressor/demo audio_compressor/cli/demo.py \
    && /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheel . \
    && /opt/tools/bin/pip --python /opt/audio-compressor install --no-deps --root /staged wheel/*.whl \
    && python -m compileall -q --invalidation-mode unchecked-hash -s /staged /staged


FROM dependencies AS demo-application
COPY requirements-demo.lock pyproject.toml setup.py ./
COPY audio_compressor audio_compressor
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheel . \
    && /opt/tools/bin/pip --python /opt/audio-compressor install --root /staged \
        --no-deps --require-hashes --only-binary :all: --requirement requirements-demo.lock \
    && /opt/tools/bin/pip --python /opt/audio-compressor install --no-deps --root /staged wheel/*.whl \
    && python -m compileall -q --invalidation-mode unchecked-hash -s /staged /staged


# -- what both images have in common
FROM base AS runtime
# Written are only /data, /tmp and DAGSTER_HOME; HOME is for what libraries keep there while they run.
ENV DAGSTER_HOME=/var/lib/audio-compressor \
    HOME=/tmp \
    OUTPUT_DIR=/data/compressed \
    PATH=/opt/audio-compressor/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SFTP_KNOWN_HOSTS=/var/lib/audio-compressor/known_hosts
RUN groupadd --gid 10001 audio-compressor \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin audio-compressor \
    && install --directory --owner 10001 --group 10001 /data /data/compressed /var/lib/audio-compressor
COPY --from=dependencies /opt/audio-compressor /opt/audio-compressor
WORKDIR /opt/audio-compressor
USER 10001:10001


FROM runtime AS demo
LABEL org.opencontainers.image.title="Audio Compressor, sample SFTP server" \
      org.opencontainers.image.description="An SFTP server with sample recordings to try Audio Compressor with"
COPY --from=demo-application /staged/opt/audio-compressor /opt/audio-compressor
EXPOSE 2222
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import socket; assert socket.create_connection(('127.0.0.1', 2222), 4).recv(4) == b'SSH-'"]
# The key of the server lies beside what it serves, not in it.
CMD ["python", "-m", "audio_compressor.demo", "/data", "--username", "demo", "--password-env", "SFTP_PASSWORD", \
     "--host", "0.0.0.0", "--port", "2222", "--port-file", "/tmp/port", "--host-key", "/var/lib/audio-compressor/host_key"]


FROM runtime
LABEL org.opencontainers.image.title="Audio Compressor" \
      org.opencontainers.image.description="Turns recordings that land on an SFTP server into what people keep" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11.17-slim-trixie"
COPY --from=application /staged/opt/audio-compressor /opt/audio-compressor
# The instance that the command puts into an empty DAGSTER_HOME: it looks beside the package, as in a checkout.
COPY dagster.yaml /opt/audio-compressor/lib/python3.11/site-packages/
# The code server's and the webserver's.
EXPOSE 4000 3000
# Whichever role the container has is asked. For the daemon's Dagster is started, hence the pauses and the patience.
HEALTHCHECK --interval=60s --timeout=30s --start-period=120s CMD ["python", "-m", "audio_compressor.healthcheck"]
CMD ["audio-compressor", "--help"]
