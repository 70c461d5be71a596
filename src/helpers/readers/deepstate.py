"""DeepState's daily polygons, as the public archive cyterat/deepstate-map-data keeps them.

One MultiPolygon a day of occupied ground within Ukraine, with no properties. The archive's runner
names a file after its own UTC day, at about 03:30, so the map shows the end of the day before.
"""

from __future__ import annotations

import re
from pathlib import Path

import geopandas as gpd
import pandas as pd

from helpers.errors import SnapshotError
from helpers.projection import STORAGE_CRS
from helpers.readers import geojson
from helpers.schema import check_snapshot

_NAME = re.compile(r"deepstatemap_data_(\d{8})\.geojson")


def read(path: Path) -> gpd.GeoDataFrame:
    """Read one day.

    Parameters
    ----------
    path
        ``deepstatemap_data_YYYYMMDD.geojson``.

    Returns
    -------
    geopandas.GeoDataFrame
        One row, layer ``assessed_control`` (see `helpers.schema.check_snapshot`). `published` is
        the file name's day, `day` the one before.

    Raises
    ------
    SnapshotError
        If the name has no day of the calendar, or the file is not a map.
    """
    published = _day(path)
    ground = geojson.merge(geojson.load(path).geometry)
    if ground.is_empty:
        raise SnapshotError(f"{path}: the map is empty; DeepState has not published such a day.")
    table = gpd.GeoDataFrame(
        {
            "day": [published - pd.Timedelta(days=1)],
            "published": [published],
            "layer": ["assessed_control"],
        },
        geometry=[ground],
        crs=STORAGE_CRS,
    )
    return check_snapshot(table, str(path))


def _day(path: Path) -> pd.Timestamp:
    match = _NAME.fullmatch(path.name)
    try:
        if match:
            return pd.to_datetime(match[1], format="%Y%m%d")
    except ValueError:
        pass
    raise SnapshotError(
        f"{path}: the name gives no day. DeepState's files are named "
        "deepstatemap_data_YYYYMMDD.geojson."
    )
