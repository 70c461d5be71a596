"""Sentences, captions, alt texts and headline numbers, all computed from what was measured.

The sentences stand in ``texts/<language>.toml`` as templates; this room chooses one and fills it.
Each kind of number is written by one function, so that rounding, sign and spaces are right
everywhere. A no-break space stands between a number and its unit and within a day, a true minus
sign before what is negative.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from helpers.errors import ParameterError
from helpers.schema import INVERTED_TIERS

if TYPE_CHECKING:
    from helpers.changes import SectorChange
    from helpers.reference import Sector
    from helpers.sources import Source

NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"

# Below this a change is not a change: no publisher's line is drawn to 5 hectares.
NO_CHANGE_KM2 = 0.05

# A net change this small against what moved is told as a movement both ways.
_BOTH_WAYS = 0.1

# A level this share of the whole range beyond both ends of a series is told.
_TURN = 0.25

# Ground nearer to the centre than this share of the frame's shorter side lies "near the centre".
_CENTRAL = 0.12

# So many settlements are named in one sentence; the others are counted.
_NAMED = 6

# The period whose change is one map step, to which the note of a day belongs.
STEP = "day"

# A record is told where nothing as large came in this many weeks or months before.
_RECORD_AFTER = 4
_RECORD_DAYS = {"week": 7, "month": 31}

# Two days of the same season are told apart by their year.
_NEEDS_YEAR_DAYS = 300


@dataclass(frozen=True)
class NoData:
    """A sector of which nothing can be said, and why.

    Attributes
    ----------
    sector, source, day
        What was asked for.
    reason
        "no_map": the source has no map for the day; "not_covered": its maps are silent about this
        sector.
    """

    sector: Sector
    source: Source
    day: date
    reason: Literal["no_map", "not_covered"] = "no_map"


@dataclass(frozen=True)
class SectorSeries:
    """The days of one sector, to be put in words or drawn.

    Attributes
    ----------
    sector, source
        Where, and by whose maps.
    calendar
        `helpers.series.calendar`: one row a calendar day, missing days NaN.
    tier
        Tier measured; empty for the sector's own measure.
    """

    sector: Sector
    source: Source
    calendar: pd.DataFrame
    tier: str = ""


@dataclass(frozen=True)
class ChartText:
    """The words of a chart.

    Attributes
    ----------
    title, subtitle
        The finding, and the sentence below it.
    notes
        Caveats for the foot.
    sources
        The source line.
    level, gained, lost
        What the upper panel shows, and what a red and a blue bar mean.
    error_m
        Positional error behind the band, metres.
    inverted
        Whether the level falls where Russian forces advance.
    """

    title: str
    subtitle: str
    notes: tuple[str, ...]
    sources: str
    level: str = ""
    gained: str = ""
    lost: str = ""
    error_m: float = 0.0
    inverted: bool = False


@dataclass(frozen=True)
class Finding:
    """One sentence, with the numbers behind it.

    Attributes
    ----------
    text
        The sentence.
    numbers
        Unrounded, named with their unit: "net_km2", "area_km2", "settlements".
    sector
        Key of the sector, or empty for a sentence on all.
    """

    text: str
    numbers: Mapping[str, float]
    sector: str = ""


@dataclass(frozen=True)
class Briefing:
    """What an editor needs to know of a day.

    Attributes
    ----------
    day, source
        The assessed day, and the id of the source.
    headline
        The finding of the day.
    findings
        About five sentences.
    """

    day: date
    source: str
    headline: Finding
    findings: tuple[Finding, ...]

    def to_json(self) -> str:
        """Write the briefing as JSON text: sentences with the numbers behind them.

        Returns
        -------
        str
            UTF-8 text, indented, the same for the same briefing.
        """
        content = asdict(self) | {"day": self.day.isoformat()}
        return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


@cache
def texts(language: str = "en") -> dict[str, Any]:
    """Sentence templates of a language, as nested tables of ``texts/<language>.toml``."""
    return tomllib.loads((files("helpers") / "texts" / f"{language}.toml").read_text("utf-8"))


def _fill(group: str, name: str, fields: Mapping[str, str]) -> str:
    template: str = texts()[group][name]
    return template.format_map(fields)


# Numbers and days ---------------------------------------------------------------------------


def step_km2(value: float, error: float = 0.0) -> float:
    """Size of the last digit that carries meaning.

    Parameters
    ----------
    value
        An area or a change, km².
    error
        Its error, km².

    Returns
    -------
    float
        0.1 for less than 20 km² known to better than 10 km², else 1.
    """
    return 0.1 if abs(value) < 20 and error < 10 else 1.0


def number(value: float, step: float = 1.0, *, signed: bool = False) -> str:
    """Write a number: thousands separated, a true minus sign, never a negative nought.

    Parameters
    ----------
    value
        The number.
    step
        0.1 or 1: what it is rounded to.
    signed
        Whether a positive number gets its plus.

    Returns
    -------
    str
        Such as "1,864", "2.5", "−8.3".

    Raises
    ------
    ParameterError
        If the number is missing or infinite: "nan" must never stand in a sentence.
    """
    if not math.isfinite(value):
        raise ParameterError(
            f"{value} cannot be written as a number: tell the missing value apart."
        )
    decimals = 1 if step < 1 else 0
    rounded = round(float(value), decimals)
    sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
    digits = f"{abs(rounded):,.{decimals}f}"
    t = texts()
    return sign + digits.translate({ord(","): t["thousands"], ord("."): t["decimal"]})


def km2(value: float, step: float = 1.0, *, signed: bool = False) -> str:
    """Write an area with its unit (see `number`), such as "238 km²"."""
    return f"{number(value, step, signed=signed)}{NBSP}km²"


def size_km2(value: float, step: float = 1.0) -> str:
    """Write how much ground there is; some that rounds to nought is "less than 0.1 km²"."""
    # Less than a square metre is rounding of coordinates.
    if round(value, 6) > 0 and round(value / step) == 0:
        return _fill("number", "less", {"size": km2(step, step)})
    return km2(value, step)


def error_km2(value: float, step: float = 1.0) -> str:
    """Write the size of an error, which is never rounded away: at least one step."""
    return km2(max(value, step) if value > 0 else 0.0, step)


def metres(value: float) -> str:
    """Write a distance given in metres: "200 m", from 1,000 m on in km: "1.5 km"."""
    if value < 1000:
        return f"{number(value)}{NBSP}m"
    return f"{number(value / 1000, 1.0 if value % 1000 == 0 else 0.1)}{NBSP}km"


def day(value: date, *, year: bool = True) -> str:
    """Write a day: "8 January 2025", or without its year."""
    text = f"{value.day}{NBSP}{texts()['calendar']['months'][value.month - 1]}"
    return f"{text} {value.year}" if year else text


def short_day(value: date, *, year: bool = False) -> str:
    """Write a day for a key or a chart: "8 Jan"."""
    text = f"{value.day}{NBSP}{texts()['calendar']['short'][value.month - 1]}"
    return f"{text}{NBSP}{value.year}" if year else text


def span(start: date, end: date) -> str:
    """Write two days as "between … and …"; a month and a year that both share stand once."""
    first = day(start, year=start.year != end.year)
    if (start.year, start.month) == (end.year, end.month):
        first = str(start.day)
    return _fill("calendar", "span", {"start": first, "end": day(end)})


def count(what: str, n: int, **more: str) -> str:
    """Write how many: ``count("days", 31)`` is "31 days", ``count("days", 1)`` is "one day"."""
    forms = texts()["count"][what]
    text = forms["one" if n == 1 else "other"].format(n=number(n), **more)
    return str(text).replace(f"{number(n)} ", f"{number(n)}{NBSP}", 1)


def names(items: Sequence[str], limit: int = _NAMED) -> str:
    """Write a list: "A, B and C", "A, B and 3 more"."""
    t = texts()["list"]
    shown = list(items[:limit])
    if len(items) > limit:
        shown.append(count("more", len(items) - limit))
    if len(shown) < 2:
        return "".join(shown)
    return str(t["comma"].join(shown[:-1]) + t["last"] + shown[-1])


# One change ---------------------------------------------------------------------------------


def kind(subject: SectorChange | NoData, note: str = "") -> str:
    """Tell which of the stories a change is.

    Parameters
    ----------
    subject
        The measured change, or its absence.
    note
        The note of `helpers.measures.daily` for a change from one map to the next; it alone knows
        of copies and redraws.

    Returns
    -------
    str
        "no_map", "not_covered", "first" (compared with itself), "redrawn", "no_update", "none",
        "both", "tiny", "grew" or "shrank". The last two speak of the tier's ground: in Kursk a
        Russian advance shrinks it.
    """
    if isinstance(subject, NoData):
        return subject.reason
    if subject.elapsed_days == 0:
        return "first"
    if "redrawn" in note:
        return "redrawn"
    moved = subject.gained_km2 + subject.lost_km2
    net = abs(subject.net_km2)
    if not _moved(subject.gained_km2, subject.lost_km2):
        return "no_update" if "no update" in note else "none"
    step = step_km2(net, subject.change_error_km2)
    if min(subject.gained_km2, subject.lost_km2) >= step and net <= _BOTH_WAYS * moved:
        return "both"
    if round(net / step) == 0:
        return "tiny"
    return "grew" if subject.area_after_km2 > subject.area_before_km2 else "shrank"


def _moved(gained: float, lost: float) -> bool:
    return max(gained, lost) >= NO_CHANGE_KM2


def _tier_words(tier: str, source: Source) -> dict[str, str]:
    # A source that draws no claims draws one class of held ground: its presence is its control.
    key = "control" if tier == "presence" and "claimed" not in source.tiers else tier
    adjective = {"adjective": source.adjective}
    words = {k: str(v).format_map(adjective) for k, v in texts()["tier"][key].items()}
    words |= {f"{k.capitalize()}": _capital(words[k]) for k in ("subject", "level")}
    return words | adjective


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _place_words(sector: Sector, source: Source) -> dict[str, str]:
    return {
        "place": sector.name,
        "width": number(sector.width_km),
        "height": number(sector.height_km),
        "publisher": source.publisher,
        "covers": source.covers[:1].lower() + source.covers[1:],
        "metres": metres(source.positional_error_m),
    }


def _fields(subject: SectorChange | NoData) -> dict[str, str]:
    """Everything that a template may ask for, as text."""
    place = _place_words(subject.sector, subject.source)
    if isinstance(subject, NoData):
        return place | {"end": day(subject.day)}
    added, removed = _added_removed(subject)
    step = _step(subject)
    return (
        place
        | _tier_words(subject.tier, subject.source)
        | {
            "net": km2(abs(subject.net_km2), step),
            "added": size_km2(added, step),
            "removed": size_km2(removed, step),
            "before": number(subject.area_before_km2, step),
            "area": km2(subject.area_after_km2, step),
            "error": error_km2(subject.change_error_km2, step),
            "area_error": error_km2(subject.area_error_km2, step),
            "step": km2(step, step),
            "start": day(subject.before_day),
            "end": day(subject.after_day),
            "span": span(subject.before_day, subject.after_day),
            "elapsed": count("days", subject.elapsed_days),
            "last": count("last", subject.elapsed_days),
        }
    )


def _step(change: SectorChange) -> float:
    """One step for all numbers of a sentence; without a change it is that of the level."""
    if not _moved(change.gained_km2, change.lost_km2):
        return step_km2(change.area_after_km2, change.area_error_km2)
    return step_km2(change.net_km2, change.change_error_km2)


def _added_removed(change: SectorChange) -> tuple[float, float]:
    """What came to the tier's ground, and what went from it, km²."""
    pair = (change.gained_km2, change.lost_km2)
    return pair[::-1] if change.tier in INVERTED_TIERS else pair


def headline(subject: SectorChange | NoData, note: str = "") -> str:
    """State the finding: "Kurakhove: assessed Russian control grew by 238 km² in 31 days".

    Parameters
    ----------
    subject
        The measured change, or its absence.
    note
        See `kind`.

    Returns
    -------
    str
        A line without a full stop.
    """
    return _fill("headline", kind(subject, note), _fields(subject))


def standfirst(subject: SectorChange | NoData, note: str = "") -> str:
    """Say what lies behind the headline, and how far off it may be.

    Parameters
    ----------
    subject
        The measured change, or its absence.
    note
        See `kind`.

    Returns
    -------
    str
        Two or three sentences. A change that is no larger than its error is called so.
    """
    story = kind(subject, note)
    fields = _fields(subject)
    if isinstance(subject, NoData):
        return _fill("standfirst", story, fields)
    if story == "first":
        parts = ["first", "level_first", "error_level"]
    elif story in ("none", "no_update"):
        parts = [story, _level_part(fields), "error_level"]
    else:
        moves = _moves_part(*_added_removed(subject), _step(subject))
        parts = ["redrawn"] if story == "redrawn" else []
        parts += [moves, _level_part(fields), _error_part(subject, moves)]
    return _capital("".join(_fill("standfirst", part, fields) for part in parts))


def _within_error(change: SectorChange) -> bool:
    return abs(change.net_km2) <= change.change_error_km2


def _error_part(change: SectorChange, moves: str) -> str:
    if not _within_error(change):
        return "error"
    return "error_larger_net" if "_" in moves else "error_larger"


def _level_part(fields: Mapping[str, str]) -> str:
    same = fields["area"] == f"{fields['before']}{NBSP}km²"
    return "level_same" if same else "level"


def _moves_part(added: float, removed: float, step: float) -> str:
    """Name the template that tells the larger movement first, and the smaller if it shows."""
    first, second = ("added", "removed") if added >= removed else ("removed", "added")
    return first if round(min(added, removed) / step) == 0 else f"{first}_{second}"


def caption(subject: SectorChange | NoData) -> str:
    """Say what the map shows, for the line below it."""
    story = kind(subject)
    known = story if story in ("first", "no_map", "not_covered") else "change"
    return _fill("caption", known, _fields(subject))


def alt_text(subject: SectorChange | NoData, note: str = "") -> str:
    """Put the map in words for who cannot see it: frame, finding, error, largest pieces and where.

    Parameters
    ----------
    subject
        The measured change, or its absence.
    note
        See `kind`.

    Returns
    -------
    str
        A few sentences.
    """
    finding = headline(subject, note).removeprefix(f"{subject.sector.name}: ")
    lines = {"headline": _capital(finding), "standfirst": standfirst(subject, note)}
    fields = _fields(subject) | lines
    if isinstance(subject, NoData):
        return _fill("alt", "no_data", fields)
    return _fill("alt", "map", fields) + _largest_pieces(subject)


def _largest_pieces(change: SectorChange) -> str:
    fields = _fields(change)
    sides = {"gained": "piece_added", "lost": "piece_removed"}
    if change.tier in INVERTED_TIERS:
        sides = {"gained": "piece_removed", "lost": "piece_added"}
    text = ""
    for side, template in sides.items():
        pieces = change.pieces[change.pieces["kind"] == side]
        if len(pieces):
            piece = pieces.loc[pieces["area_km2"].idxmax()]
            size = size_km2(piece["area_km2"], step_km2(piece["area_km2"]))
            middle = piece["geometry"].centroid
            where = _where(change.sector, middle.x, middle.y)
            text += _fill("alt", template, fields | {"size": size, "where": where})
    return text


def _where(sector: Sector, lon: float, lat: float) -> str:
    """Which part of the frame a place lies in, by its direction from the centre."""
    # A degree of latitude is 111.2 km; good to a per cent, enough to name one of eight directions.
    north = (lat - sector.lat) * 111.2
    east = (lon - sector.lon) * 111.2 * math.cos(math.radians(sector.lat))
    if math.hypot(north, east) < _CENTRAL * min(sector.width_km, sector.height_km):
        return str(texts()["alt"]["centre"])
    octant = round(math.degrees(math.atan2(east, north)) / 45) % 8
    return str(texts()["alt"]["compass"][octant])


def key_labels(change: SectorChange) -> dict[str, str]:
    """Labels of a map's key, by role.

    Parameters
    ----------
    change
        The change that is drawn.

    Returns
    -------
    dict
        "held", "gained", "lost", "line_now", "line_then", "claimed", "newly_inside",
        "newly_outside" to text. "gained" is the label of Russian advance.
    """
    fields = _fields(change)
    year = change.elapsed_days > _NEEDS_YEAR_DAYS
    fields |= {
        "start": short_day(change.before_day, year=year),
        "end": short_day(change.after_day, year=year),
    }
    labels = {role: _fill("key", role, fields) for role in texts()["key"]}
    for side in ("gained", "lost"):
        inverted = labels.pop(f"{side}_inverted")
        if change.tier in INVERTED_TIERS:
            labels[side] = inverted
    return labels


def film_words(last: SectorChange) -> tuple[str, dict[str, str]]:
    """Title of an animation, and the labels of its key by role.

    Parameters
    ----------
    last
        From the first map of the animation to the last.

    Returns
    -------
    tuple
        Both are the same on every frame.
    """
    fields = _fields(last)
    labels = {
        role: _fill("film", role, fields | {"start": short_day(last.before_day, year=True)})
        for role in ("held", "gained", "lost", "line_now", "line_then")
    }
    if last.tier in INVERTED_TIERS:
        labels |= {side: _fill("film", f"{side}_inverted", fields) for side in ("gained", "lost")}
    return _fill("film", "title", fields), labels


def film_line(change: SectorChange, on: date) -> str:
    """Date and counter of one frame: "8 January 2025: +246 km² since 8 December 2024".

    Parameters
    ----------
    change
        From the first map of the animation to the one that is shown.
    on
        The day of the frame; where it is later than the map, the frame says that it has none.

    Returns
    -------
    str
        One line, of the ground that the title names: of Kursk, positive is a Russian withdrawal.
    """
    added, removed = _added_removed(change)
    fields = _fields(change) | {"change": km2(added - removed, _step(change), signed=True)}
    if on > change.after_day:
        words = "gap" if change.elapsed_days else "gap_start"
        return _fill("film", words, fields | {"day": day(on), "end": short_day(change.after_day)})
    return _fill("film", "now" if change.elapsed_days else "start", fields)


def film_alt(last: SectorChange, n: int) -> str:
    """What an animation of n maps shows, for those who do not see it move."""
    fields = _fields(last) | {"maps": count("maps", n), "standfirst": standfirst(last)}
    return _fill("film", "alt", fields)


def caveats(source: Source, sector: Sector | None = None) -> tuple[str, ...]:
    """List what must stand below every figure of a source, for a sector.

    Parameters
    ----------
    source
        Whose map it is.
    sector
        The sector drawn; where its measure is ground inside Russia, a source that does not draw
        such ground is said to be silent about it.

    Returns
    -------
    tuple of str
        Sentences.
    """
    silent = (
        sector is not None
        and sector.measure in INVERTED_TIERS
        and source.tier_for(sector.measure) not in source.tiers
    )
    extra = (str(texts()["caveat"]["silent_on_russia"]),) if silent else ()
    return (*extra, source.caveat)


def source_line(source: Source, base_attributions: Sequence[str] = ()) -> str:
    """Credit the publisher and the base layers that are really drawn, with the licence.

    Parameters
    ----------
    source
        Whose data it is.
    base_attributions
        Credits of the base layers.

    Returns
    -------
    str
        One line.
    """
    fields = {
        "attribution": source.attribution,
        "licence": source.licence,
        "base": ", ".join(base_attributions),
    }
    parts = ["source", "licence", *(["base"] if base_attributions else []), "method"]
    return " ".join(_fill("source", part, fields) for part in parts)


def sources_line(sources: Sequence[Source], base_attributions: Sequence[str] = ()) -> str:
    """Credit several publishers (see `source_line`)."""
    several = [source_line(source) for source in sources]
    method = _fill("source", "method", {})
    named = " ".join(line.removesuffix(method).strip() for line in several)
    base = {"base": ", ".join(base_attributions)}
    return " ".join(
        [named, *([_fill("source", "base", base)] if base_attributions else []), method]
    )


def change_table(changes: Sequence[SectorChange]) -> pd.DataFrame:
    """Put changes side by side.

    Parameters
    ----------
    changes
        Any sectors and days.

    Returns
    -------
    pandas.DataFrame
        One row a change: sector (name), since, until (datetime64), area_km2, gained_km2, lost_km2,
        net_km2, error_km2 (of the change). Positive is a Russian advance. Where there is nothing to
        compare with, the changes are NaN.
    """
    columns = ("area_km2", "gained_km2", "lost_km2", "net_km2", "error_km2")
    rows = []
    for c in changes:
        moves = (c.gained_km2, c.lost_km2, c.net_km2, c.change_error_km2)
        if c.elapsed_days == 0:
            moves = (math.nan,) * 4
        rows.append((c.sector.name, c.before_day, c.after_day, c.area_after_km2, *moves))
    table = pd.DataFrame(rows, columns=["sector", "since", "until", *columns])
    days = {"since": "datetime64[s]", "until": "datetime64[s]"}
    return table.astype(days | dict.fromkeys(columns, np.float64))


# A series of days ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Totals:
    """First and last observed day of a series, and what was gained and lost after the first."""

    start: date
    end: date
    before: float
    after: float
    gained: float
    lost: float
    area_error: float
    missing: int
    of: int
    peak_day: date | None
    peak: float
    turn: tuple[str, date, float] | None

    @property
    def net(self) -> float:
        return self.gained - self.lost

    def added_removed(self, *, inverted: bool) -> tuple[float, float]:
        return (self.lost, self.gained) if inverted else (self.gained, self.lost)


def _totals(calendar: pd.DataFrame) -> _Totals | None:
    """None where no day has a map."""
    seen = calendar[calendar["area_km2"].notna()]
    if seen.empty:
        return None
    later, area = seen.iloc[1:], seen["area_km2"]
    largest = later["net_km2"].abs().max() if len(later) else 0.0
    peak = later["net_km2"].abs().idxmax() if largest >= NO_CHANGE_KM2 else None
    return _Totals(
        start=pd.Timestamp(seen.index[0]).date(),
        end=pd.Timestamp(seen.index[-1]).date(),
        before=float(area.iloc[0]),
        after=float(area.iloc[-1]),
        gained=float(later["gained_km2"].sum()),
        lost=float(later["lost_km2"].sum()),
        area_error=float(seen["area_error_km2"].iloc[-1]),
        missing=len(calendar) - len(seen),
        of=len(calendar),
        peak_day=None if peak is None else pd.Timestamp(peak).date(),
        peak=0.0 if peak is None else float(later.loc[peak, "net_km2"]),
        turn=_turn(area),
    )


def _turn(area: pd.Series) -> tuple[str, date, float] | None:
    """The highest or lowest level, where it lies well beyond both ends of the series."""
    ends = area.iloc[[0, -1]]
    above, below = area.max() - ends.max(), ends.min() - area.min()
    if max(above, below) <= max(_TURN * (area.max() - area.min()), NO_CHANGE_KM2):
        return None
    at = area.idxmax() if above >= below else area.idxmin()
    which = "highest" if above >= below else "lowest"
    return which, pd.Timestamp(at).date(), float(area[at])


def _series_fields(series: SectorSeries) -> tuple[dict[str, str], _Totals | None]:
    place = _place_words(series.sector, series.source)
    words = place | _tier_words(_tier(series), series.source)
    totals = _totals(series.calendar)
    index = series.calendar.index
    if totals is None:
        ends = (index[0].date(), index[-1].date()) if len(index) else None
        fields = dict(zip(("start", "end"), map(day, ends), strict=True)) if ends else {}
        return words | {"start": "–", "end": "–"} | fields, None
    step = step_km2(totals.net)
    if not _moved(totals.gained, totals.lost):
        step = step_km2(totals.after, totals.area_error)
    added, removed = totals.added_removed(inverted=_inverted(series))
    return words | {
        "start": day(totals.start),
        "end": day(totals.end),
        "before": km2(totals.before, step),
        "area": km2(totals.after, step),
        "net": km2(abs(totals.net), step),
        "added": size_km2(added, step),
        "removed": size_km2(removed, step),
        "step": km2(step, step),
        "area_error": error_km2(totals.area_error, step_km2(totals.area_error)),
        "elapsed": count("days", (totals.end - totals.start).days),
    }, totals


def series_headline(series: SectorSeries) -> str:
    """State what a series found.

    Parameters
    ----------
    series
        The sector and its days.

    Returns
    -------
    str
        Such as "Kurakhove: assessed Russian control grew by 1,501 km² in 180 days"; where the level
        turned on the way, the change since then.
    """
    fields, totals = _series_fields(series)
    if totals is None:
        return _fill("series", "no_data", fields)
    story = _series_kind(totals)
    if totals.turn and story != "none":
        which, on, level = totals.turn
        turned = km2(abs(totals.after - level), step_km2(totals.after - level))
        return _fill("series", f"from_{which}", fields | {"turned": turned, "on": day(on)})
    return _fill("headline", story, fields)


def _series_kind(totals: _Totals) -> str:
    if totals.start == totals.end:
        return "first"
    if not _moved(totals.gained, totals.lost):
        return "none"
    if round(totals.net / step_km2(totals.net)) == 0:
        return "tiny"
    return "grew" if totals.after > totals.before else "shrank"


def series_standfirst(series: SectorSeries) -> str:
    """Say where a series began and ended, what was gained and lost, and how many days are missing.

    Parameters
    ----------
    series
        The sector and its days.

    Returns
    -------
    str
        Up to three sentences.
    """
    fields, totals = _series_fields(series)
    if totals is None:
        return _fill("series", "no_data_standfirst", fields)
    story = _series_kind(totals)
    if story in ("first", "none"):
        text = _fill("series", story, fields)
    else:
        added, removed = totals.added_removed(inverted=_inverted(series))
        moves = _moves_part(added, removed, step_km2(totals.net))
        text = _fill("series", "ends", fields) + _fill("series", moves, fields)
    if totals.turn:
        which, on, level = totals.turn
        extreme = {"extreme": km2(level, step_km2(totals.net)), "on": day(on)}
        text += " " + _fill("series", which, fields | extreme)
    if totals.missing:
        text += " " + count("missing", totals.missing, of=number(totals.of))
    return text


def _inverted(series: SectorSeries) -> bool:
    return _tier(series) in INVERTED_TIERS


def _tier(series: SectorSeries) -> str:
    return series.tier or series.source.tier_for(series.sector.measure)


def series_caption(series: SectorSeries) -> str:
    """Say what the charts of a series show, for the line below them."""
    return _fill("caption", "series", _series_fields(series)[0])


def series_alt(series: SectorSeries) -> str:
    """Put the charts of a series in words: ends, totals, missing days, largest day.

    Parameters
    ----------
    series
        The sector and its days.

    Returns
    -------
    str
        A few sentences.
    """
    lines = {"headline": series_headline(series), "standfirst": series_standfirst(series)}
    totals = _totals(series.calendar)
    text = _fill("alt", "series", lines)
    if totals is None or totals.peak_day is None:
        return text
    peak = km2(totals.peak, step_km2(totals.peak), signed=True)
    return text + _fill("alt", "series_peak", {"peak": peak, "peak_day": day(totals.peak_day)})


def chart_text(series: SectorSeries) -> ChartText:
    """Gather the words of the chart of a series.

    Parameters
    ----------
    series
        The sector and its days.

    Returns
    -------
    ChartText
        Title, subtitle, notes, source line and the names of what is drawn.
    """
    fields, totals = _series_fields(series)
    inverted = _inverted(series)
    notes = list(caveats(series.source, series.sector))
    if totals is not None:
        notes.append(_fill("chart", "band_note", fields))
        notes += [_fill("chart", "grey_note", fields)] if totals.missing else []
    return ChartText(
        title=series_headline(series),
        subtitle=series_standfirst(series),
        notes=(" ".join(notes),),
        sources=source_line(series.source),
        level=_fill("chart", "level", fields),
        gained=_fill("chart", "gained_inverted" if inverted else "gained", fields),
        lost=_fill("chart", "lost_inverted" if inverted else "lost", fields),
        error_m=series.source.positional_error_m,
        inverted=inverted,
    )


def sector_summary(series: SectorSeries) -> str:
    """Sum a sector up for a small panel: "net +479 km², now 696 km²"."""
    fields, totals = _series_fields(series)
    if totals is None:
        return str(texts()["sectors"]["no_data_summary"])
    fields["net"] = km2(totals.net, step_km2(totals.net), signed=True)
    fields["area"] = km2(totals.after, step_km2(totals.after, totals.area_error))
    return _fill("sectors", "summary_inverted" if _inverted(series) else "summary", fields)


def sectors_headline(several: Sequence[SectorSeries]) -> str:
    """State which of several sectors changed most, over the same days.

    Parameters
    ----------
    several
        The sectors; positive is a Russian advance in all of them.

    Returns
    -------
    str
        Such as "Kurakhove changed most: +1,501 km² in 180 days".
    """
    known = [(s, t) for s in several if (t := _totals(s.calendar)) is not None]
    fields = {"sectors": names([s.sector.name for s in several])}
    if not known:
        return _fill("sectors", "no_data", fields)
    most, totals = max(known, key=lambda pair: abs(pair[1].net))
    fields |= {
        "place": most.sector.name,
        "net": km2(totals.net, step_km2(totals.net), signed=True),
        "elapsed": count("days", (totals.end - totals.start).days),
    }
    moved = any(_moved(t.gained, t.lost) for _, t in known)
    return _fill("sectors", "headline" if moved else "none", fields)


def sectors_text(several: Sequence[SectorSeries]) -> ChartText:
    """Gather the words of the small multiples of several sectors of one source.

    Parameters
    ----------
    several
        At least one sector; all of the same source.

    Returns
    -------
    ChartText
        Title, subtitle, notes and source line.
    """
    source = several[0].source
    fields = {
        "sectors": count("sectors", len(several)),
        "Adjective": _capital(source.adjective),
        "mean": texts()["chart"]["mean_weeks"],
    }
    notes = dict.fromkeys(note for s in several for note in caveats(source, s.sector))
    return ChartText(
        title=sectors_headline(several),
        subtitle=_fill("sectors", "standfirst", fields),
        notes=(" ".join([*notes, _fill("chart", "incomplete_note", fields)]),),
        sources=source_line(source),
    )


def sectors_alt(several: Sequence[SectorSeries], weeks: Mapping[str, pd.DataFrame]) -> str:
    """Put the small multiples in words.

    Parameters
    ----------
    several
        The sectors, in the order drawn.
    weeks
        Sector name to the weekly table that is drawn (`helpers.series.totals`).

    Returns
    -------
    str
        One sentence for the whole and one a sector.
    """
    text = _fill("alt", "sectors", {"sectors": names([s.sector.name for s in several])})
    for series in several:
        net = weeks[series.sector.name]["net_km2"].dropna()
        fields = {"place": series.sector.name, "summary": sector_summary(series)}
        if net.abs().max() >= NO_CHANGE_KM2:
            at = net.abs().idxmax()
            fields |= {
                "peak": km2(net[at], step_km2(net[at]), signed=True),
                "peak_day": day(pd.Timestamp(at).date()),
            }
        text += _fill("alt", "sector_peak" if "peak" in fields else "sector", fields)
    return text


# The briefing -------------------------------------------------------------------------------


def briefing(
    changes_by_sector: Mapping[str, Mapping[str, SectorChange | NoData]],
    settlements: Mapping[str, pd.DataFrame],
    source: Source,
    notes: Mapping[str, str] | None = None,
    records: Mapping[str, pd.DataFrame] | None = None,
    more: Sequence[Finding] = (),
) -> Briefing:
    """Tell an editor what changed, sector by sector, and what could not be assessed.

    Parameters
    ----------
    changes_by_sector
        Sector key to period to change, the main period first, such as "compare_to", "week",
        "day". All end on the same day.
    settlements
        Sector key to `helpers.settlements.changed` over the main period: name, population,
        change ("came under" / "left" the tier's ground), confidence. A sector may be absent.
    source
        Whose maps they are.
    notes
        Sector key to the note of `helpers.measures.daily` for the day, which tells copies and
        redraws; it belongs to the period named `STEP`.
    records
        Sector key to `helpers.series.records`; a week or month of Russian advance that is the
        largest for long is told.
    more
        Sentences on claims and sources (`helpers.comparisons`), told before what is missing.

    Returns
    -------
    Briefing
        The headline is that of the sector whose net change in the main period is largest.

    Raises
    ------
    ParameterError
        If there is no sector.
    """
    if not changes_by_sector:
        raise ParameterError("A briefing needs at least one sector.")
    notes = notes or {}
    main = {key: next(iter(periods.values())) for key, periods in changes_by_sector.items()}
    measured = {key: c for key, c in main.items() if not isinstance(c, NoData)}
    first = next(iter(main.values()))
    findings = [
        *(_sector_finding(changes_by_sector[key], (notes or {}).get(key, "")) for key in measured),
        *_record_findings(changes_by_sector, records or {}),
        *_settlement_findings(measured, settlements),
        *more,
        *_missing_findings(changes_by_sector.values()),
    ]
    return Briefing(
        day=first.day if isinstance(first, NoData) else first.after_day,
        source=source.id,
        headline=_day_headline(measured, first),
        findings=tuple(findings),
    )


def headline_numbers(change: SectorChange, prefix: str = "") -> dict[str, float]:
    """Numbers behind a change's sentences, unrounded, each named with its unit."""
    added, removed = _added_removed(change)
    values = {
        "area_km2": change.area_after_km2,
        "net_km2": change.net_km2,
        "error_km2": change.change_error_km2,
        "added_km2": added,
        "removed_km2": removed,
        "elapsed_days": change.elapsed_days,
    }
    return {prefix + name: float(value) for name, value in values.items()}


def _day_headline(measured: Mapping[str, SectorChange], first: SectorChange | NoData) -> Finding:
    if not measured:
        return Finding(_fill("briefing", "nothing", _fields(first)), {})
    most = max(measured.values(), key=lambda c: (abs(c.net_km2), c.gained_km2))
    if kind(most) != "none":
        return Finding(headline(most), headline_numbers(most), most.sector.key)
    places = names([c.sector.name for c in measured.values()])
    text = _fill("briefing", "no_change", _fields(most) | {"sectors": places})
    return Finding(text, headline_numbers(most))


def _sector_finding(periods: Mapping[str, SectorChange | NoData], note: str) -> Finding:
    """One sentence for all periods of a sector; the first tells the level, too."""
    (name, change), *others = periods.items()
    assert not isinstance(change, NoData)
    story = kind(change, note if name == STEP else "")
    text = _fill("briefing", story, _fields(change))
    if story in ("grew", "shrank", "both", "redrawn") and _within_error(change):
        text += str(texts()["briefing"]["smaller"])
    numbers = headline_numbers(change)
    told = {change.before_day, change.after_day}
    parts = []
    for period, other in others:
        if not isinstance(other, NoData) and other.before_day not in told:
            told.add(other.before_day)
            story = kind(other, note if period == STEP else "")
            parts.append(_fill("briefing", f"then_{story}", _fields(other)))
            numbers |= headline_numbers(other, f"{period}_")
    if parts:
        text += _fill("briefing", "then", {"parts": names(parts)})
    return Finding(f"{text}.", numbers, change.sector.key)


def _record_findings(
    changes_by_sector: Mapping[str, Mapping[str, SectorChange | NoData]],
    records: Mapping[str, pd.DataFrame],
) -> list[Finding]:
    """One sentence for each sector whose last week, or else month, is the largest for long."""
    findings = []
    for key, table in records.items():
        periods = changes_by_sector.get(key, {}).values()
        known = [c for c in periods if not isinstance(c, NoData)]
        # The error of a change over a week or more; a record within it would be none.
        error = min((c.change_error_km2 for c in known if c.elapsed_days >= 7), default=0.0)
        found = [p for p in _RECORD_DAYS if p in table.index and _is_record(table.loc[p], error)]
        if known and found:
            findings.append(_record_finding(known[0], found[0], table.loc[found[0]]))
    return findings


def _is_record(row: pd.Series, error: float) -> bool:
    """Whether nothing as large came in the four periods before; the first few are no record."""
    length = _RECORD_DAYS[row.name]
    long_ago = pd.isna(row["since"]) or (row["end"] - row["since"]).days > _RECORD_AFTER * length
    large = row["net_km2"] > max(error, NO_CHANGE_KM2)
    return bool(large and row["of"] > _RECORD_AFTER and long_ago)


def _record_finding(change: SectorChange, period: str, row: pd.Series) -> Finding:
    ever = pd.isna(row["since"])
    fields = _fields(change) | {
        "net": km2(row["net_km2"], step_km2(row["net_km2"])),
        "on": day(row["end"].date()),
        "since": "" if ever else day(row["since"].date()),
        "of": number(row["of"]),
    }
    text = _fill("briefing", f"record_{period}" + ("_ever" if ever else ""), fields)
    numbers = {"record_net_km2": float(row["net_km2"]), "record_of": float(row["of"])}
    return Finding(text, numbers, change.sector.key)


def _settlement_findings(
    measured: Mapping[str, SectorChange], settlements: Mapping[str, pd.DataFrame]
) -> list[Finding]:
    """One sentence for all that came to a kind of ground, one for all that left it."""
    told = {key: measured[key] for key in measured if key in settlements}
    grouped: dict[tuple[str, str], list[SectorChange]] = {}
    for key, change in told.items():
        for which in dict.fromkeys(settlements[key]["change"]):
            words = _tier_words(change.tier, change.source)["as"]
            grouped.setdefault((which, words), []).append(change)
    if told and not grouped:
        fields = _fields(next(iter(told.values())))
        return [Finding(_fill("briefing", "no_settlement", fields), {"settlements": 0.0})]
    return [
        _settlement_finding(which, group, settlements)
        for (which, _), group in sorted(grouped.items(), key=lambda item: item[0])
    ]


def _settlement_finding(
    which: str, group: Sequence[SectorChange], settlements: Mapping[str, pd.DataFrame]
) -> Finding:
    numbers = {"settlements": 0.0}
    lists = []
    for change in group:
        rows = settlements[change.sector.key]
        rows = rows[rows["change"] == which].sort_values(
            ["population", "name"], ascending=[False, True]
        )
        numbers["settlements"] += len(rows)
        if len(rows) > _NAMED:
            numbers[f"{change.sector.key}_more"] = float(len(rows) - _NAMED)
        named = {"names": names(_place_names(rows)), "place": change.sector.name}
        lists.append(_fill("briefing", "in_sector" if len(group) > 1 else "alone", named))
    fields = _fields(group[0]) | {"names": ";".join(lists)}
    template = "came" if which == "came under" else "left"
    return Finding(
        _fill("briefing", template, fields), numbers, group[0].sector.key if len(group) == 1 else ""
    )


def _place_names(rows: pd.DataFrame) -> list[str]:
    uncertain = texts()["briefing"]["uncertain"]
    return [
        uncertain.format(name=name) if confidence == "low" else name
        for name, confidence in zip(rows["name"], rows["confidence"], strict=True)
    ]


def _missing_findings(sectors: Iterable[Mapping[str, SectorChange | NoData]]) -> list[Finding]:
    """What could not be assessed, and why; sectors with the same reason share a sentence."""
    grouped: dict[tuple[str, date], list[NoData]] = {}
    for periods in sectors:
        subjects = list(periods.values())
        # Where the sector itself is dark, its shorter periods need no words.
        for subject in subjects[:1] if isinstance(subjects[0], NoData) else subjects:
            if isinstance(subject, NoData):
                grouped.setdefault((subject.reason, subject.day), []).append(subject)
    findings = []
    for (reason, _), group in grouped.items():
        fields = _fields(group[0]) | {"place": names([s.sector.name for s in group])}
        key = group[0].sector.key if len(group) == 1 else ""
        findings.append(Finding(_fill("briefing", reason, fields), {}, key))
    return findings


# What data there is -------------------------------------------------------------------------


def days_text(source: Source, counts: Mapping[str, int], start: date, end: date) -> ChartText:
    """Word the calendar of a source's days.

    Parameters
    ----------
    source
        The publisher.
    counts
        State (`helpers.inspection.STATES`) to number of days.
    start, end
        First and last day of the calendar.

    Returns
    -------
    ChartText
        Title, subtitle, notes and sources.
    """
    maps = sum(counts[state] for state in ("new map", "no update", "accepted with notes"))
    fields = {
        "publisher": source.publisher,
        "maps": count("maps", maps),
        "span": count("days", (end - start).days + 1),
        "quarantined": number(counts["quarantined"]),
        "copies": count("days", counts["no update"]),
        "missing": count("days", counts["no map"]),
        "noted": count("days", counts["accepted with notes"]),
    }
    title = "title_quarantined" if counts["quarantined"] else "title_all"
    return ChartText(
        title=_fill("days", title, fields),
        subtitle=_fill("days", "standfirst", fields),
        notes=(source.caveat,),
        sources=source_line(source),
    )


def state_labels() -> dict[str, str]:
    """Names of the states of a day, for a key."""
    return dict(texts()["days"]["state"])


def not_used(quarantined: Mapping[date, str], start: date, end: date) -> list[str]:
    """Say which maps could not be used, and why.

    Parameters
    ----------
    quarantined
        Day to reason (`helpers.snapshots.quarantined`).
    start, end
        First and last day that was looked at.

    Returns
    -------
    list of str
        A sentence a day, or one that says that all could be used.
    """
    if not quarantined:
        return [_fill("days", "usable_all", {"start": day(start), "end": day(end)})]
    return [
        _fill("days", "not_usable", {"day": day(when), "reason": reason.rstrip(".")})
        for when, reason in quarantined.items()
    ]
