"""What the operating system refuses, as a sentence and a next step: errno is for programmers."""

from __future__ import annotations

import errno
import os

from r1net.errors import R1Error, SystemFault

_ELSEWHERE = "name another folder"
_WORDS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("no room is left on the disk for {path}", f"free some room there, or {_ELSEWHERE}"),
    errno.EDQUOT: ("this user's quota leaves no room for {path}", f"free some room there, or {_ELSEWHERE}"),
    errno.EFBIG: ("{path} would be larger than files may be here", "raise the limit (ulimit -f), or another disk"),
    errno.EACCES: (
        "user {user} has no right to use {path}",
        f"change its owner or mode, or {_ELSEWHERE}",
    ),
    errno.EPERM: ("user {user} has no right to change {path}", f"change its owner or mode, or {_ELSEWHERE}"),
    errno.EROFS: ("{path} is on a file system that can only be read", f"mount it writable, or {_ELSEWHERE}"),
    errno.ENOENT: ("there is no {path}", "check the name"),
    errno.ENOTDIR: ("a part of the path {path} is a file, not a folder", "check the name"),
    errno.EISDIR: ("{path} is a folder, not a file", "check the name"),
    errno.EEXIST: ("{path} is there already", "choose another name"),
    errno.ENAMETOOLONG: ("the name {path} is too long", "choose a shorter one"),
    errno.ELOOP: ("the links of {path} lead in a circle", "mend the links"),
    errno.EIO: ("the disk failed at {path}", "look into the system's log (dmesg), and replace the disk"),
    errno.EMFILE: ("this process has too many files open", "raise the limit: ulimit -n 4096"),
    errno.ENFILE: ("this machine has too many files open", "close other programs"),
    errno.ENOMEM: ("no memory is left", "close other programs"),
    errno.EAGAIN: ("this user runs too many processes", "end some, or raise the limit (ulimit -u)"),
    errno.EADDRINUSE: ("another process uses this address", "end it, or take another port"),
}
_SHOWN = 200


def in_words(error: OSError) -> SystemFault:
    """The sentence. What the system has no number for is told as it says it."""
    path = _shown(error.filename)
    words, hint = _WORDS.get(error.errno or 0, (None, None))
    if words is None:
        said = error.strerror or str(error) or type(error).__name__
        return SystemFault(f"{path}: {said}" if path else f"the system refuses: {said}"[:400])
    return SystemFault(words.format(path=path or "a file of this program", user=os.geteuid()), hint=hint)


def as_fault(error: R1Error | OSError) -> R1Error:
    """Whatever is to be told of one of these."""
    return in_words(error) if isinstance(error, OSError) else error


def _shown(name: object) -> str:
    text = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
    readable = "".join(sign if sign.isprintable() else "�" for sign in text)
    return readable if len(readable) <= _SHOWN else f"{readable[:_SHOWN]}…"
