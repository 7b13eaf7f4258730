"""Locks between processes, let go when the file is closed or its holder ends, however it ends."""

from __future__ import annotations

import errno


def take(descriptor: int, wait: bool) -> bool:
    """Lock an open file or folder; False while another process holds it and this one is not to `wait`.

    True also where there are no locks: on Windows, and on file systems that know none.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return True
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True
