"""Cold storage: copies of recordings as objects in an S3 bucket, of which each is proved to be there before anything
that it stands for is deleted.

`ColdArchive` does what is asked of it; beside it are the rules of proof (proof.py), of thawing (thawing.py), of the
names of objects (keys.py), and of the rights that are needed (policy.py).
"""

from audio_compressor.archive.cold.archive import ColdArchive, Uploaded
from audio_compressor.archive.cold.proof import CheckedBy, DamagedCopyError

__all__ = ["CheckedBy", "ColdArchive", "DamagedCopyError", "Uploaded"]
