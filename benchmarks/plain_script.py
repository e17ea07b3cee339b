"""What a user would write instead: one directory after the other, paramiko's `get`, one FFmpeg, next.

Run by benchmarks/night.py. It has no tracking, no retries and no verification, and it does not sleep.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import paramiko

SOURCE, OUTPUT = os.environ["SOURCE"], Path(os.environ["OUTPUT"])
FFMPEG, ARGUMENTS, EXTENSION = os.environ["FFMPEG"], os.environ["ARGUMENTS"].split(), os.environ["EXTENSION"]
MANIFEST = OUTPUT / "manifest.json"


def main() -> None:
    done = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}
    with paramiko.SSHClient() as client:
        client.load_host_keys(os.environ["KNOWN_HOSTS"])
        client.connect("127.0.0.1", int(os.environ["PORT"]), os.environ["USER"], key_filename=os.environ["KEY"])
        with client.open_sftp() as sftp:
            for directory in sorted(sftp.listdir(SOURCE)):
                if directory in done:
                    continue
                with tempfile.TemporaryDirectory(dir=os.environ["STAGING"]) as staging:
                    local = Path(staging) / "StereoMix.wav"
                    sftp.get(f"{SOURCE}/{directory}/StereoMix.wav", str(local))
                    sftp.get(f"{SOURCE}/{directory}/Meta.xml", str(OUTPUT / f"{directory}_meta.xml"))
                    compressed = local.with_name(f"{directory}_compressed.{EXTENSION}")
                    command = [FFMPEG, "-v", "error", "-i", str(local), *ARGUMENTS, str(compressed)]
                    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
                    sizes = {"original": local.stat().st_size, "compressed": compressed.stat().st_size}
                    shutil.move(compressed, OUTPUT)
                done[directory] = sizes
                MANIFEST.write_text(json.dumps(done, indent=2))


if __name__ == "__main__":
    main()
