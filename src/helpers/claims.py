"""Claims laid on the assessed map: who said what, what the maps show, and what is not known.

A claim is never weighed by who makes it: Moscow's, Kyiv's and a map project's go through the same
rules. The grain is a settlement, a disc around a point; no map can tell a street or a power plant
within one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers import settlements
from helpers.errors import SchemaError
from helpers.schema import INVERTED_TIERS

if TYPE_CHECKING:
    from helpers.changes import SectorChange
    from helpers.reference import Sector
    from helpers.schema import Snapshot
    from helpers.sources import Source

COLUMNS = (
    "claim_id",
    "date",
    "claimant",
    "place",
    "sector",
    "claim_type",
    "asserts",
    "statement",
    "area_km2",
    "of_km2",
    "area_kind",
    "source_title",
    "source_date",
    "confidence",
)
CLAIM_TYPES = (
    "official_capture_claim",
    "official_hold_claim",
    "official_denial",
    "official_non_confirmation",
    "official_area_claim",
    "official_map",
    "source_area_claim",
    "independent_area_estimate",
    "independent_assessment",
    "map_project_assessment",
)
# What a claim says of the ground, which is what a map can be held against: that all of the places
# are held by Russian forces; that they are not, or not all; that Russian forces advanced in the
# sectors; an area; or nothing of where the line is.
ASSERTS = ("russian_held", "not_russian_held", "advance", "area", "nothing")
_HOLDING = ("russian_held", "not_russian_held")
AREA_KINDS = ("held", "retaken")
CONFIDENCES = ("high", "medium", "low")

# What a map says to a claim.
CONFIRMED, CONTRADICTED, CONTESTED, OPEN = STATUSES = (
    "confirmed",
    "contradicted",
    "contested",
    "open",
)

# From this share of a place on it is wholly on the Russian side, which is what such claims say.
WHOLLY_SHARE = 0.999
# A claim meets the last map of so many days; an older one says nothing of its day.
MAP_AGE_DAYS = 7
# A place whose coordinates nobody knows is written with this; it stays open.
NOT_PLACED = "(not placed)"

_ID = re.compile(r"[A-Z]+\d+")
_NEAR = "near "


@dataclass(frozen=True)
class Place:
    """A place of a claim.

    Attributes
    ----------
    text
        As the ledger has it.
    id, name
        The settlement of the gazetteer; empty where the place is not a settlement.
    part
        Words on a part of it, or "near": finer than a map can tell.
    """

    text: str
    id: str = ""
    name: str = ""
    part: str = ""


# The ledger ---------------------------------------------------------------------------------


def check(
    ledger: pd.DataFrame, gazetteer: Gazetteer, sectors: Mapping[str, Sector], name: str
) -> pd.DataFrame:
    """Check the rows of a ledger and resolve their places.

    Parameters
    ----------
    ledger
        `COLUMNS`, all text, missing as empty.
    gazetteer
        Where names are looked up.
    sectors
        The sectors by key.
    name
        Of the file, for the message.

    Returns
    -------
    pandas.DataFrame
        The same rows with date as datetime64, the areas as float (NaN where missing), sector as a
        tuple of keys and places as a tuple of `Place`, sorted by date and claim_id.

    Raises
    ------
    SchemaError
        Naming every fault with its line and column.
    """
    missing = [column for column in COLUMNS if column not in ledger]
    if missing:
        raise SchemaError(f"{name}: columns missing: {', '.join(missing)}.")
    found = [
        f"line {number}, {column}: {fault}"
        for number, row in enumerate(ledger.to_dict("records"), start=2)
        for column, fault in _row_faults(row, sectors)
    ]
    repeated = ledger.loc[ledger["claim_id"].duplicated(), "claim_id"]
    found += [f"claim_id {key} is there twice" for key in repeated]
    places = []
    for number, row in enumerate(ledger.to_dict("records"), start=2):
        try:
            near = [sectors[key] for key in _keys(row["sector"]) if key in sectors]
            places.append(_places(row, gazetteer, near))
        except SchemaError as error:
            found.append(f"line {number}, place: {error}")
    if found:
        lines = "".join(f"\n  {fault}" for fault in found)
        raise SchemaError(f"{name}: {len(found)} faults; docs/claims.md tells the columns:{lines}")
    table = ledger[list(COLUMNS)].copy()
    table["date"] = pd.to_datetime(table["date"]).astype("datetime64[s]")
    for column in ("area_km2", "of_km2"):
        table[column] = pd.to_numeric(table[column].replace("", None)).astype("float64")
    table["sector"] = [_keys(text) for text in table["sector"]]
    table["places"] = places
    return table.sort_values(["date", "claim_id"], ignore_index=True)


def _keys(text: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in text.split(";") if key.strip())


def _row_faults(row: Mapping[str, str], sectors: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not _ID.fullmatch(row["claim_id"]):
        yield "claim_id", f"{row['claim_id']!r} is not letters and a number, such as C38"
    for column in ("date", "source_date"):
        if row[column] or column == "date":
            try:
                date.fromisoformat(row[column])
            except ValueError:
                yield column, f"{row[column]!r} is not a day, such as 2025-01-08"
    for column in ("claimant", "place", "sector", "statement", "source_title"):
        if not row[column].strip():
            yield column, "is empty"
    for key in _keys(row["sector"]):
        if key not in sectors:
            yield "sector", f"{key!r} is not a sector. Known: {', '.join(sectors)}"
    yield from _word_faults(row)
    yield from _area_faults(row)


def _word_faults(row: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    vocabularies = {
        "claim_type": CLAIM_TYPES,
        "asserts": ASSERTS,
        "confidence": CONFIDENCES,
        "area_kind": ("", *AREA_KINDS),
    }
    for column, known in vocabularies.items():
        if row[column] not in known:
            near = get_close_matches(row[column], known, 1)
            hint = f"; {near[0]!r}?" if near else ""
            words = ", ".join(word for word in known if word)
            yield column, f"{row[column]!r} is not one of {words}{hint}"


def _area_faults(row: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for column in ("area_km2", "of_km2"):
        if row[column]:
            try:
                if not 0 <= float(row[column]) < 1e6:
                    raise ValueError
            except ValueError:
                yield column, f"{row[column]!r} is not an area in km²"
    told = bool(row["area_km2"]), bool(row["area_kind"])
    if row["asserts"] == "area" and not all(told):
        yield "area_km2", "an area claim needs area_km2 and area_kind"
    if told[1] and not told[0]:
        yield "area_km2", f"is empty beside area_kind {row['area_kind']!r}"


class Gazetteer:
    """Settlements by every name and spelling they have.

    Parameters
    ----------
    settlements
        Columns id, name, name_uk, lon, lat.
    names
        Columns id, name.
    """

    def __init__(self, settlements: pd.DataFrame, names: pd.DataFrame) -> None:
        self.settlements = settlements.set_index("id")
        self._ids: dict[str, set[str]] = {}
        own = [settlements[["id", column]].set_axis(["id", "name"], axis=1) for column in _OWN]
        for key, name in pd.concat([*own, names[["id", "name"]]]).itertuples(index=False):
            self._ids.setdefault(_folded(str(name)), set()).add(key)

    def find(self, name: str, sectors: Sequence[Sector]) -> str:
        """Find the id of the settlement of a name, best one in the sectors.

        Raises
        ------
        SchemaError
            If there is none, with names that are near, or several.
        """
        ids = {name} if name in self.settlements.index else self._ids.get(_folded(name), set())
        if len(ids) > 1:
            rows = self.settlements.loc[sorted(ids)]
            area = shapely.union_all([sector.polygon for sector in sectors])
            inside = rows.index[shapely.contains_xy(area, rows["lon"], rows["lat"])]
            ids = set(inside) or ids
        if len(ids) == 1:
            return next(iter(ids))
        if ids:
            told = ", ".join(
                f"{key} ({self.settlements.lat[key]:.2f}°N {self.settlements.lon[key]:.2f}°E)"
                for key in sorted(ids)
            )
            raise SchemaError(f"{name!r} is the name of several: {told}. Write the id")
        near = get_close_matches(_folded(name), self._ids, 3, 0.7)
        options = {self.settlements.name[key] for text in near for key in self._ids[text]}
        hint = f" Near: {', '.join(sorted(options))}." if options else ""
        raise SchemaError(
            f"{name!r} is no settlement of the gazetteer.{hint} Where no map can place it, write "
            f"'{name} {NOT_PLACED}'"
        )

    def starting(self, text: str) -> str:
        """The longest name of a settlement that a text starts with; empty if none."""
        words = text.split(" ")
        for n in range(len(words), 0, -1):
            if _folded(" ".join(words[:n])) in self._ids:
                return " ".join(words[:n])
        return ""


_OWN = ("name", "name_uk")


def _folded(name: str) -> str:
    return re.sub(r"[’'ʼ`-]", "", name.strip()).casefold()


def _places(
    row: Mapping[str, str], gazetteer: Gazetteer, sectors: Sequence[Sector]
) -> tuple[Place, ...]:
    texts = [text.strip() for text in re.split("[,;]", row["place"]) if text.strip()]
    if row["asserts"] in ("area", "nothing"):
        return tuple(Place(text) for text in texts)  # of a sector; no settlement is looked at
    return tuple(_place(text, gazetteer, sectors) for text in texts)


def _place(text: str, gazetteer: Gazetteer, sectors: Sequence[Sector]) -> Place:
    if text.endswith(NOT_PLACED):
        return Place(text, name=text.removesuffix(NOT_PLACED).strip())
    name = text.removeprefix(_NEAR)
    part = _NEAR.strip() if name != text else ""
    known = gazetteer.starting(name)
    part = part or name[len(known) :].strip() if known else part
    key = gazetteer.find(known or name, sectors)
    return Place(text, key, str(gazetteer.settlements.name[key]), part)


# On the map ---------------------------------------------------------------------------------


def histories(
    snapshots: Sequence[Snapshot], places: pd.DataFrame, *, tier: str, source: Source
) -> pd.DataFrame:
    """Follow how much of each place is on the Russian side of the line.

    Parameters
    ----------
    snapshots
        Of one source, in order of time.
    places
        Settlements: id, name, lon, lat, population.
    tier
        The tier that is held against the claims; one that shrinks where Russian forces advance
        counts the other way round.
    source
        Its record, for how far off its lines and dates may be.

    Returns
    -------
    pandas.DataFrame
        One row a day and place: day, id, share (of the settlement's disc, 0 to 1), least and most
        (of a disc wider by the error, on any map of the days that dates may be off).
    """
    margin = source.positional_error_m / 1000
    followed = settlements.history(snapshots, places, tier=tier, margin_km=margin)
    table = followed[["day", "id", "share"]]
    # The table has the same places on each day.
    surely = followed["wide_share"].to_numpy(float).reshape(-1, max(table["id"].nunique(), 1))
    if tier in INVERTED_TIERS:
        table, surely = table.assign(share=1 - table["share"]), 1 - surely
    days = table["day"].to_numpy()[:: surely.shape[1]].astype("datetime64[D]")
    least, most = surely.copy(), surely.copy()
    for back in range(1, source.time_error_days + 1):
        lately = days[back:] - days[:-back] <= np.timedelta64(source.time_error_days, "D")
        earlier = surely[:-back][lately]
        for extreme, of in ((np.minimum, least), (np.maximum, most)):
            of[back:][lately] = extreme(of[back:][lately], earlier)
    return table.assign(least=least.ravel(), most=most.ravel())


FOLLOWED_COLUMNS = (
    "claim_id",
    "date",
    "claimant",
    "asserts",
    "sector",
    "place",
    "part",
    "id",
    "map_then",
    "then_share",
    "now_share",
    "status_then",
    "status",
    "shown_since",
    "days",
)


def standing(ledger: pd.DataFrame, day: date, sectors: Sequence[str] = ()) -> pd.DataFrame:
    """List the claims that stand on a day.

    Parameters
    ----------
    ledger
        From `check`.
    day
        Claims of later days are left out.
    sectors
        Only claims on these; empty for all.

    Returns
    -------
    pandas.DataFrame
        Of several area claims of one claimant on the same ground and of the same kind, only the
        last stands; other claims stand until the end.
    """
    table = ledger[ledger["date"] <= pd.Timestamp(day)]
    if sectors:
        on = [bool(set(keys) & set(sectors)) for keys in table["sector"]]
        table = table[np.array(on, dtype=bool)]
    areas = table[table["asserts"] == "area"]
    last = areas.drop_duplicates(["claimant", "sector", "area_kind"], keep="last")
    stays = (table["asserts"] != "area") | table.index.isin(last.index)
    return table[stays].reset_index(drop=True)


def follow(ledger: pd.DataFrame, histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Hold claims on places against the maps.

    Parameters
    ----------
    ledger
        Claims, such as `standing`.
    histories
        Sector key to `histories` up to the day that is told of; a sector that the source does not
        cover is absent.

    Returns
    -------
    pandas.DataFrame
        `FOLLOWED_COLUMNS`, one row a claim and place, for claims that assert who holds a place.
        Shares are those of the settlement's disc on the Russian side of the line (0 to 1), on the
        last map up to the claim's day (`map_then`, no older than `MAP_AGE_DAYS`) and on the last of
        all; NaN where there is no map. `part` is what the claim says finer than the settlement.
        `shown_since` is the first day from which all maps since show what is claimed, and `days`
        how many days after the claim that is: nought or less if it was shown before.

    Notes
    -----
    Both claims, that a place is Russian-held and that it is not, or not wholly, meet the same
    maps: those of the last days, as many as the source's dates may be off, and the settlement's
    disc with a ring as wide as its lines may be off. Where all of them have it wholly on the
    Russian side (`WHOLLY_SHARE`), the first is *confirmed* and the second *contradicted*; where all
    have at most a tenth there (`helpers.settlements.OUTSIDE_SHARE`), the other way round; between,
    both are *contested*: the line runs through the place, or so near or so lately that it may.
    *Open* is what no map can tell: a part of a settlement, a place that is not in the gazetteer,
    ground that the source does not cover, a day before its first map.
    """
    known = {
        (key, place): own for key, table in histories.items() for place, own in _by_place(table)
    }
    rows = [
        {
            "claim_id": claim.claim_id,
            "date": claim.date,
            "claimant": claim.claimant,
            "asserts": claim.asserts,
            "sector": key,
            "place": place.name,
            "part": place.part,
            "id": place.id,
            **_held_against(claim, place, known.get((key, place.id))),
        }
        for claim in ledger[ledger["asserts"].isin(_HOLDING)].itertuples()
        for key in claim.sector
        for place in claim.places
    ]
    table = pd.DataFrame(rows, columns=list(FOLLOWED_COLUMNS))
    return table.astype({"map_then": "datetime64[s]", "shown_since": "datetime64[s]"}).assign(
        days=pd.array(table["days"], dtype="Int64"),
        then_share=table["then_share"].astype("float64"),
        now_share=table["now_share"].astype("float64"),
    )


class _History(NamedTuple):
    """The rows of `histories` of one place."""

    days: npt.NDArray[np.datetime64]
    share: npt.NDArray[np.float64]
    least: npt.NDArray[np.float64]
    most: npt.NDArray[np.float64]


def _by_place(history: pd.DataFrame) -> Iterator[tuple[str, _History]]:
    codes, names = pd.factorize(history["id"])
    columns = [history[name].to_numpy() for name in _History._fields[1:]]
    days = history["day"].to_numpy()
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code)
        yield name, _History(days[rows], *(column[rows] for column in columns))


def _held_against(claim: Any, place: Place, own: _History | None) -> dict[str, Any]:
    unknown = {"map_then": pd.NaT, "then_share": np.nan, "now_share": np.nan}
    unknown |= {"status_then": OPEN, "status": OPEN, "shown_since": pd.NaT, "days": None}
    if own is None or not place.id:
        return unknown
    before = np.flatnonzero(_lately(own.days, claim.date.to_datetime64()))
    found = unknown | {"now_share": own.share[-1]}
    if len(before):
        found |= {"map_then": own.days[before[-1]], "then_share": own.share[before[-1]]}
    if place.part:
        return found
    statuses = _status(own.least, own.most, claim.asserts)
    found["status"] = statuses[-1]
    if len(before):
        found["status_then"] = statuses[before[-1]]
    if found["status"] == CONFIRMED:
        other = np.flatnonzero(statuses != CONFIRMED)
        since = pd.Timestamp(own.days[other[-1] + 1 if len(other) else 0])
        found |= {"shown_since": since, "days": (since - claim.date).days}
    return found


def _lately(days: Any, on: Any) -> Any:
    """Which days are the claim's own, or the few before it."""
    return (days <= on) & (days >= on - np.timedelta64(MAP_AGE_DAYS, "D"))


def _status(
    least: npt.NDArray[np.float64], most: npt.NDArray[np.float64], asserts: str
) -> npt.NDArray[np.str_]:
    """What maps say to a claim on a place, from the least and most that may be Russian-held."""
    wholly, hardly = least >= WHOLLY_SHARE, most <= settlements.OUTSIDE_SHARE
    yes, no = (wholly, hardly) if asserts == "russian_held" else (hardly, wholly)
    return np.select([yes, no], [CONFIRMED, CONTRADICTED], CONTESTED)


AREA_COLUMNS = (
    "claim_id",
    "date",
    "claimant",
    "sector",
    "area_kind",
    "claimed_km2",
    "of_km2",
    "map_day",
    "measured_km2",
    "measured_of_km2",
    "error_km2",
    "status",
)


def areas(ledger: pd.DataFrame, measured: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Set claimed areas beside measured ones.

    Parameters
    ----------
    ledger
        Claims, such as `standing`.
    measured
        Sector key to rows of `helpers.measures.daily` of Ukrainian-held ground; other tiers measure
        something else, and their sectors must be absent.

    Returns
    -------
    pandas.DataFrame
        `AREA_COLUMNS`, one row a claim: the area on the last map up to its day, or, for ground
        retaken, how much less that is than the largest area before (`measured_of_km2`), and the
        error of the level. *Confirmed* is a claim within the error of the measure, *contradicted*
        one farther off, *open* one that no map can be held against.
    """
    rows = []
    for claim in ledger[ledger["asserts"] == "area"].itertuples():
        for key in claim.sector:
            row = dict.fromkeys(AREA_COLUMNS) | {
                "claim_id": claim.claim_id,
                "date": claim.date,
                "claimant": claim.claimant,
                "sector": key,
                "area_kind": claim.area_kind,
                "claimed_km2": claim.area_km2,
                "of_km2": claim.of_km2,
                "map_day": pd.NaT,
                "status": OPEN,
            }
            rows.append(row | _area_against(claim, measured.get(key)))
    table = pd.DataFrame(rows, columns=list(AREA_COLUMNS))
    numbers = [name for name in AREA_COLUMNS if name.endswith("_km2")]
    return table.astype(dict.fromkeys(numbers, "float64") | {"map_day": "datetime64[s]"})


def _area_against(claim: Any, table: pd.DataFrame | None) -> dict[str, Any]:
    known = None if table is None else table[table["day"] <= claim.date]
    if known is None or not _lately(known["day"], claim.date).any():
        return {}
    last = known.iloc[-1]
    largest = known["area_km2"].max()
    value = last["area_km2"] if claim.area_kind == "held" else largest - last["area_km2"]
    error = float(last["area_error_km2"])
    within = abs(claim.area_km2 - value) <= error
    return {
        "map_day": last["day"],
        "measured_km2": value,
        "measured_of_km2": largest,
        "error_km2": error,
        "status": CONFIRMED if within else CONTRADICTED,
    }


def advances(
    ledger: pd.DataFrame, week: Callable[[str, date], SectorChange | None]
) -> pd.DataFrame:
    """Hold claims of an advance against what was measured in the week before.

    Parameters
    ----------
    ledger
        Claims, such as `standing`.
    week
        Gives the change of a sector in the week up to a day; None where no map tells it.

    Returns
    -------
    pandas.DataFrame
        claim_id, date, claimant, sector, net_km2 (Russian advance), error_km2, status: *confirmed*
        where an advance is larger than its error, *contradicted* where a withdrawal is, *contested*
        where the change is within the error, *open* without maps.
    """
    rows = []
    for claim in ledger[ledger["asserts"] == "advance"].itertuples():
        for key in claim.sector:
            change = week(key, claim.date.date())
            net, error, status = np.nan, np.nan, OPEN
            if change is not None:
                net, error = change.net_km2, change.change_error_km2
                sign = CONFIRMED if net > 0 else CONTRADICTED
                status = CONTESTED if abs(net) <= error else sign
            rows.append((claim.claim_id, claim.date, claim.claimant, key, net, error, status))
    columns = ["claim_id", "date", "claimant", "sector", "net_km2", "error_km2", "status"]
    return pd.DataFrame(rows, columns=columns)


def not_assessed(
    followed: pd.DataFrame, places: pd.DataFrame, ground: BaseGeometry, *, tier: str
) -> BaseGeometry:
    """Ground that is claimed as Russian-held, and is not on the Russian side of the assessed line.

    Parameters
    ----------
    followed
        From `follow`, of one sector.
    places
        Settlements: id, lon, lat, population.
    ground
        The tier's ground on the day, OGC:CRS84.
    tier
        The tier.

    Returns
    -------
    shapely.Geometry
        In OGC:CRS84: the discs of the places, without Russian-held ground. A disc stands for a
        settlement whose limits nobody drew; it is no line.
    """
    claimed = set(followed.loc[followed["asserts"] == "russian_held", "id"]) - {""}
    discs = settlements.discs(places[places["id"].isin(claimed)])
    whole = shapely.union_all(discs)
    if tier in INVERTED_TIERS:
        return shapely.intersection(whole, ground)
    return shapely.difference(whole, ground)
