"""Is a day credible against the days around it? Accepted, accepted with notes, or quarantined.

Pure: tables and geometry in, verdicts out. A quarantined day is absent from every measure until a
person admits it with a reason; it is never changed or thrown away.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers.projection import area_km2
from helpers.schema import THEATRE
from helpers.tables import Table

ACCEPTED, NOTED, QUARANTINED = "accepted", "accepted with notes", "quarantined"

FIRST_DAY = date(2022, 2, 24)

# A step of the held ground beyond this is asked about. The largest real daily steps of a settled
# map: -120 km² (DeepState, 769 days), +92; of September 2022, -3,906 (ISW). In a small archive a
# quarter of all ground counts as much, but not less than the largest of those steps.
ASK_KM2 = 1_500.0
ASK_SHARE = 0.25
ASK_LEAST_KM2 = 120.0
# On the newest map nothing can confirm a step. Crimea's disappearance is 26,900 km²; the collapse
# of September 2022 stays below.
UNCONFIRMED_KM2 = 5_000.0
# Faults of publishers came back within 1 to 7 days; what is gone longer has gone.
WITHIN = timedelta(days=14)
RETURNED_SHARE = 0.9
# A map from weeks ago under a new date differs from yesterday's by more than a publisher's
# flip-flop (24 km²): ISW's of "2026-01-25" by 4,864 km².
STALE_DAYS = 14
STALE_KM2 = 50.0
SAME_KM2 = 0.01
# Ground outside the theatre: crumbs were 23 km² at most in 28 days, a wrong country 643,859.
STRAY_KM2 = 50.0
# Crumbs inside it: parts up to this size, farther than this from anything larger, at least so many.
# July 2026 had 85 to 226 a day; one such part alone may be ground taken across the border, as
# DeepState drew from December 2024.
SPECK_KM2 = 2.0
SPECK_KM = 50.0
SPECKS = 10
_DEGREE_KM = 111.2
# A redraw: gains and losses both large, on no day of DeepState's 769; and alike.
REDRAWN_KM2 = 20.0
REDRAWN_SHARE = 1 / 3
# A reclassification: two tiers move against each other and their sum by less than this share.
# 2025-08-11: control +1,103, advance -999; 2024-11-03: +903, -828.
RECLASSIFIED_KM2 = 100.0
RECLASSIFIED_SHARE = 0.25

CONTROL, ADVANCE = "assessed_control", "assessed_advance"
# What a publisher draws as held, in disjoint layers.
HELD = (CONTROL, ADVANCE, "assessed_advance_or_claimed")
# What makes sense only beside the control of the same day.
_NEEDS_CONTROL = {*HELD[1:], "claimed_control"}


@dataclass(frozen=True)
class Strays:
    """Parts of a map that show control of nothing.

    Attributes
    ----------
    outside_km2, outside_bounds
        Area of the parts wholly outside the theatre, and their bounds (degrees: west, south, east,
        north); 0 and "" for none.
    specks, specks_km2
        Small parts far from any other, and their area.
    """

    outside_km2: float = 0.0
    outside_bounds: str = ""
    specks: int = 0
    specks_km2: float = 0.0


NO_STRAYS = Strays()


class Layer(NamedTuple):
    """One layer of a day, as far as the gate looks at it; areas in km².

    `gained_km2` and `lost_km2` are those since the layer's map before, None where there is none.
    """

    area_km2: float
    map_id: str
    gained_km2: float | None = None
    lost_km2: float | None = None
    strays: Strays = NO_STRAYS
    note: str = ""


class Day(NamedTuple):
    """A day of a source: layers by name, the day it was fetched, and faults found in reading."""

    day: date
    layers: Mapping[str, Layer]
    retrieved: date | None = None
    faults: tuple[str, ...] = ()


class Override(NamedTuple):
    """What a person decided of a day."""

    accept: bool
    reason: str


class Verdict(NamedTuple):
    """What is thought of a day, and why: sentences a person can read."""

    day: date
    status: str
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """In a notebook: a line each."""
        told = [*self.reasons, *self.notes]
        return Table(pd.DataFrame({"why": told}), f"{self.day}: {self.status}")._repr_html_()


def clean(ground: BaseGeometry, layer: str) -> tuple[BaseGeometry, Strays]:
    """Take out what cannot be control of anything.

    Parameters
    ----------
    ground
        (Multi)polygon in OGC:CRS84.
    layer
        Its layer. Specks are looked for in ``assessed_control`` alone: claims, and partisans, are
        reported far from the line.

    Returns
    -------
    tuple
        The ground that stays (the same object where all does), and what was taken out.
    """
    w, s, e, n = THEATRE
    west, south, east, north = shapely.bounds(ground)
    inside = w <= west and s <= south and east <= e and north <= n
    if inside and (layer != CONTROL or shapely.get_num_geometries(ground) < SPECKS):
        return ground, Strays()
    parts = shapely.get_parts(ground)
    if not len(parts):
        return ground, Strays()
    west, south, east, north = shapely.bounds(parts).T
    outside = (west > e) | (east < w) | (south > n) | (north < s)
    specks = np.zeros(len(parts), dtype=bool)
    if layer == CONTROL and len(parts) > 1:
        specks = _specks(parts) & ~outside
    if not (outside | specks).any():
        return ground, Strays()
    bounds = ""
    if outside.any():
        box = shapely.total_bounds(parts[outside])
        bounds = ", ".join(f"{value:.1f}" for value in box)
    strays = Strays(
        float(np.sum(area_km2(parts[outside]))),
        bounds,
        int(specks.sum()),
        float(np.sum(area_km2(parts[specks]))),
    )
    return shapely.multipolygons(parts[~(outside | specks)]), strays


def _specks(parts: np.ndarray) -> np.ndarray:
    # Degrees of longitude are shortened to those of latitude: specks need no more.
    middle = np.cos(np.radians(np.mean(shapely.bounds(parts)[:, 1])))
    small = shapely.area(parts) * middle * _DEGREE_KM**2 <= SPECK_KM2
    if small.all() or small.sum() < SPECKS:
        return np.zeros(len(parts), dtype=bool)
    plane = shapely.transform(parts, lambda xy: xy * [middle, 1.0])
    near = shapely.STRtree(plane[~small]).query(
        plane[small], predicate="dwithin", distance=SPECK_KM / _DEGREE_KM
    )[0]
    specks = small.copy()
    specks[np.flatnonzero(small)[np.unique(near)]] = False
    return specks if specks.sum() >= SPECKS else np.zeros(len(parts), dtype=bool)


def judge(
    days: Iterable[Day], *, today: date, overrides: Mapping[date, Override] | None = None
) -> list[Verdict]:
    """Judge all days of a source.

    Parameters
    ----------
    days
        Every day there is, in any order.
    today
        No day after it can be assessed yet.
    overrides
        What a person decided, by day.

    Returns
    -------
    list of Verdict
        One a day, in their order.

    Notes
    -----
    A step of more than `ASK_KM2` that is undone within `WITHIN` is a fault of the map, and its days
    are quarantined. One that stays may be a real collapse, as in April and September 2022, or a
    change of definition: the maps cannot tell, so the day is accepted and the question is noted.
    Days are compared with the last one that was not quarantined.
    """
    overrides = overrides or {}
    ordered = sorted(days)
    alone = {entry.day: _faults(entry, today) for entry in ordered}

    usable = [entry for entry in ordered if not alone[entry.day] or _admits(overrides, entry)]

    def following(entry: Day) -> list[Day]:
        within = entry.day, entry.day + WITHIN
        first, end = (bisect_right(usable, day, key=attrgetter("day")) for day in within)
        return usable[first:end]

    verdicts, history = [], _History()
    for entry in ordered:
        day = entry.day
        reasons, notes = alone[day], list[str]()
        if not reasons or day in overrides:
            doubts, notes = _against(entry, history, following)
            reasons = reasons + doubts
        verdict = _decide(entry, reasons, notes, overrides.get(day))
        verdicts.append(verdict)
        if verdict.status != QUARANTINED:
            history.add(entry)
    return verdicts


def _admits(overrides: Mapping[date, Override], entry: Day) -> bool:
    return entry.day in overrides and overrides[entry.day].accept and bool(entry.layers)


def _decide(
    entry: Day, reasons: Sequence[str], notes: Sequence[str], override: Override | None
) -> Verdict:
    if override is None:
        status = QUARANTINED if reasons else NOTED if notes else ACCEPTED
        return Verdict(entry.day, status, tuple(reasons), tuple(notes))
    if override.accept and entry.layers:
        admitted = (f"admitted by hand: {override.reason}", *reasons, *notes)
        return Verdict(entry.day, NOTED, (), admitted)
    if not override.accept:
        reasons = [f"quarantined by hand: {override.reason}", *reasons]
    return _decide(entry, reasons, notes, None)


# One day alone ------------------------------------------------------------------------------


def _faults(entry: Day, today: date) -> list[str]:
    found = list(entry.faults)
    if entry.day < FIRST_DAY:
        found.append(f"impossible date: {entry.day} is before {FIRST_DAY}")
    elif entry.day > today:
        found.append(f"impossible date: {entry.day} is after {today}")
    elif entry.retrieved is not None and entry.day > entry.retrieved:
        found.append(f"impossible date: fetched on {entry.retrieved}, a day that was yet to come")
    if CONTROL not in entry.layers:
        lone = sorted(_NEEDS_CONTROL.intersection(entry.layers))
        if lone:
            told = f"the layer {CONTROL} is missing, and {', '.join(lone)} mean nothing without"
            found.append(told)
    for name, layer in entry.layers.items():
        if layer.strays.outside_km2 > STRAY_KM2:
            found.append(
                f"{layer.strays.outside_km2:,.0f} km² of {name} lie far outside the theatre "
                f"({layer.strays.outside_bounds})"
            )
    return found


def _remarks(entry: Day) -> list[str]:
    found: list[str] = []
    for name, layer in entry.layers.items():
        strays = layer.strays
        if strays is NO_STRAYS and not layer.note:
            continue
        if strays.specks:
            found.append(
                f"{strays.specks} specks of {name} far from any other, {strays.specks_km2:.1f} km² "
                "in all, left out"
            )
        if strays.outside_km2:
            found.append(f"{strays.outside_km2:.1f} km² of {name} outside the theatre left out")
        if layer.note and layer.note not in found:
            found.append(layer.note)
    return found


# A day against the others ---------------------------------------------------------------------


class _History:
    """The days before that have control, in order, to be found by it."""

    def __init__(self) -> None:
        self.last: Day | None = None
        self._by_map: dict[str, Day] = {}
        self._areas: list[float] = []
        self._by_area: list[Day] = []  # in the order of the areas

    def add(self, entry: Day) -> None:
        """Add a day, later than all that are here."""
        if CONTROL in entry.layers:
            self.last = entry
            control = entry.layers[CONTROL]
            self._by_map[control.map_id] = entry
            at = bisect_right(self._areas, control.area_km2)
            self._areas.insert(at, control.area_km2)
            self._by_area.insert(at, entry)

    def twin(self, control: Layer) -> Day | None:
        """The last day with this control, where the very last day has another."""
        if self.last is None or _equal(control, self.last.layers[CONTROL]):
            return None
        # Twice as far apart as equal areas may be: rounding must not lose one.
        first = bisect_right(self._areas, control.area_km2 - 2 * SAME_KM2)
        end = bisect_right(self._areas, control.area_km2 + 2 * SAME_KM2)
        found = [d for d in self._by_area[first:end] if _equal(control, d.layers[CONTROL])]
        if control.map_id in self._by_map:
            found.append(self._by_map[control.map_id])
        return max(found, key=attrgetter("day"), default=None)


def _against(
    entry: Day, history: _History, following: Callable[[Day], list[Day]]
) -> tuple[list[str], list[str]]:
    """Reasons to quarantine, and notes; `following` tells the days `WITHIN` which it may be undone.

    It is asked only of a large step, which hardly a day has.
    """
    notes = _remarks(entry)
    before = history.last
    if before is None or CONTROL not in entry.layers:
        return [], notes
    twin = history.twin(entry.layers[CONTROL])
    step = abs(entry.layers[CONTROL].area_km2 - before.layers[CONTROL].area_km2)
    if twin and (entry.day - twin.day).days >= STALE_DAYS and step > STALE_KM2:
        again = f"the map of {twin.day} again, {step:,.0f} km² from the map of {before.day}"
        return [f"stale: {again}"], notes
    doubt, note = _step(entry, before, following)
    if doubt:
        return [doubt], notes
    gap = (entry.day - before.day).days - 1
    if gap:
        notes.append(f"after a gap of {gap} day{'s' if gap > 1 else ''}")
    if entry.layers[CONTROL].map_id == before.layers[CONTROL].map_id and _same(entry, before):
        notes.append(f"no update since {before.day}")
    older = [f"the map of {twin.day} again"] if twin else []
    return [], [*notes, *note, *older, *_redrawn(entry, before), *_reclassified(entry, before)]


def _same(one: Day, other: Day) -> bool:
    mine, theirs = ({k: v.map_id for k, v in day.layers.items()} for day in (one, other))
    return mine == theirs


def _level(entry: Day, layers: Iterable[str]) -> float:
    return sum([entry.layers[name].area_km2 for name in layers])


def _common(first: Day, *others: Day) -> list[str]:
    found = [name for name in HELD if name in first.layers]
    for other in others:
        found = [name for name in found if name in other.layers]
    return found


def _step(entry: Day, before: Day, following: Callable[[Day], list[Day]]) -> tuple[str, list[str]]:
    """A reason to quarantine, or notes, for a large step of the held ground."""
    shared = _common(entry, before)
    level, was = _level(entry, shared), _level(before, shared)
    change = level - was
    if abs(change) <= max(ASK_LEAST_KM2, min(ASK_KM2, ASK_SHARE * was)):
        return "", []
    word = "fell" if change < 0 else "rose"
    told = f"held ground {word} by {abs(change):,.0f} km² since {before.day}"
    if entry.day - before.day > WITHIN:
        return "", [f"{told}: too long a gap to judge"]
    later = [d for d in following(entry) if CONTROL in d.layers]
    for other in later:
        shared = _common(entry, before, other)
        undone = _level(other, shared) - _level(entry, shared)
        if undone * -np.sign(change) >= RETURNED_SHARE * abs(change):
            back = "was back" if change < 0 else "was gone"
            return f"{told} and {back} by {other.day}", []
    if not later and abs(change) > UNCONFIRMED_KM2:
        return f"{told}, and no later map confirms it", []
    return "", [f"{told} and stayed so: a collapse, a change of definition or a fault? Ask"]


def _equal(one: Layer, other: Layer) -> bool:
    return one.map_id == other.map_id or abs(one.area_km2 - other.area_km2) < SAME_KM2


def _redrawn(entry: Day, before: Day) -> list[str]:
    found: list[str] = []
    for name in HELD:
        layer = entry.layers.get(name)
        if layer is None or layer.gained_km2 is None or layer.lost_km2 is None:
            continue
        if name not in before.layers:
            continue
        gained, lost = layer.gained_km2, layer.lost_km2
        small, large = sorted((gained, lost))
        if small >= REDRAWN_KM2 and small >= REDRAWN_SHARE * large:
            found.append(f"{name} redrawn: +{gained:,.0f} and -{lost:,.0f} km²")
    return found


def _reclassified(entry: Day, before: Day) -> list[str]:
    if ADVANCE not in entry.layers or ADVANCE not in before.layers:
        return []
    control, advance = (
        entry.layers[name].area_km2 - before.layers[name].area_km2 for name in (CONTROL, ADVANCE)
    )
    if not is_reclassified(control, advance):
        return []
    return [f"reclassified: control {control:+,.0f} km², advance {advance:+,.0f} km²"]


def is_reclassified(control: float, advance: float, *, least_km2: float = RECLASSIFIED_KM2) -> bool:
    """Tell whether ground moved between two tiers, while their sum hardly changed.

    Parameters
    ----------
    control, advance
        Change of the area of each, km².
    least_km2
        What is smaller is not looked at.

    Returns
    -------
    bool
        Whether they moved against each other, and by nearly as much.
    """
    small, large = sorted((abs(control), abs(advance)))
    against = control * advance < 0 and small >= least_km2
    return against and abs(control + advance) <= RECLASSIFIED_SHARE * large
