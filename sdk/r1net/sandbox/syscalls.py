"""The system calls that a sandboxed process keeps, as a seccomp filter (seccomp(2), libseccomp by `pyseccomp`).

The filter is compiled where the sandbox is started and loaded by each process once it has all it needs: from then on it
can compute, read files that the boundary shows it, and answer on its channel. Everything else is refused with EPERM:
sockets, processes and threads, programs, signals to others, tracing, mounts, files open for writing.
"""

from __future__ import annotations

import ctypes
import os
import tempfile

from r1net.errors import PreflightError

_ALLOWED = (
    *("read", "readv", "pread64", "write", "writev", "close", "lseek", "fcntl", "dup"),
    *("recvfrom", "recvmsg", "sendto", "sendmsg", "poll", "ppoll", "select", "pselect6", "epoll_wait"),
    *("stat", "fstat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2"),
    *("readlink", "readlinkat", "getcwd", "getdents64"),
    *("mmap", "mprotect", "munmap", "mremap", "madvise", "brk"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    *("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "uname", "getrusage", "sysinfo"),
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times"),
    *("getrandom", "futex", "sched_yield", "sched_getaffinity", "getitimer", "setitimer", "set_robust_list", "rseq"),
    *("exit", "exit_group"),
)
_OPENING = {"open": 1, "openat": 2}
"""Where the flags stand among the arguments."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_INSTRUCTION_BYTES = 8


def compile_filter() -> bytes:
    """The filter as BPF instructions for this machine. Raises PreflightError where libseccomp is missing."""
    try:
        import pyseccomp  # noqa: PLC0415 - raises at once where the library is missing
    except (RuntimeError, OSError, ImportError) as error:
        raise PreflightError(f"no seccomp: {error}", hint="install libseccomp2") from error
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(1))
    for name in _ALLOWED:
        if pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) >= 0:
            rules.add_rule(pyseccomp.ALLOW, name)
    for name, place in _OPENING.items():
        if pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) >= 0:
            rules.add_rule(pyseccomp.ALLOW, name, pyseccomp.Arg(place, pyseccomp.MASKED_EQ, _WRITING, 0))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def load_filter(instructions: bytes) -> None:
    """Bind this process to the filter, for good. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(instructions) // _INSTRUCTION_BYTES, instructions)
    for call in ((_PR_SET_NO_NEW_PRIVS, 1, 0), (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))):
        if libc.prctl(*call, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "seccomp refused")
