"""How much a file may hold before it is no map, or one that was made to do harm.

Each limit has an environment variable of its name, for the day on which a publisher outgrows it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from helpers.errors import ParameterError

# Far beyond any map that was ever published: the largest day seen has 3.6 MB, 95,000 vertices, and
# no two lines that cross without end. Levels of JSON are limited by the
# parsers, to about a thousand.
DEFAULTS: Mapping[str, int] = {
    # A file, and what an archive unpacks to.
    "FRONTLINE_MAX_FILE_MB": 256,
    "FRONTLINE_MAX_UNPACKED_MB": 256,
    "FRONTLINE_MAX_VERTICES": 2_000_000,
    # Places where lines of a map may cross. To repair a polygon of 5,000 random points, which
    # crosses itself three million times and fits in 200 kB, takes minutes and gigabytes.
    "FRONTLINE_MAX_CROSSINGS": 300_000,
    # A ledger of claims.
    "FRONTLINE_MAX_LEDGER_MB": 20,
}


def limit(name: str) -> int:
    """Say what a limit is.

    Parameters
    ----------
    name
        One of `DEFAULTS`.

    Returns
    -------
    int
        The environment's value, or the default. Megabytes are of a million bytes.

    Raises
    ------
    ParameterError
        If the environment's value is no whole number above zero.
    """
    given = os.environ.get(name, "").strip()
    if not given:
        return DEFAULTS[name]
    if not (given.isascii() and given.isdigit() and int(given)):
        raise ParameterError(f"{name} is {given!r}: it must be a whole number above zero.")
    return int(given)
