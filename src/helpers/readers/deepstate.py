"""DeepState's daily polygons, as the public archive cyterat/deepstate-map-data keeps them.

One MultiPolygon a day of occupied ground within Ukraine, with no properties. The archive's runner
names a file after its own UTC day, at about 03:30, so the map shows the end of the day before.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

from helpers.errors import SnapshotError
from helpers.readers import geojson
from helpers.schema import LayerMap, check_maps

_NAME = re.compile(r"deepstatemap_data_(\d{4})(\d{2})(\d{2})\.geojson")


def read(path: Path) -> list[LayerMap]:
    """Read one day.

    Parameters
    ----------
    path
        ``deepstatemap_data_YYYYMMDD.geojson``.

    Returns
    -------
    list of LayerMap
        One, layer ``assessed_control``: `published` is the file name's day, `day` the one before.

    Raises
    ------
    SnapshotError
        If the name has no day of the calendar, or the file is not a map.
    """
    published = _day(path)
    ground = geojson.merge(geojson.load(path).geometry)
    if ground.is_empty:
        raise SnapshotError(f"{path}: the map is empty; DeepState has not published such a day.")
    day = published - timedelta(days=1)
    maps = [LayerMap(day, "assessed_control", ground, published)]
    return check_maps(maps, str(path), repaired=True)


def _day(path: Path) -> date:
    match = _NAME.fullmatch(path.name)
    try:
        if match:
            return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        pass
    raise SnapshotError(
        f"{path}: the name gives no day. DeepState's files are named "
        "deepstatemap_data_YYYYMMDD.geojson."
    )
