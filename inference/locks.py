"""Locks between processes, let go when the file is closed or its holder ends, however it ends."""

from __future__ import annotations

import errno


def take(descriptor: int, *, alone: bool = True, wait: bool = False) -> bool | None:
    """Lock an open file or folder, `alone` or beside others that share it; whether that went well.

    False while another process holds it and this one is not to `wait`; None where there are no locks: on Windows, and on
    file systems that know none.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
    except ImportError:
        return None
    except OSError as error:
        return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
    return True
