"""What the rooms hand to each other: layer and tier vocabulary, table columns, and their checks.

A check collects every fault of a table and raises once; after it, the inner functions trust their
input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers.errors import ParameterError, SchemaError, SnapshotError, unknown
from helpers.projection import STORAGE_CRS

if TYPE_CHECKING:
    import geopandas as gpd

# ISW's own distinctions, in one vocabulary. A reader maps its publisher's spellings to these.
LAYERS = (
    "assessed_control",
    "assessed_advance",
    "assessed_infiltration",
    "claimed_control",
    "claimed_counteroffensive",
    "reported_partisan_warfare",
    "pre_invasion_control",
    "ukrainian_held",
    "regained",
)

# A tier is a union of layers. ISW's control, advance and claimed layers are disjoint, and ground
# moves between them for bookkeeping reasons; `presence` is what other publishers draw as held.
TIERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "control": ("assessed_control",),
        "presence": ("assessed_control", "assessed_advance"),
        "claimed": ("assessed_control", "assessed_advance", "claimed_control"),
        "ukrainian_held": ("ukrainian_held",),
    }
)

# Tiers that fall where Russian forces advance. Everywhere, positive = Russian advance.
INVERTED_TIERS = frozenset({"ukrainian_held"})

# `area_km2` is the level of the tier; `gained_km2` and `lost_km2` are Russian advance and Russian
# withdrawal since the snapshot before, `elapsed_days` earlier.
MEASURE_COLUMNS = (
    "source",
    "sector",
    "day",
    "tier",
    "area_km2",
    "gained_km2",
    "lost_km2",
    "net_km2",
    "sliver_km2",
    "elapsed_days",
    "area_error_km2",
    "change_error_km2",
    "note",
)

_EMPTY = shapely.MultiPolygon()


class LayerMap(NamedTuple):
    """One layer of one map, as a reader returns it.

    Not a row of a table: making a table of one row costs more than parsing a file.

    Attributes
    ----------
    day
        The assessed day.
    layer
        One of `LAYERS`.
    geometry
        Valid (multi)polygon in OGC:CRS84.
    published
        Day of publication, where the source tells it.
    """

    day: date
    layer: str
    geometry: BaseGeometry
    published: date | None = None


@dataclass(frozen=True)
class InputFile:
    """One published file: its path relative to the workspace, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Snapshot:
    """The map of one source for one assessed day.

    Attributes
    ----------
    source
        Id of the source.
    day
        The assessed day: the day whose situation the map shows.
    layers
        Layer name to one valid (multi)polygon in OGC:CRS84. An absent layer means none.
    tiers
        The tiers that this source draws at all.
    published
        Day of publication, where the source tells it.
    inputs
        The files it was read from.
    copy_of
        The earlier assessed day whose map is identical to this one ("no update"), or None.
    """

    source: str
    day: date
    layers: Mapping[str, BaseGeometry]
    tiers: tuple[str, ...]
    published: date | None = None
    inputs: tuple[InputFile, ...] = field(default=())
    copy_of: date | None = None

    def tier(self, name: str) -> BaseGeometry:
        """Ground of one tier.

        Parameters
        ----------
        name
            One of `TIERS`.

        Returns
        -------
        shapely geometry
            (Multi)polygon in OGC:CRS84, empty where the source draws none that day.

        Raises
        ------
        ParameterError
            If there is no such tier.
        SnapshotError
            If this source does not draw it: absence of data is not an area of 0.
        """
        check_tier(name)
        if name not in self.tiers:
            raise SnapshotError(
                f"Source {self.source!r} does not draw the tier {name!r}. It draws: "
                f"{', '.join(self.tiers)}."
            )
        parts = [self.layers[layer] for layer in TIERS[name] if layer in self.layers]
        if not parts:
            return _EMPTY
        return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def check_tier(name: str) -> str:
    """Return the tier's name, or raise a ParameterError that lists the known ones."""
    if name not in TIERS:
        raise unknown("tier", name, TIERS)
    return name


def parse_day(text: str | date, what: str = "date") -> date:
    """Read an ISO day.

    Parameters
    ----------
    text
        ``"2025-01-08"``, or a date, which is returned as it is.
    what
        What the day is for, named in the error.

    Returns
    -------
    datetime.date
        The day.

    Raises
    ------
    ParameterError
        If it is not a day of the calendar in the form YYYY-MM-DD.
    """
    if isinstance(text, date):
        return text
    try:
        # The length rules out 20250108 and 2025-W02-3, which fromisoformat takes too.
        if isinstance(text, str) and len(text) == 10 and text[4] == "-":
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ParameterError(f"{what} {text!r} is not a day. Write it as YYYY-MM-DD, e.g. 2025-01-08.")


def check_maps(maps: Sequence[LayerMap], where: str, *, repaired: bool = False) -> list[LayerMap]:
    """Check what a reader has read.

    Parameters
    ----------
    maps
        The layers of one file: each day and layer once, valid (multi)polygons in OGC:CRS84.
    where
        The file, for the message.
    repaired
        Whether the geometries come from a repair, and so need not be checked again.

    Returns
    -------
    list of LayerMap
        The same.

    Raises
    ------
    SchemaError
        Naming every fault at once.
    """
    faults = []
    alien = sorted({m.layer for m in maps} - set(LAYERS))
    if alien:
        faults.append(f"unknown layers {', '.join(map(repr, alien))}; known: {', '.join(LAYERS)}")
    doubled = len(maps) - len({(m.day, m.layer) for m in maps})
    if doubled:
        faults.append(f"{doubled} maps repeat a day and layer")
    faults += [fault for m in maps if (fault := _geometry_fault(m, repaired=repaired))]
    if faults:
        raise SchemaError(f"{where}: " + "; ".join(faults) + ".")
    return list(maps)


def _geometry_fault(layer_map: LayerMap, *, repaired: bool) -> str:
    geometry, layer = layer_map.geometry, layer_map.layer
    if geometry is None or geometry.is_empty:
        return f"{layer} is null or empty (leave it out instead)"
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        return f"{layer} is a {geometry.geom_type}, not a (multi)polygon"
    if repaired or geometry.is_valid:
        return ""
    return f"{layer} is invalid ({shapely.is_valid_reason(geometry)})"


def as_table(maps: Sequence[LayerMap]) -> gpd.GeoDataFrame:
    """Lay maps out as a table, for looking at them.

    Parameters
    ----------
    maps
        What a reader returns.

    Returns
    -------
    geopandas.GeoDataFrame
        Columns day, published (datetime64), layer, geometry; CRS OGC:CRS84.
    """
    import geopandas as gpd

    return gpd.GeoDataFrame(
        {
            "day": pd.to_datetime([m.day for m in maps]),
            "published": pd.to_datetime([m.published for m in maps]),
            "layer": [m.layer for m in maps],
        },
        geometry=[m.geometry for m in maps],
        crs=STORAGE_CRS,
    )
