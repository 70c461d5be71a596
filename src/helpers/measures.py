"""Sectors x days -> areas, gains, losses and their uncertainty, as one tidy table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers import changes, cuts, edges, gate
from helpers.errors import ParameterError
from helpers.projection import area_km2, local_crs
from helpers.schema import INVERTED_TIERS, LAYERS, MEASURE_COLUMNS, check_tier

if TYPE_CHECKING:
    from helpers.reference import Sector
    from helpers.schema import Snapshot
    from helpers.sources import Source

SINCE_COLUMNS = ("source", "sector", "day", "tier", "gained_km2", "lost_km2", "net_km2")

# The key of the whole map in the column `sector`.
WHOLE = "all"
_WHOLE_TIER = "presence"

# Less than this is no change: a hundredth is the last figure that a table shows.
NO_CHANGE_KM2 = 0.01
# A day is redrawn where both gains and losses reach this, and the smaller is at least this share of
# the larger. No day of DeepState's 769 does, even on the whole map; redraws of other publishers'
# maps do, such as +194/-89, +158/-55 and +53/-53 km².
REDRAWN_KM2 = 20.0
REDRAWN_SHARE = 1 / 3
# In a sector, ground that moves between tiers is told from this size on.
RECLASSIFIED_KM2 = 1.0

# What "str" stands for, looked up once.
_TEXT = pd.StringDtype(na_value=np.nan)

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]


class _Parts(NamedTuple):
    """Pieces of change: the map that brought each, and its sizes. Arrays of one length."""

    pieces: Array
    step: Array
    sign: Array  # 1 where added to the tier's ground, -1 where removed
    area: Array
    thin: Array
    moved: Array
    depth: Array  # km beyond the piece's own old line; NaN where it has none
    number: Array  # which of all pieces it is; -1 where it was cut

    def take(self, which: Array) -> _Parts:
        return _Parts(*(column[which] for column in self))


class _Maps(tuple[BaseGeometry, ...]):
    """Maps that are the same only if they are the same objects: quicker than to compare them."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(tuple(map(id, self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Maps) and [*map(id, self)] == [*map(id, other)]


@dataclass(frozen=True, eq=False)
class _Changes:
    """Everything that changed over a sequence of maps of one tier."""

    maps: Sequence[BaseGeometry]
    steps: Sequence[edges.Faces]
    parts: _Parts
    tree: shapely.STRtree
    lines: changes.Lines
    inverted: bool  # the tier's ground shrinks where Russian forces advance


class _Place(NamedTuple):
    """Where to measure; the whole map has no polygon."""

    polygon: BaseGeometry | None
    band: BaseGeometry | None


def daily(
    snapshots: Sequence[Snapshot],
    sectors: Sequence[Sector] | None,
    *,
    source: Source,
    tier: str = "",
    border: BaseGeometry | None = None,
    whole: bool = False,
) -> pd.DataFrame:
    """Measure sectors day by day.

    Parameters
    ----------
    snapshots
        Of one source, in order of time.
    sectors
        Where; None for none.
    source
        Its record, for the positional error.
    tier
        What to measure; empty for each sector's own measure, or what stands in for it in this
        source (`Source.tier_for`).
    border
        State border and coast (`reference.outer_edges`), lines in OGC:CRS84: ground that ends
        there has no line of contact.
    whole
        Whether to measure the whole map too, as sector "all". Its uncertainty is an upper bound:
        where a map's coast is off that of `border`, it counts as line of contact.

    Returns
    -------
    pandas.DataFrame
        `helpers.schema.MEASURE_COLUMNS`, one row a sector and snapshot, sector after sector. `day`
        is datetime64. Changes are those since the snapshot before; in the first row they are
        missing. `note` is empty or some of "first day", "no update" (a copy of the map before),
        "after a gap of n days", "redrawn" and "re-quantised", joined by "; ".

    Raises
    ------
    ParameterError
        If the snapshots are not of this source, or not in order, one a day.
    SnapshotError
        If no snapshot tells the tier. Those that do not, such as one without a layer, are passed
        over.

    Notes
    -----
    `gained_km2 - lost_km2` is the change of `area_km2` (its negative where the tier is inverted).
    On re-quantised days the noise that was taken out of the faces is counted as sliver.
    """
    _check(snapshots, source)
    asked = places(sectors, source, tier, whole=whole)
    tables = [
        _daily(_telling(snapshots, name), places, source=source, border=border)
        for name, places in _by_tier(asked)
    ]
    return _in_order(tables, asked)


def _daily(
    snapshots: Sequence[Snapshot], asked: Places, *, source: Source, border: BaseGeometry | None
) -> pd.DataFrame:
    """Measure places of one tier."""
    followed = _follow_tier(snapshots, asked)
    error_km = source.positional_error_m / 1000
    blocks = [
        _measure(followed, _place(sector, followed.maps, border), error_km)
        for _, _, sector in asked
    ]
    columns = _columns(snapshots, source, asked, blocks)
    said = _day_notes(snapshots) * len(asked)
    suspects = _suspects(snapshots)
    moved = [flag for _, _, sector in asked for flag in _reclassified(snapshots, sector, suspects)]
    columns["label"] = _text(_labels(said, moved, columns))
    columns["note"] = _text(_notes(said, columns))
    elapsed = np.diff([s.day.toordinal() for s in snapshots], prepend=0).astype(np.int64)
    unknown = np.arange(len(snapshots)) == 0
    elapsed, unknown = np.tile(elapsed, len(asked)), np.tile(unknown, len(asked))
    columns["elapsed_days"] = pd.arrays.IntegerArray(elapsed, unknown)
    columns["rate_km2_day"] = columns["net_km2"] / np.where(unknown, np.nan, elapsed)
    return pd.DataFrame({name: columns[name] for name in MEASURE_COLUMNS}, copy=False)


def since(
    snapshots: Sequence[Snapshot],
    sectors: Sequence[Sector] | None,
    *,
    source: Source,
    tier: str = "",
    whole: bool = False,
) -> pd.DataFrame:
    """Measure how far each day is from the first.

    Parameters
    ----------
    snapshots
        Of one source, in order of time; the first is the baseline.
    sectors, source, tier, whole
        As `daily`.

    Returns
    -------
    pandas.DataFrame
        `SINCE_COLUMNS`, one row a sector and snapshot, sector after sector: what is ground on that
        day and was not on the first (gained_km2), and what was and is not (lost_km2); for tiers
        that shrink under a Russian advance the other way round. Ground that was lost and came back
        counts as neither. Equal to the two differences of the maps, but for the noise of days that
        were exported anew (0.02 km² on the whole map of DeepState).

    Raises
    ------
    ParameterError, SnapshotError
        As `daily`.
    """
    _check(snapshots, source)
    asked = places(sectors, source, tier, whole=whole)
    tables = []
    for name, here in _by_tier(asked):
        telling = _telling(snapshots, name)
        followed = _follow_tier(telling, here)
        blocks = [_measure_since(followed, _place(sector, (), None)) for _, _, sector in here]
        columns = _columns(telling, source, here, blocks)
        tables.append(pd.DataFrame({name: columns[name] for name in SINCE_COLUMNS}, copy=False))
    return _in_order(tables, asked)


Places = list[tuple[str, str, "Sector | None"]]


def _by_tier(asked: Places) -> list[tuple[str, Places]]:
    tiers = dict.fromkeys(name for _, name, _ in asked)
    return [(tier, [place for place in asked if place[1] == tier]) for tier in tiers]


def _telling(snapshots: Sequence[Snapshot], tier: str) -> list[Snapshot]:
    """The snapshots that tell a tier; where none does, the first says so."""
    telling = [s for s in snapshots if tier in s.tiers]
    if snapshots and not telling:
        snapshots[0].tier(tier)
    return telling


def _in_order(tables: Sequence[pd.DataFrame], asked: Places) -> pd.DataFrame:
    """One table, sector after sector as they were asked for."""
    if len(tables) == 1:
        return tables[0]
    order = {key: number for number, (key, _, _) in enumerate(asked)}
    table = pd.concat(tables, ignore_index=True)
    return table.sort_values("sector", key=lambda k: k.map(order), kind="stable", ignore_index=True)


def places(
    sectors: Sequence[Sector] | None, source: Source, tier: str = "", *, whole: bool = False
) -> Places:
    """List what is to be measured, and in which tier.

    Parameters
    ----------
    sectors, source, tier, whole
        As `daily`.

    Returns
    -------
    list of tuple
        Key, tier and sector of each place; the whole map has no sector.

    Raises
    ------
    ParameterError
        If nothing is asked for, or the tier is not known.
    """
    asked: Places = [
        (sector.key, check_tier(tier or source.tier_for(sector.measure)), sector)
        for sector in sectors or ()
    ]
    if whole:
        asked.append((WHOLE, check_tier(tier or _WHOLE_TIER), None))
    if not asked:
        raise ParameterError("Nothing to measure: name a sector, or ask for the whole map.")
    return asked


def _columns(
    snapshots: Sequence[Snapshot], source: Source, asked: Places, blocks: list[dict[str, Array]]
) -> dict[str, Any]:
    n = len(snapshots)
    place, step = np.repeat(np.arange(len(asked)), n), np.tile(np.arange(n), len(asked))
    days = np.array([s.day for s in snapshots], dtype="datetime64[s]")
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    keys = {
        "source": [source.id] * len(asked),
        "sector": [key for key, _, _ in asked],
        "tier": [name for _, name, _ in asked],
    }
    texts = {name: _text(np.array(told, dtype=object)[place]) for name, told in keys.items()}
    return {**columns, **texts, "day": days[step]}


def _text(told: Any) -> Any:
    return pd.array(told, dtype=_TEXT)


def _check(snapshots: Sequence[Snapshot], source: Source) -> None:
    alien = sorted({s.source for s in snapshots} - {source.id})
    if alien:
        raise ParameterError(
            f"Snapshots of {', '.join(alien)} cannot be measured as {source.id}. Sources differ by "
            "more than a day's change: measure one at a time."
        )
    for before, after in pairwise(snapshots):
        if before.day >= after.day:
            raise ParameterError(
                f"The snapshots of {source.id} are not in order: {after.day} follows {before.day}. "
                "Sort them by day, one a day."
            )


def _place(
    sector: Sector | None, maps: Sequence[BaseGeometry], border: BaseGeometry | None
) -> _Place:
    polygon = None if sector is None else sector.polygon
    ground = [m for m in maps if not m.is_empty]
    if border is None or not (sector or ground):
        return _Place(polygon, None)
    if sector is not None:
        return _Place(polygon, changes.border_band(border, sector.polygon.bounds, sector.crs))
    west, south, east, north = map(float, shapely.total_bounds(np.array(ground, dtype=object)))
    crs = local_crs((west + east) / 2, (south + north) / 2)
    return _Place(None, changes.border_band(border, (west, south, east, north), crs))


# One tier, all maps -------------------------------------------------------------------------


def _follow_tier(snapshots: Sequence[Snapshot], asked: Places) -> _Changes:
    name = asked[0][1]
    return _follow(_Maps(changes.grounds(snapshots, name)), inverted=name in INVERTED_TIERS)


# Kept for the next sector or table of the same maps: all that is dear happens here.
@lru_cache(maxsize=2)
def _follow(maps: _Maps, *, inverted: bool) -> _Changes:
    """Compare the maps of a tier, each with the one before, and lay out what changed."""
    steps = [edges.NO_CHANGE, *edges.steps(maps)]  # none leads to the first map
    pieces = np.concatenate([side for s in steps for side in (s.gained, s.lost)])
    sizes = np.array([[len(s.gained), len(s.lost)] for s in steps])
    step = np.repeat(np.arange(len(steps)), sizes.sum(axis=1))
    sign = np.repeat(np.tile([1, -1], len(steps)), sizes.ravel())
    ends = np.concatenate([side for s in steps for side in (s.appeared, s.vanished)])
    counts = np.array([[len(s.appeared), len(s.vanished)] for s in steps])
    new = np.repeat(np.tile([True, False], len(steps)), counts.ravel())
    lines = changes.lines_of(ends, np.repeat(np.arange(len(steps)), counts.sum(axis=1)), new)
    return _Changes(
        maps=maps,
        steps=steps,
        parts=_sized(pieces, step, sign, lines)._replace(number=np.arange(len(pieces))),
        tree=shapely.STRtree(pieces),
        lines=lines,
        inverted=inverted,
    )


def _sized(pieces: Array, step: Array, sign: Array, lines: changes.Lines) -> _Parts:
    thin = changes.slivers(pieces)
    at = np.flatnonzero(~thin)  # no line moves along a sliver, and none is deep
    edge = changes.sides(pieces[at], step[at], lines, None)
    moved, depth = np.zeros(len(pieces)), np.full(len(pieces), np.nan)
    moved[at] = changes.moved_km(edge, len(at))
    depth[at] = changes.reach_km(pieces[at], edge)
    cut = np.full(len(pieces), -1)
    return _Parts(pieces, step, sign, area_km2(pieces), thin, moved, depth, cut)


# One sector ---------------------------------------------------------------------------------


def _measure(followed: _Changes, place: _Place, error_km: float) -> dict[str, Array]:
    """Measure one place: an array a column, one value a map."""
    n = len(followed.maps)
    parts = _cut(followed, place)

    def per_map(weights: FloatArray) -> FloatArray:
        return changes.sums(parts.step, weights, n)

    added = per_map(parts.area * (parts.sign > 0))
    removed = per_map(parts.area * (parts.sign < 0))
    sliver = per_map(parts.area * parts.thin)
    drawn = [per_map(parts.area * (parts.sign * ~parts.thin == sign)) for sign in (1, -1)]
    area = _levels(followed, place, (added, removed, sliver))
    gained, lost = (removed, added) if followed.inverted else (added, removed)
    advance = -1 if followed.inverted else 1
    contact = _contact_km(followed, place)
    changed = {
        "gained_km2": gained,
        "lost_km2": lost,
        "net_km2": gained - lost,
        "sliver_km2": sliver,
        "change_error_km2": error_km * per_map(parts.moved),
        "depth_km": _deepest(parts, parts.sign == advance, n),
    }
    for column in changed.values():
        column[:1] = np.nan  # the first map has none before it
    return changed | {
        "area_km2": area,
        "area_error_km2": error_km * contact,
        "contact_km": contact,
        "drawn": (drawn[0] - drawn[1]) * advance,
        "redrawn": _redrawn(*drawn),
        "requantised": np.array([step.requantised for step in followed.steps])[:n],
    }


def _measure_since(followed: _Changes, place: _Place) -> dict[str, Array]:
    n = len(followed.maps)
    parts = _cut(followed, place)
    held = _held(followed)[parts.number] if n else parts.area
    cut = parts.number < 0
    if cut.any():
        held[cut] = area_km2(cuts.overlap(parts.pieces[cut], followed.maps[0]))
    outside = changes.sums(parts.step, parts.sign * (parts.area - held), n)
    inside = changes.sums(parts.step, parts.sign * held, n)
    # The noise of a new export, which the faces lack, must not make them less than nothing.
    gained, lost = np.maximum(np.cumsum(outside), 0), np.maximum(-np.cumsum(inside), 0)
    if followed.inverted:
        gained, lost = lost, gained
    return {"gained_km2": gained, "lost_km2": lost, "net_km2": gained - lost}


@lru_cache(maxsize=2)
def _held(followed: _Changes) -> FloatArray:
    """How much of each piece is ground of the first map."""
    held: FloatArray = area_km2(cuts.overlap(followed.parts.pieces, followed.maps[0]))
    held.flags.writeable = False
    return held


def _deepest(parts: _Parts, which: Array, n: int) -> FloatArray:
    """The greatest depth on each map; NaN where nothing reaches beyond the old line."""
    deepest = np.full(n, -np.inf)
    known = which & ~np.isnan(parts.depth)
    np.maximum.at(deepest, parts.step[known].astype(int), parts.depth[known])
    return np.where(np.isfinite(deepest), deepest, np.nan)


def _redrawn(gained: FloatArray, lost: FloatArray) -> Array:
    small = np.minimum(gained, lost)
    return (small >= REDRAWN_KM2) & (small >= REDRAWN_SHARE * np.maximum(gained, lost))


def _cut(followed: _Changes, place: _Place) -> _Parts:
    """The pieces inside a place; the line that moved is without the state border."""
    parts = followed.parts if place.polygon is None else _inside(followed, place.polygon)
    if place.band is not None:
        shapely.prepare(place.band)
        at = np.flatnonzero(shapely.intersects(place.band, parts.pieces) & ~parts.thin)
        edge = changes.sides(parts.pieces[at], parts.step[at], followed.lines, place.band)
        parts = parts._replace(moved=parts.moved.copy())
        parts.moved[at] = changes.moved_km(edge, len(at))
    return parts


@lru_cache(maxsize=64)
def _inside(followed: _Changes, polygon: BaseGeometry) -> _Parts:
    """The pieces inside a polygon; those that its edge crosses are cut and sized again."""
    parts = followed.parts
    within, across = _among(followed.tree, polygon)
    if not len(across):
        return parts.take(within)
    crossing = _intersect(parts.take(across), polygon, followed.lines)
    whole = parts.take(within)
    return _Parts(*(np.concatenate(pair) for pair in zip(whole, crossing, strict=True)))


def _among(tree: shapely.STRtree, polygon: BaseGeometry) -> tuple[Array, Array]:
    """Which geometries of a tree lie inside a polygon, and which its edge crosses or touches."""
    shapely.prepare(polygon)
    near = np.sort(tree.query(polygon))
    within = shapely.contains_properly(polygon, tree.geometries[near])
    rest = near[~within]
    return near[within], rest[shapely.intersects(polygon, tree.geometries[rest])]


def _intersect(parts: _Parts, polygon: BaseGeometry, lines: changes.Lines) -> _Parts:
    cut = shapely.intersection(parts.pieces, polygon)
    pieces, owner = shapely.get_parts(cut, return_index=True)
    areal = shapely.get_type_id(pieces) == shapely.GeometryType.POLYGON
    pieces, owner = pieces[areal], owner[areal]
    return _sized(pieces, parts.step[owner], parts.sign[owner], lines)


def _contact_km(followed: _Changes, place: _Place) -> FloatArray:
    """Length of the line of contact on each map: the first one's, and the edges that changed."""
    n = len(followed.maps)
    if not n:
        return np.empty(0)
    first = changes.contact_line(followed.maps[0].boundary, place.polygon, place.band)
    edge = followed.lines
    whole, cut = np.arange(len(edge.lines)), np.empty(0, dtype=np.intp)
    if place.polygon is not None:
        whole, cut = _among(edge.tree, place.polygon)
    if place.band is not None:
        shapely.prepare(place.band)
        banded = shapely.intersects(place.band, edge.lines[whole])
        whole, cut = whole[~banded], np.concatenate([cut, whole[banded]])
        # Of an edge that lies in the strip nothing is left.
        cut = cut[~shapely.contains_properly(place.band, edge.lines[cut])]
    rest = changes.contact_line(edge.lines[cut], place.polygon, place.band)
    near = np.concatenate([whole, cut])
    lengths = np.concatenate([edge.km[whole], changes.lengths_km(rest)])
    change = changes.sums(edge.step[near], lengths * np.where(edge.new[near], 1, -1), n)
    first_km = changes.lengths_km(np.array([first]))[0]
    lengths_now: FloatArray = np.maximum(first_km + np.cumsum(change), 0)
    return lengths_now


def _levels(
    followed: _Changes, place: _Place, moves: tuple[FloatArray, FloatArray, FloatArray]
) -> FloatArray:
    """Area on each map: the first one's, and what was added and removed since.

    Where a map was exported anew its area is measured again, and what the faces lack of it goes
    into added or removed, and is sliver.
    """
    added, removed, sliver = moves
    if not followed.maps:
        return np.empty(0)

    again = [0, *(i for i, step in enumerate(followed.steps) if step.requantised)]
    grounds = [followed.maps[i] for i in again]
    if place.polygon is not None:
        grounds = [cuts.clip(ground, place.polygon) for ground in grounds]
    first, *exact = area_km2(np.array(grounds, dtype=object)).tolist()
    for i, area in zip(again[1:], exact, strict=True):
        missing = area - first - float(np.sum(added[: i + 1] - removed[: i + 1]))
        (added if missing > 0 else removed)[i] += abs(missing)
        sliver[i] += abs(missing)
    levels: FloatArray = np.maximum(first + np.cumsum(added - removed), 0)  # not -1e-12
    return levels


# The table ----------------------------------------------------------------------------------


def _day_notes(snapshots: Sequence[Snapshot]) -> list[list[str]]:
    """What there is to say of each day, whatever the sector."""
    notes = [["first day"]] if snapshots else []
    for before, after in pairwise(snapshots):
        missing = (after.day - before.day).days - 1
        note = []
        if changes.same_layers(before, after, LAYERS):
            note.append("no update")
        if missing:
            note.append(f"after a gap of {missing} day{'s' if missing > 1 else ''}")
        notes.append(note)
    return notes


def _suspects(snapshots: Sequence[Snapshot]) -> list[int]:
    """The days on which ground moved between control and advance, in the whole map."""
    return [
        number
        for number, (before, after) in enumerate(pairwise(snapshots), 1)
        if all(gate.ADVANCE in s.layers for s in (before, after))
        and not changes.same_layers(before, after, (gate.CONTROL, gate.ADVANCE))
        and gate.is_reclassified(*_tier_steps(before, after, None))
    ]


def _reclassified(
    snapshots: Sequence[Snapshot], sector: Sector | None, suspects: Sequence[int]
) -> list[bool]:
    """Whether ground moved between control and advance, in the whole map and in the sector."""
    flags = [False] * len(snapshots)
    for number in suspects:
        steps = _tier_steps(snapshots[number - 1], snapshots[number], sector)
        flags[number] = gate.is_reclassified(*steps, least_km2=RECLASSIFIED_KM2)
    return flags


def _tier_steps(before: Snapshot, after: Snapshot, sector: Sector | None) -> tuple[float, float]:
    def area(snapshot: Snapshot, layer: str) -> float:
        ground = snapshot.layers[layer]
        return float(area_km2(ground if sector is None else cuts.clip(ground, sector.polygon)))

    control, advance = (
        area(after, layer) - area(before, layer) for layer in (gate.CONTROL, gate.ADVANCE)
    )
    return control, advance


def _labels(
    said: Sequence[Sequence[str]], reclassified: Sequence[bool], table: Mapping[str, Array]
) -> list[str]:
    rows = zip(said, reclassified, table["redrawn"], table["drawn"], strict=True)
    return [_label(*row) for row in rows]


def _label(notes: Sequence[str], reclassified: bool, redrawn: bool, drawn: float) -> str:  # noqa: FBT001
    for known in ("first day", "no update"):
        if known in notes:
            return known
    if redrawn or reclassified:
        return "redrawn" if redrawn else "reclassified"
    if abs(drawn) < NO_CHANGE_KM2:
        return "no change"
    return "advanced" if drawn > 0 else "withdrawn"


def _notes(said: Sequence[Sequence[str]], table: Mapping[str, Array]) -> list[str]:
    found = []
    for note, redrawn, requantised in zip(
        said, table["redrawn"].tolist(), table["requantised"].tolist(), strict=True
    ):
        told = [*note, "redrawn"] if redrawn else note
        found.append("; ".join([*told, "re-quantised"] if requantised else told))
    return found
