"""What the rooms hand to each other: layer and tier vocabulary, table columns, and their checks.

A check collects every fault of a table and raises once; after it, the inner functions trust their
input.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers.errors import ParameterError, SchemaError, SnapshotError, unknown
from helpers.projection import STORAGE_CRS, area_km2
from helpers.tables import Table

if TYPE_CHECKING:
    import geopandas as gpd

# ISW's own distinctions, in one vocabulary. A reader maps its publisher's spellings to these.
LAYERS = (
    "assessed_control",
    "assessed_advance",
    "assessed_infiltration",
    "assessed_advance_or_claimed",
    "claimed_control",
    "claimed_counteroffensive",
    "reported_partisan_warfare",
    "pre_invasion_control",
    "ukrainian_held",
    "regained",
)

# One publisher drew advance and claims as one layer for a while: it says nothing of `presence`.
_INSEPARABLE = "assessed_advance_or_claimed"

# Longitudes and latitudes of every map measured here (degrees: west, south, east, north): Ukraine
# and what borders on it. With latitude before longitude, or in metres, a map would not meet it.
THEATRE = (21.0, 43.0, 42.0, 55.0)

# A tier is a union of layers. ISW's control, advance and claimed layers are disjoint, and ground
# moves between them for bookkeeping reasons; `presence` is what other publishers draw as held.
TIERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "control": ("assessed_control",),
        "presence": ("assessed_control", "assessed_advance"),
        "claimed": ("assessed_control", "assessed_advance", "claimed_control", _INSEPARABLE),
        "ukrainian_held": ("ukrainian_held",),
        "regained": ("regained",),
    }
)

# Tiers that fall where Russian forces advance. Everywhere, positive = Russian advance.
INVERTED_TIERS = frozenset({"ukrainian_held"})

# `area_km2` is the level of the tier; `gained_km2` and `lost_km2` are Russian advance and Russian
# withdrawal since the snapshot before, `elapsed_days` earlier, and `rate_km2_day` is their
# difference a day; `depth_km` is how far the advance reaches beyond the old line, `contact_km` the
# length of the line of contact, `label` one of `DAY_LABELS`.
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
    "rate_km2_day",
    "depth_km",
    "contact_km",
    "area_error_km2",
    "change_error_km2",
    "label",
    "note",
)

# What a day of a sector is called; that it follows a gap stands in `note`.
DAY_LABELS = (
    "first day",
    "no update",
    "no change",
    "advanced",
    "withdrawn",
    "redrawn",
    "reclassified",
)

_EMPTY = shapely.MultiPolygon()


class Repairs(NamedTuple):
    """What had to be done to a file's polygons before they could be measured.

    Attributes
    ----------
    nulls
        Features without a geometry, left out.
    invalid
        Polygons that crossed themselves.
    invalid_km2
        How much the area of those changed by their repair, km².
    doubled_km2
        Ground that two features shared, counted once, km².
    """

    nulls: int = 0
    invalid: int = 0
    invalid_km2: float = 0.0
    doubled_km2: float = 0.0


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
        Valid (multi)polygon in OGC:CRS84. Empty where the publisher says that there is none.
    published, retrieved
        Day of publication, and day on which the file was fetched, where they are told.
    repairs
        What was done to the published polygons.
    note
        What a reader of the figures must know of this file, such as a window that runs backwards.
    """

    day: date
    layer: str
    geometry: BaseGeometry
    published: date | None = None
    retrieved: date | None = None
    repairs: Repairs = Repairs()
    note: str = ""


@dataclass(frozen=True)
class InputFile:
    """One published file: its path relative to the workspace, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True, repr=False)
class Snapshot:
    """The map of one source for one assessed day.

    Attributes
    ----------
    source
        Id of the source.
    day
        The assessed day: the day whose situation the map shows.
    layers
        Layer name to one valid (multi)polygon in OGC:CRS84, empty where the publisher drew none. An
        absent layer was not published that day: that is not an area of 0.
    tiers
        The tiers that can be told from these layers (`tiers_of`).
    published, retrieved
        Day of publication, and day on which the file was fetched, where they are told.
    inputs
        The files it was read from.
    copy_of
        The earlier assessed day whose map is identical to this one ("no update"), or None.
    kept
        What was worked out of the map, for whoever needs it again.
    """

    source: str
    day: date
    layers: Mapping[str, BaseGeometry]
    tiers: tuple[str, ...]
    published: date | None = None
    retrieved: date | None = None
    inputs: tuple[InputFile, ...] = field(default=())
    copy_of: date | None = None
    # What was worked out of this map alone, a tier first of all: always the same object, so who has
    # followed it once need not follow it again.
    kept: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def _shown(self) -> Table:
        areas = {name: area_km2(self.tier(name)) for name in self.tiers}
        told = f"; the same map as on {self.copy_of} (no update)" if self.copy_of else ""
        return Table(
            pd.DataFrame({"tier": list(areas), "area_km2": list(areas.values())}),
            f"{self.source}, assessed day {self.day}{told}. Layers: {', '.join(self.layers)}.",
        )

    def _repr_html_(self) -> str:
        """In a notebook: what was drawn, and how much ground it is."""
        return self._shown()._repr_html_()

    def __repr__(self) -> str:
        return repr(self._shown())

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
            If it was not drawn that day: absence of data is not an area of 0.
        """
        check_tier(name)
        if name not in self.tiers:
            raise SnapshotError(
                f"The {self.source} map of {self.day} does not tell the tier {name!r}. It tells: "
                f"{', '.join(self.tiers) or 'none'}."
            )
        if name not in self.kept:
            parts = [self.layers[layer] for layer in TIERS[name] if layer in self.layers]
            joined = shapely.union_all(parts) if len(parts) > 1 else (*parts, _EMPTY)[0]
            self.kept[name] = joined
        ground: BaseGeometry = self.kept[name]
        return ground


def tiers_of(drawn: Collection[str], published: Collection[str]) -> tuple[str, ...]:
    """Tiers that can be told from the layers of a day.

    Parameters
    ----------
    drawn
        Layers that the source draws at all. One that draws no layer of its own for, say, advance
        draws advance as control, and its `presence` is its control.
    published
        Layers published for the day, empty ones included.

    Returns
    -------
    tuple of str
        In the order of `TIERS`.
    """
    have = set(published)
    # The inseparable layer stands in for its two in the union of all, and for nothing else.
    all_three = {"assessed_control", _INSEPARABLE} <= have
    found = []
    for tier, layers in TIERS.items():
        needed = set(layers) & set(drawn) - {_INSEPARABLE}
        whole = bool(needed) and needed <= have
        if whole or (tier == "claimed" and all_three):
            found.append(tier)
    return tuple(found)


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


def optional_day(text: str | date, what: str = "date") -> date | None:
    """Read an ISO day as `parse_day` does; an empty text is None."""
    return parse_day(text, what) if text else None


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
    if geometry is None:
        return f"{layer} is null"
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
        Columns day, published, retrieved (datetime64), layer, geometry; CRS OGC:CRS84.
    """
    import geopandas as gpd

    return gpd.GeoDataFrame(
        {
            "day": pd.to_datetime([m.day for m in maps]),
            "published": pd.to_datetime([m.published for m in maps]),
            "retrieved": pd.to_datetime([m.retrieved for m in maps]),
            "layer": [m.layer for m in maps],
        },
        geometry=[m.geometry for m in maps],
        crs=STORAGE_CRS,
    )
