"""Grounds, snapshots and sectors to measure: made by hand, and the publishers' where they are."""

import os
from datetime import date
from functools import cache
from pathlib import Path

import pytest
import shapely

from helpers import reference, sources
from helpers.readers import deepstate
from helpers.reference import Sector
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


def area(key, polygon, measure="presence"):
    """A sector that is measured as drawn."""
    where = polygon.centroid
    return Sector(key, key, where.x, where.y, 1, 1, measure, outline=polygon)


TORETSK, KURAKHOVE = (reference.sectors()[key] for key in ("toretsk", "kurakhove"))


def oblasts():
    """The oblasts of Ukraine as sectors: 27 with Crimea and two cities."""
    table = reference.oblasts()
    table = table[table["country"] == "UA"]
    return [area(*row) for row in zip(table["id"], table.geometry, strict=True)]


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
    (found,) = deepstate.read(path)
    tiers = ("control", "presence")
    return Snapshot("deepstate", found.day, {found.layer: found.geometry}, tiers)


@cache
def real_maps() -> tuple[Snapshot, ...]:
    """All DeepState maps there are, in order."""
    names = sorted(path.stem[-8:] for path in (Path(SHARED) / "deepstate").glob("*.geojson"))
    return tuple(map(real_map, names))
