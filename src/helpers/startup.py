"""What a process that makes reports sets up for itself alone."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import sys

# malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 28


def skip_grammar() -> None:
    """Keep jsonschema from loading rfc3987_syntax, which builds a grammar when it is imported.

    It would check addresses of the IRI kind, of which no notebook has one; building takes longer
    than all other imports of a command. Nothing happens where it is loaded already.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def look_away() -> None:
    """Keep the search for garbage off all that is there: what was imported stays to the end."""
    gc.freeze()


def leave_quickly() -> None:
    """Do not look for garbage at the end of the process: it goes with it.

    Python would look at all that was ever imported.
    """
    atexit.register(gc.freeze)


def keep_memory() -> None:
    """Have the C library keep the memory of one picture for the next.

    glibc gives large pieces back to the system at once, which hands them out again page by page.
    Other libraries are left as they are.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            library = ctypes.CDLL(None)
            for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
                library.mallopt(option, _KEPT_BYTES)
