"""DeepState's daily polygons: the public archive's files, and the answers of its history endpoint.

The archive cyterat/deepstate-map-data keeps one MultiPolygon a day of occupied ground within
Ukraine, without properties. Its runner names a file after its own UTC day, at about 03:30, so the
map shows the end of the day before. The history endpoint answers with a dictionary, ``id``,
``datetime`` and ``map``, a collection of everything on the map under names of several languages.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from helpers.errors import SnapshotError
from helpers.readers import geojson, names
from helpers.schema import LayerMap, check_maps

_PREFIX = "deepstatemap_data_"
_NAMED = f"{_PREFIX}YYYYMMDD.geojson"
# The part of a feature's name that tells what it is; the archive merges the first four.
_OCCUPIED = (
    "geoJSON.status.occupied",
    "geoJSON.territories.crimea",
    "geoJSON.territories.ordlo",
    "geoJSON.territories.tuzla",
)
# Liberated and contested ground, and the satirical polygons on other parts of the world.
_OTHER = ("geoJSON.status.", "geoJSON.territories.", "geoJSON.attacks.", "geoJSON.units.")


def read(path: Path) -> list[LayerMap]:
    """Read one day.

    Parameters
    ----------
    path
        ``deepstatemap_data_YYYYMMDD.geojson`` as in the archive, or ``….json`` with an answer of
        the history endpoint.

    Returns
    -------
    list of LayerMap
        One, layer ``assessed_control``. `retrieved` is the file name's day, `day` the one before;
        an answer of the endpoint tells its own time of publication, whose day it shows.

    Raises
    ------
    SnapshotError
        If the name has no day of the calendar, or the file is not a map.
    """
    if not path.name.startswith(_PREFIX):
        raise SnapshotError(f"{path}: the name gives no day. DeepState's files are named {_NAMED}.")
    retrieved = names.day_of(path, _NAMED)
    if path.suffix == ".json":
        return _read_answer(path, retrieved)
    features = geojson.load(path)
    ground, repairs = geojson.repair(features.geometry, nulls=features.nulls)
    if ground.is_empty:
        raise SnapshotError(f"{path}: the map is empty; DeepState has not published such a day.")
    day = retrieved - timedelta(days=1)
    maps = [LayerMap(day, "assessed_control", ground, None, retrieved, repairs)]
    return check_maps(maps, str(path), repaired=True)


def _read_answer(path: Path, retrieved: date) -> list[LayerMap]:
    answer = geojson.parse(geojson.read_bytes(path), path)
    day = names.to_day(answer.get("datetime")) if isinstance(answer, dict) else None
    if day is None:
        raise SnapshotError(f"{path}: the answer has no datetime. Fetch it again.")
    features = geojson.load(path, member="map")
    kinds = [_is_occupied(about, path) for about in features.properties]
    polygons = np.isin([g.geom_type for g in features.geometry], ("Polygon", "MultiPolygon"))
    ground, repairs = geojson.repair(
        features.geometry[polygons & np.array(kinds, dtype=bool)], nulls=features.nulls
    )
    if ground.is_empty:
        raise SnapshotError(f"{path}: no polygon is named as occupied. The names have changed.")
    maps = [LayerMap(day, "assessed_control", ground, day, retrieved, repairs)]
    return check_maps(maps, str(path), repaired=True)


def _is_occupied(properties: dict[str, Any], path: Path) -> bool:
    name = str(properties.get("name", ""))
    if any(key in name for key in _OCCUPIED):
        return True
    if not name or "geoJSON." not in name or any(key in name for key in _OTHER):
        return False
    raise SnapshotError(f"{path}: a feature is named {name!r}, a kind that is not known here.")
