"""Data of the interactive maps: the days of a sector, and the ground under them, for a browser.

The files are scripts that set one name each, as a page opened from a folder may load scripts but no
data. Only ground that its source lets everybody have goes in here; the caller sees to that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from helpers import changes, cuts, findings, publishers, reference, settlements, snapshots, sources
from helpers.reference import Sector
from helpers.schema import INVERTED_TIERS, Snapshot
from helpers.workspace import Workspace

WINDOW_DAYS = 60
# Change with the data's form, so that an archive makes the files again.
_FORM = 1
# 4 decimals of a degree are 11 m, 3 are 110 m: a tenth of the error of what is drawn.
_GROUND_DIGITS, _BASE_DIGITS = 4, 3
_BASE_TOLERANCE_DEG = 0.003
# How far beyond the sectors the base reaches, degrees.
_BEYOND_DEG = 1.5
# Ranks of the gazetteer that are named without being pointed at.
_NAMED_RANK = 2


def window(ws: Workspace, source: str, end: date) -> list[Snapshot]:
    """Load the days of a map: `WINDOW_DAYS` calendar days up to one, as far as there are maps."""
    if source not in publishers.present(ws):
        return []
    snapshots.ensure(ws, source)
    start = end - timedelta(days=WINDOW_DAYS - 1)
    if not any(start <= day <= end for day in snapshots.days(ws, source)):
        return []
    return list(snapshots.window(ws, source, start, end))


def key(sector: Sector, days: Sequence[Snapshot]) -> str:
    """Name the content of `script` before it is made: a hash of all that it is made from."""
    made_from = [str(_FORM), repr(sector)]
    made_from += [f"{day.day} {file.sha256}" for day in days for file in day.inputs]
    return hashlib.sha256("\n".join(made_from).encode()).hexdigest()


def script(sector: Sector, days: Sequence[Snapshot], name: str) -> bytes:
    """Make the data of one sector.

    Parameters
    ----------
    sector
        The sector.
    days
        Its days, at least one, of a source whose polygons may be published.
    name
        `key` of the same; it stands in the first line.

    Returns
    -------
    bytes
        JavaScript that sets ``frontlineMap``: days (ISO), bounds and frame (latitude, longitude),
        rings (each once), ground (a day: polygons as numbers of rings, the outline first), changes
        (a day: kind, km² and polygons since the first day), words (a day), and places.
    """
    source = sources.get(days[0].source)
    store = _Rings()
    border = reference.outer_edges()
    ground, changed, words = [], [], []
    for day in days:
        change = changes.in_sector(sector, days[0], day, source=source, border=border)
        ground.append(store.polygons(cuts.clip(day.tier(sector.measure), sector.polygon)))
        changed.append(
            [
                [piece.kind, round(float(piece.area_km2), 2), store.polygons(piece.geometry)]
                for piece in change.pieces.itertuples()
            ]
        )
        labels = findings.key_labels(change)
        words.append(
            {
                "day": findings.day(day.day),
                "headline": findings.headline(change),
                **{role: labels[role] for role in ("held", "gained", "lost", "line_then")},
            }
        )
    west, south, east, north = sector.polygon.bounds
    content = {
        "name": sector.name,
        "inverted": sector.measure in INVERTED_TIERS,
        "bounds": [[south, west], [north, east]],
        "frame": _points(sector.polygon.exterior, _GROUND_DIGITS),
        "credit": f"{source.attribution}. {source.caveat}",
        "days": [day.day.isoformat() for day in days],
        "rings": store.rings,
        "ground": ground,
        "changes": changed,
        "words": words,
        "places": _places(sector, days),
    }
    return f"// {name}\n".encode() + _set("frontlineMap", content)


def _set(name: str, content: Any) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f"globalThis.{name}={text};\n".encode()


class _Rings:
    """Rings by their points: from day to day most of them are the same."""

    def __init__(self) -> None:
        self.rings: list[list[list[float]]] = []
        self._known: dict[bytes, int] = {}

    def polygons(self, geometry: BaseGeometry) -> list[list[int]]:
        parts = shapely.get_parts(geometry)
        wide = [part for part in parts if isinstance(part, shapely.Polygon)]
        found = [[self._number(ring) for ring in (part.exterior, *part.interiors)] for part in wide]
        return [[n for n in numbers if n >= 0] for numbers in found if numbers[0] >= 0]

    def _number(self, ring: BaseGeometry) -> int:
        points = _points(ring, _GROUND_DIGITS)
        if len(points) < 4:
            return -1
        name = np.asarray(points).tobytes()
        if name not in self._known:
            self._known[name] = len(self.rings)
            self.rings.append(points)
        return self._known[name]


def _points(line: BaseGeometry, digits: int) -> list[list[float]]:
    """Points of a line as latitude and longitude, none twice in a row."""
    points = np.round(shapely.get_coordinates(line)[:, ::-1], digits)
    fresh = np.r_[True, (np.diff(points, axis=0) != 0).any(axis=1)]
    rows: list[list[float]] = points[fresh].tolist()
    return rows


def _places(sector: Sector, days: Sequence[Snapshot]) -> list[list[Any]]:
    """Settlements of a sector: name, place, whether always named, and a letter a day.

    The letters: i inside the ground, o outside, l on the line.
    """
    known = reference.settlements()
    near = known[shapely.contains_xy(sector.polygon, known["lon"], known["lat"])]
    near = near.sort_values(["rank", "id"])
    status = [settlements.status(day.tier(sector.measure), near)["status"] for day in days]
    letters = ["".join(word[0] if word != "on the line" else "l" for word in row)
               for row in zip(*status, strict=True)]  # fmt: skip
    return [
        [row.name, round(row.lat, 4), round(row.lon, 4), int(row.rank <= _NAMED_RANK), said]
        for row, said in zip(near.itertuples(index=False), letters, strict=True)
    ]


def base(sectors: Iterable[Sector]) -> bytes:
    """Make the ground under all maps of an archive, from the packaged layers.

    Parameters
    ----------
    sectors
        The sectors that are mapped.

    Returns
    -------
    bytes
        JavaScript that sets ``frontlineBase``: land (polygons: rings, the outline first), oblasts
        and border (lines), simplified to 300 m, and the credit.
    """
    frames = shapely.union_all([sector.polygon for sector in sectors])
    west, south, east, north = frames.bounds
    box = shapely.box(
        west - _BEYOND_DEG, south - _BEYOND_DEG, east + _BEYOND_DEG, north + _BEYOND_DEG
    )
    land = [*reference.countries().geometry, reference.ukraine()]
    oblasts = shapely.union_all([shape.boundary for shape in reference.oblasts().geometry])
    content = {
        "land": [
            [_points(ring, _BASE_DIGITS) for ring in (part.exterior, *part.interiors)]
            for shape in land
            for part in _parts(shape, box, shapely.Polygon)
        ],
        "oblasts": [_points(line, _BASE_DIGITS) for line in _lines(oblasts, box)],
        "border": [_points(line, _BASE_DIGITS) for line in _lines(reference.border(), box)],
        "credit": ", ".join(reference.attributions()),
    }
    return _set("frontlineBase", content)


def _parts(shape: BaseGeometry, box: BaseGeometry, kind: type[BaseGeometry]) -> list[Any]:
    simple = shape.simplify(_BASE_TOLERANCE_DEG).intersection(box)
    parts = shapely.get_parts(simple)
    return [part for part in parts if isinstance(part, kind) and not part.is_empty]


def _lines(shape: BaseGeometry, box: BaseGeometry) -> list[Any]:
    joined = shapely.line_merge(shape) if shape.geom_type != "LineString" else shape
    return _parts(joined, box, shapely.LineString)
