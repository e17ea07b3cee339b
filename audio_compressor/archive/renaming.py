"""Two ways of renaming for which Python has no function (renameat2(2)): exchanging two names, and never replacing."""

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_NOREPLACE, _EXCHANGE = 1, 2
# What file systems answer that cannot do it, such as NFS, and kernels and C libraries that do not know of it.
CANNOT_RENAME_SO = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
# What those say that have no links, or none for this file.
CANNOT_LINK = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


def exchange_names(first: Path, second: Path) -> None:
    """Give each of two files the other's name, in one step. Raises OSError; one of `CANNOT_RENAME_SO` where that cannot
    be done.
    """
    _renameat2(first, second, _EXCHANGE)


def rename_without_replacing(source: Path, destination: Path) -> None:
    """Rename a file to a name that is free. Raises OSError: EEXIST where it is not; as `exchange_names`."""
    _renameat2(source, destination, _NOREPLACE)


def _renameat2(first: Path, second: Path, flags: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(library, "renameat2", None)  # glibc has it since 2.28
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(second))
