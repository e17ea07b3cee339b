"""Has the kernel refuse system calls to this process, as file systems do that cannot do what they stand for."""

import ctypes
import errno
import platform
import struct

# Numbers of the calls (asm/unistd.h), and the audit architecture (linux/audit.h).
_MACHINES = {
    "x86_64": (0xC000003E, {"linkat": 265, "renameat2": 316}),
    "aarch64": (0xC00000B7, {"linkat": 37, "renameat2": 276}),
}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000  # linux/seccomp.h
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4  # struct seccomp_data
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2  # linux/prctl.h


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def refuse(**errors: int) -> None:
    """From now on, for this process and its children: ``refuse(linkat=errno.EPERM)``. It cannot be taken back."""
    architecture, numbers = _MACHINES[platform.machine()]
    program = [
        _instruction(_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        _instruction(_JUMP_IF_EQUAL, 1, 0, architecture),
        _instruction(_RETURN, 0, 0, _ALLOW),
        _instruction(_LOAD, 0, 0, _NUMBER_OFFSET),
    ]
    for name, number in errors.items():
        program += [
            _instruction(_JUMP_IF_EQUAL, 0, 1, numbers[name]),
            _instruction(_RETURN, 0, 0, _ERROR | number),
        ]
    program.append(_instruction(_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))
    header = _Program(len(program), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _FILTER, ctypes.byref(header), 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def as_without_links() -> None:
    """Like a file system that has neither hard links nor exchanges, such as exFAT or many a network's."""
    refuse(linkat=errno.EPERM, renameat2=errno.EINVAL)


def as_without_renameat2() -> None:
    """Like NFS, which has links."""
    refuse(renameat2=errno.EINVAL)
