"""The account that a server runs under where the project is run by root, which PostgreSQL refuses."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import LakehouseError

CANDIDATES = ("postgres", "nobody")
"""Accounts that machines have anyway: none is made."""


@dataclass(frozen=True)
class Account:
    """An unprivileged account."""

    uid: int
    gid: int
    beyond_permissions: bool = False
    """It reaches files as root does. Needed where the home or the environment lies below a folder closed to
    others (/root, a mktemp -d); the account then holds that one capability of root's, CAP_DAC_OVERRIDE."""


def unprivileged(folder: Path, *needed: Path) -> Account | None:
    """The account to run as on ``folder``: None (as one is) unless one is root.

    It is the owner of ``folder`` where that is not root, so that a home keeps its account. ``needed`` are
    further paths that it has to read. Raises LakehouseError where the machine has no such account, or the
    folder belongs to somebody else.
    """
    if os.geteuid() != 0:
        if folder.exists() and folder.stat().st_uid != os.geteuid():
            raise LakehouseError(f"{folder} belongs to another account; run as that one, or as root, or chown it")
        return None
    uid, gid = _owner(folder) or _existing()
    return Account(uid, gid, beyond_permissions=not all(_open_to_all(path) for path in (folder.parent, *needed)))


def own(folder: Path, account: Account | None) -> None:
    """Makes ``folder`` with all in it the account's. Raises LakehouseError where its file system refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    if account is None or folder.stat().st_uid == account.uid:
        return
    try:
        for path in (*folder.rglob("*"), folder):  # the folder last: whoever owns it owns all of it
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    except OSError as error:
        raise LakehouseError(
            f"PostgreSQL refuses to run as root, and {folder} cannot be given to an unprivileged account ({error}); "
            "run the lakehouse as another user, or put its home on another file system"
        ) from None


def _owner(folder: Path) -> tuple[int, int] | None:
    try:
        owner = folder.stat()
        pwd.getpwuid(owner.st_uid)  # initdb asks for its name
    except (FileNotFoundError, KeyError):
        return None
    return (owner.st_uid, owner.st_gid) if owner.st_uid != 0 else None


def _existing() -> tuple[int, int]:
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise LakehouseError(
        "PostgreSQL refuses to run as root, and this machine has neither an account `postgres` nor `nobody`; "
        "run the lakehouse as another user, or set LAKEHOUSE_POSTGRES_DSN to a server of your own"
    )


def _open_to_all(path: Path) -> bool:
    return all(_enterable(folder) for folder in (path, *path.parents) if folder.is_dir())


def _enterable(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)
