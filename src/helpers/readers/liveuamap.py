"""Liveuamap's map as NZZ serves it: what changed over a window of days.

A file is named after the day that was asked for and holds ``{"value": FeatureCollection}`` with
polygons `nochange`, `gains` and `losses` from ``_datefrom`` to ``_dateto``. Ground held at the end
is nochange with gains; `losses` is not held by Russia at the end, and may be ground in Russia that
Ukraine holds. Types must never be added up, nor windows, which overlap.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from helpers import reference
from helpers.errors import SnapshotError
from helpers.projection import area_km2
from helpers.readers import geojson, names
from helpers.schema import LayerMap, check_maps

_TYPES = ("nochange", "gains", "losses")
# Where the publisher's border and ours differ, `losses` in Ukraine leaves crumbs in Russia.
_LEAST_KM2 = 5.0
# What Ukraine holds in Russia lies along this stretch of the border (degrees).
_KURSK = shapely.box(33.8, 50.2, 37.5, 52.0)
_NONE = shapely.MultiPolygon()


def read(path: Path) -> list[LayerMap]:
    """Read one answer.

    Parameters
    ----------
    path
        ``YYYY-MM-DD.json``, the day that was asked for.

    Returns
    -------
    list of LayerMap
        ``assessed_control``, and ``ukrainian_held`` (ground in Russia; empty where there is none).
        `day` is the end of the window, `retrieved` the day that was asked for.

    Raises
    ------
    SnapshotError
        If the file is not such an answer, or its window ends before it begins.
    """
    retrieved = names.day_of(path, "YYYY-MM-DD.json")
    features = geojson.load(path, member="value")
    types = [str(about.get("type")) for about in features.properties]
    alien = sorted(set(types) - set(_TYPES))
    if alien:
        raise SnapshotError(f"{path}: unknown types {', '.join(alien)}; known: {', '.join(_TYPES)}")
    if "nochange" not in types:
        raise SnapshotError(f"{path}: there is no ground of the type nochange. Fetch it again.")
    start, end = _window(features, retrieved, path)
    kind = np.array(types)
    held, repairs = geojson.repair(features.geometry[kind != "losses"], nulls=features.nulls)
    lost = geojson.merge(features.geometry[kind == "losses"])
    note = f"the window runs backwards, from {start} to {end}" if start > end else ""
    maps = [
        LayerMap(end, "assessed_control", held, None, retrieved, repairs, note),
        LayerMap(end, "ukrainian_held", _in_russia(lost), None, retrieved, note=note),
    ]
    return check_maps(maps, str(path))


def _window(features: geojson.Features, asked: date, path: Path) -> tuple[date, date]:
    """First and last day; the first days of the archive have none, and show the day asked for."""
    ends = [(p.get("_datefrom"), p.get("_dateto")) for p in features.properties]
    if all(pair == (None, None) for pair in ends):
        return asked, asked
    windows = {(names.to_day(start), names.to_day(end)) for start, end in ends}
    start, end = windows.pop()
    if windows or start is None or end is None:
        raise SnapshotError(f"{path}: the features are not of one window: {ends}.")
    return start, end


def _in_russia(lost: BaseGeometry) -> BaseGeometry:
    if lost.is_empty or not shapely.intersects(lost, _KURSK):
        return _NONE
    near = shapely.intersection(reference.ukraine(), _KURSK.buffer(1))
    outside = shapely.difference(shapely.intersection(lost, _KURSK), near)
    parts = shapely.get_parts(outside)
    parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    return shapely.multipolygons(parts[area_km2(parts) >= _LEAST_KM2])
