"""Started between the supervisor and a child: ties the child to its parent's life, gives up root, steps back.

    python -I launch.py '{"parent": 4711, "signal": 2, "niceness": 0, "uid": 65534, "gid": 65534, …}' ARGV…

A program of its own and not a preexec_fn, which may hang in a process with threads. It imports nothing of
the project and is gone, replaced by ARGV, within some 30 ms. The order matters: a change of user makes the
kernel forget the parent-death signal, so that comes last; and a parent may have died before it was asked for.
"""

import ctypes
import json
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _prctl(libc: ctypes.CDLL, *arguments: int) -> None:
    _check(libc.prctl(*(ctypes.c_ulong(argument) for argument in arguments)))


def become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def become_beyond_permissions(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    """As ``become``, but reaches files as root does: what lies below a folder that only root may enter.

    Without the secure bit, access(2) would leave the capability out, and PostgreSQL not find its own program.
    """
    _prctl(libc, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    become(uid, gid)
    only = 1 << CAP_DAC_OVERRIDE
    sets = (_Set * 2)(_Set(only, only, only), _Set(0, 0, 0))
    _check(libc.capset(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), sets))
    _prctl(libc, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def main() -> None:
    order = json.loads(sys.argv[1])
    argv = sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    os.nice(order["niceness"])
    if order["uid"] is not None:
        try:
            if order["beyond_permissions"]:
                become_beyond_permissions(libc, order["uid"], order["gid"])
            else:
                become(order["uid"], order["gid"])
        except OSError as error:
            sys.exit(f"root may not run this as uid {order['uid']} here: {error}")
    if sys.platform == "linux":  # elsewhere the next run finds what a killed one has left
        _prctl(libc, PR_SET_PDEATHSIG, order["signal"])
        if os.getppid() != order["parent"]:
            sys.exit("the supervisor has ended")
    os.execvp(argv[0], argv)  # noqa: S606 (a list from the supervisor, no shell)


if __name__ == "__main__":
    main()
