"""Synthetic sectors, changes and base layers to draw: boxes whose areas are known."""

from datetime import date

import geopandas as gpd
import pandas as pd
import shapely

from helpers import changes, findings, sources
from helpers.maps import Base, BaseLayers, MapText, Places
from helpers.projection import STORAGE_CRS, transform
from helpers.reference import Sector
from helpers.schema import Snapshot

SECTOR = Sector("midtown", "Midtown", 37.845, 48.385, 30, 23.4, "presence")
SALIENT = Sector("salient", "Salient", 35.1, 51.2, 90, 70.2, "ukrainian_held")
NOTHING = shapely.MultiPolygon()
BEFORE, AFTER = date(2024, 12, 8), date(2025, 1, 8)


def km_box(sector, west, south, east, north):
    """A box in kilometres from the sector's centre, as longitude/latitude."""
    box = shapely.segmentize(shapely.box(west, south, east, north), 0.5)
    metres = shapely.transform(box, lambda xy: xy * 1000)
    return transform(metres, STORAGE_CRS, source=sector.crs)


def measured(sector, before, after, tier="presence", source="deepstate"):
    """The change between two grounds, measured as everywhere."""
    layer = {"presence": "assessed_control", "ukrainian_held": "ukrainian_held"}[tier]
    first, last = (
        Snapshot(source, day, {} if ground.is_empty else {layer: ground}, (tier,))
        for day, ground in ((BEFORE, before), (AFTER, after))
    )
    return changes.in_sector(sector, first, last, source=sources.get(source), tier=tier)


def _donetsk(before, after):
    return measured(SECTOR, before, after)


EAST = km_box(SECTOR, 0, -40, 40, 40)
WIDE_EAST = km_box(SECTOR, -5, -40, 40, 40)
BIT = shapely.union(EAST, km_box(SECTOR, -1, 2, 0, 3.5))
HELD = km_box(SALIENT, -20, 0, 20, 25)
LESS_HELD = km_box(SALIENT, -20, 0, 12, 25)

CASES = {
    "gain": _donetsk(EAST, WIDE_EAST),
    "tiny gain": _donetsk(EAST, BIT),
    "loss": _donetsk(WIDE_EAST, EAST),
    "both": _donetsk(EAST, shapely.union(BIT, WIDE_EAST) - km_box(SECTOR, -9, -9, 6, -2)),
    "no change": _donetsk(EAST, EAST),
    "empty": _donetsk(NOTHING, NOTHING),
    "everything held": _donetsk(km_box(SECTOR, -40, -40, 40, 40), km_box(SECTOR, -40, -40, 40, 40)),
    "regained": measured(SALIENT, HELD, LESS_HELD, "ukrainian_held", "reconstruction"),
    "incursion": measured(SALIENT, LESS_HELD, HELD, "ukrainian_held", "reconstruction"),
}


def _base():
    # The border runs east to west through the salient's centre, a little ragged.
    border = transform(
        shapely.LineString([(x * 1000, 1000 * (x % 20) / 20) for x in range(-150, 151, 5)]),
        STORAGE_CRS,
        source=SALIENT.crs,
    )
    west, east = shapely.get_coordinates(border)[[0, -1]]
    south = [(40, east[1]), (40, 44.5), (west[0] - 8, 44.5), (west[0] - 8, west[1])]
    ukraine = shapely.Polygon([*border.coords, *south]).buffer(0)
    near = gpd.GeoDataFrame(
        {"name": ["Here", "There"]},
        geometry=[shapely.box(20, 42, 48, 51), shapely.box(20, 51, 48, 58)],
        crs=STORAGE_CRS,
    )
    oblasts = gpd.GeoDataFrame(
        {"name": ["West Oblast", "East Oblast"]},
        geometry=[shapely.box(30, 45, 37.76, 49), shapely.box(37.76, 45, 41, 49)],
        crs=STORAGE_CRS,
    )
    return Base(BaseLayers(border, ukraine, near, oblasts))


def _table():
    rows = []
    for sector in (SECTOR, SALIENT):
        share = sector.width_km / 13
        for n in range(150):
            # A low-discrepancy scatter, also beyond the frame.
            x, y = ((n * 0.618034) % 1 - 0.5) * 20, ((n * 0.754878) % 1 - 0.5) * 18
            spot = transform(
                shapely.Point(x * share * 1000, y * share * 1000),
                STORAGE_CRS,
                source=sector.crs,
            )
            size = 10 ** (2 + (n * 0.41421) % 1 * 3.6)
            rank = 1 + sum(size < limit for limit in (100_000, 10_000, 2_000))
            name = f"{'Nova ' * (n % 7 == 0)}Place-{sector.key[:3]}{n}"
            rows.append((f"{sector.key}{n}", name, spot.x, spot.y, size, rank))
    columns = ["id", "name", "lon", "lat", "population", "rank"]
    table = pd.DataFrame(rows, columns=columns)
    table.loc[0, ["name", "lon", "lat", "population", "rank"]] = (
        SECTOR.name,
        SECTOR.lon + 0.01,
        SECTOR.lat,
        30_000,
        2,
    )
    return table


BASE = _base()
TABLE = _table()


def places(change):
    """The settlements, with those whose point changed sides."""
    points = shapely.points(TABLE["lon"], TABLE["lat"])
    ids = {
        kind: frozenset(TABLE["id"][shapely.contains(ground, points)])
        for kind, ground in (("gained", change.gained), ("lost", change.lost))
    }
    return Places(TABLE, ids["gained"], ids["lost"])


def words(change):
    """The words around a map, as a notebook makes them."""
    return MapText(
        findings.headline(change),
        findings.standfirst(change),
        findings.caveats(change.source, change.sector),
        findings.source_line(change.source, ("© OpenStreetMap contributors (ODbL)",)),
        findings.key_labels(change),
    )
