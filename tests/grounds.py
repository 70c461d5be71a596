"""Grounds, snapshots and sectors to measure: made by hand, and the publishers' where they are."""

import os
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from helpers import sources
from helpers.projection import STORAGE_CRS, local_crs, transform
from helpers.schema import Snapshot

SHARED = os.environ.get("FRONTLINE_SHARED_DATA", "")
_NOWHERE = shapely.MultiPolygon()
DEEPSTATE = sources.get("deepstate")

# Reads the publishers' snapshots, which are not part of the project.
real = [
    pytest.mark.real,
    pytest.mark.skipif(not SHARED, reason="FRONTLINE_SHARED_DATA is not set"),
]


def marked(test):
    """Mark a test that needs the publishers' snapshots."""
    for mark in real:
        test = mark(test)
    return test


@dataclass(frozen=True)
class Area:
    """A sector as the measuring rooms know it."""

    key: str
    polygon: BaseGeometry
    measure: str = "presence"

    @property
    def lon(self) -> float:
        return self.polygon.centroid.x

    @property
    def lat(self) -> float:
        return self.polygon.centroid.y

    @property
    def crs(self) -> str:
        return local_crs(self.lon, self.lat)


def frame(key, lon, lat, width_km, height_km):
    """A rectangle on the ground, its edges densified."""
    x, y = width_km * 500, height_km * 500
    rectangle = shapely.segmentize(shapely.box(-x, -y, x, y), 500)
    return Area(key, transform(rectangle, STORAGE_CRS, source=local_crs(lon, lat)))


TORETSK = frame("toretsk", 37.845, 48.385, 30, 23.4)
KURAKHOVE = frame("kurakhove", 37.16, 47.986, 60, 46.8)


def boxes(*bounds):
    """The union of some longitude/latitude boxes (west, south, east, north)."""
    return shapely.union_all([shapely.box(*b) for b in bounds]) if bounds else _NOWHERE


def snapshot(ground, day=1, layer="assessed_control", source="deepstate"):
    """A map of one layer; the days are those of January 2025."""
    tiers = ("ukrainian_held",) if layer == "ukrainian_held" else ("control", "presence")
    return Snapshot(source, date(2025, 1, day), {layer: ground}, tiers)


@cache
def real_map(file_day: str) -> Snapshot:
    """The map of a DeepState file, e.g. "20250108"; it shows the day before."""
    path = Path(SHARED) / "deepstate" / f"deepstatemap_data_{file_day}.geojson"
    ground = shapely.from_geojson(path.read_text())
    day = date.fromisoformat(file_day) - timedelta(days=1)
    return Snapshot(
        "deepstate", day, {"assessed_control": ground.geoms[0]}, ("control", "presence")
    )


@cache
def real_maps() -> tuple[Snapshot, ...]:
    """All DeepState maps there are, in order."""
    names = sorted(path.stem[-8:] for path in (Path(SHARED) / "deepstate").glob("*.geojson"))
    return tuple(map(real_map, names))
