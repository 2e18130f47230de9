"""A user and PID namespace for a node (user_namespaces(7), pid_namespaces(7)).

Its first process takes all others along when it ends, however it ends: a node dies as a whole. And whoever is root
outside is an ordinary user inside, which PostgreSQL asks for, without an account and without another owner of files.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_NOSUID_NODEV_NOEXEC = 0x2 | 0x4 | 0x8
MS_PRIVATE_REC = (1 << 18) | 0x4000
PR_SET_PDEATHSIG = 1
PREFERRED = ("embedded_postgres", "nobody")


def user_inside() -> tuple[int, int]:
    """Return the ids to have inside. PostgreSQL asks for a user that has a name, and is not root."""
    entries = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid}
    own = next((entry for entry in entries.values() if entry.pw_uid == os.geteuid()), None)
    named = [entries[name] for name in PREFERRED if name in entries]
    for entry in (own, *named, *entries.values()):
        if entry is not None:
            return entry.pw_uid, entry.pw_gid
    raise OSError("there is no user but root")


def fork_inside() -> int:
    """Fork; the child is the first process of new namespaces, with a `/proc` of its own. Its pid, or 0 in the child.

    Raises OSError where this system does not allow it. Call it with one thread.
    """
    if not sys.platform.startswith("linux"):
        raise OSError("this system has no such namespaces")
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    inside, group_inside = user_inside()
    _done(libc.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS), "unshare")
    _write("setgroups", "deny")
    _write("uid_map", f"{inside} {user} 1")
    _write("gid_map", f"{group_inside} {group} 1")
    told, tell = os.pipe()
    if child := os.fork():
        os.close(tell)
        trouble = os.read(told, 1 << 10).decode(errors="replace")
        os.close(told)
        if trouble:
            os.waitpid(child, 0)
            raise OSError(trouble)
        return child
    os.close(told)
    try:
        _done(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
        _done(libc.mount(b"none", b"/", None, MS_PRIVATE_REC, None), "mount --make-rprivate /")
        _done(libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID_NODEV_NOEXEC, None), "mount /proc")
    except OSError as error:
        os.write(tell, str(error).encode() or b"?")
        os._exit(1)
    os.close(tell)
    return 0


def _write(name: str, text: str) -> None:
    with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs a megabyte
        file.write(text)


def _done(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def main() -> None:
    """Say by the exit status whether namespaces can be had here."""
    try:
        child = fork_inside()
    except OSError as error:
        sys.exit(str(error))
    if not child:
        os._exit(0 if os.getpid() == 1 and os.geteuid() else 1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
