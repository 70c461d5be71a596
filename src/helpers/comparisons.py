"""Sentences on claims and on sources: who said what, what the maps show, what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from helpers import claims
from helpers.findings import (
    NBSP,
    NO_CHANGE_KM2,
    ChartText,
    Finding,
    caveats,
    count,
    day,
    error_km2,
    km2,
    metres,
    names,
    number,
    size_km2,
    source_line,
    sources_line,
    step_km2,
    texts,
)

if TYPE_CHECKING:
    from helpers.agreement import Agreement
    from helpers.reference import Sector
    from helpers.sources import Source

Row = Mapping[str, Any]
_NAMED = 3


def _fill(group: str, name: str, fields: Mapping[str, str]) -> str:
    found: Any = texts()[group]
    for key in name.split("."):
        found = found[key]
    return str(found).format_map(fields)


def _percent(share: float) -> str:
    """A share that is not quite all is never written as all, nor one that is some as none."""
    value = round(100 * share)
    if value in (0, 100) and 0 < share < 1:
        value = 1 if value == 0 else 99
    return f"{number(value)}{NBSP}%"


# Claims -------------------------------------------------------------------------------------


def verdicts(followed: pd.DataFrame) -> pd.DataFrame:
    """Take the places of each claim together.

    Parameters
    ----------
    followed
        `helpers.claims.follow`.

    Returns
    -------
    pandas.DataFrame
        One row a claim and sector, in order of time: claim_id, date, claimant, asserts, sector,
        places (tuple of names), status (that of all its places that can be told, or "contested"
        where they differ), then the count of places of each status.
    """
    rows = []
    for (claim_id, sector), group in followed.groupby(["claim_id", "sector"], sort=False):
        found = {status: int((group["status"] == status).sum()) for status in claims.STATUSES}
        told = set(group["status"]) - {claims.OPEN}
        status = claims.OPEN if not told else told.pop() if len(told) == 1 else claims.CONTESTED
        first = group.iloc[0]
        rows.append(
            {"claim_id": claim_id, "date": first["date"], "claimant": first["claimant"]}
            | {"asserts": first["asserts"], "sector": sector}
            | {"places": tuple(group["place"]), "status": status}
            | found
        )
    columns = ["claim_id", "date", "claimant", "asserts", "sector", "places", "status"]
    table = pd.DataFrame(rows, columns=[*columns, *claims.STATUSES])
    return table.sort_values(["date", "claim_id"], ignore_index=True)


def claim_sentence(claim: Row, held: pd.DataFrame, source: Source, on: date) -> Finding:
    """Tell a claim on who holds a place.

    Parameters
    ----------
    claim
        Its row of the ledger.
    held
        Its rows of `helpers.claims.follow`.
    source
        Whose map it is held against.
    on
        The day of the map.

    Returns
    -------
    Finding
        The sentence and its numbers.
    """
    fields = _claim_fields(claim, source) | {"day": day(on)}
    numbers = {
        f"{status}_places": float((held["status"] == status).sum()) for status in claims.STATUSES
    }
    known = held["now_share"].notna()
    if not known.any():
        return Finding(_fill("claims", "sentence_open", fields) + ".", numbers)
    if len(held) > 1:
        fields |= {s: number(numbers[f"{s}_places"]) for s in claims.STATUSES}
        fields["places"] = count("places", len(held))
        text = _fill("claims", "sentence_many", fields) + "."
        return Finding(text, numbers | {"places": float(len(held))})
    row = held.iloc[0]
    fields |= {
        "share": _percent(row["now_share"]),
        "place": row["place"],
        "status": _fill("claims", f"status.{row['status']}", {"off": _off(source)}),
    }
    name = "sentence_part" if row["part"] else "sentence"
    text = _fill("claims", name, fields) + _shown(row) + "."
    numbers["share_percent"] = 100 * float(row["now_share"])
    if not pd.isna(row["days"]):
        numbers["days"] = float(row["days"])
    return Finding(text, numbers, str(row["sector"]))


def _off(source: Source) -> str:
    """By how much a source's lines, and its dates, may be off."""
    fields = {"metres": metres(source.positional_error_m)}
    if not source.time_error_days:
        return fields["metres"]
    return _fill("claims", "off", fields | {"days": count("days", source.time_error_days)})


def _shown(row: pd.Series) -> str:
    if pd.isna(row["shown_since"]):
        return ""
    since, days = day(row["shown_since"].date()), int(row["days"])
    name = "shown_same" if days == 0 else "shown" if days > 0 else "shown_before"
    return _fill("claims", name, {"since": since, "after": count("days", abs(days))})


def _claim_fields(claim: Row, source: Source) -> dict[str, str]:
    return {
        "on": day(claim["date"].date()),
        "claimant": str(claim["claimant"]),
        "statement": str(claim["statement"]).rstrip("."),
        "adjective": source.adjective,
    }


def no_claim_sentence(since: date) -> Finding:
    """Say that no claim moved since a day."""
    return Finding(_fill("claims", "none", {"start": day(since)}), {"claims": 0.0})


def area_sentence(claim: Row, row: Row, source: Source) -> Finding:
    """Tell a claimed area beside the measured one.

    Parameters
    ----------
    claim
        Its row of the ledger.
    row
        Its row of `helpers.claims.areas`.
    source
        Whose map.

    Returns
    -------
    Finding
        The sentence and its numbers.
    """
    fields = _claim_fields(claim, source) | {"days": count("days", claims.MAP_AGE_DAYS)}
    if row["status"] == claims.OPEN:
        return Finding(_fill("claims", "area_open", fields), {}, row["sector"])
    step = step_km2(row["measured_km2"], row["error_km2"])
    fields |= {
        "day": day(row["map_day"].date()),
        "measured": km2(row["measured_km2"], step),
        "of": km2(row["measured_of_km2"], step),
        "error": error_km2(row["error_km2"], step),
        "status": _fill("claims", f"status.{row['status']}_area", {}),
    }
    numbers = {n: float(row[n]) for n in ("claimed_km2", "measured_km2", "error_km2")}
    numbers["measured_of_km2"] = float(row["measured_of_km2"])
    return Finding(_fill("claims", f"area_{row['area_kind']}", fields), numbers, row["sector"])


def advance_sentence(claim: Row, row: Row, sector: Sector, source: Source) -> Finding:
    """Tell a claim of an advance beside what was measured in the week before.

    Parameters
    ----------
    claim
        Its row of the ledger.
    row
        Its row of `helpers.claims.advances`.
    sector, source
        Where, and whose map.

    Returns
    -------
    Finding
        The sentence and its numbers.
    """
    fields = _claim_fields(claim, source) | {"place": sector.name}
    if row["status"] == claims.OPEN:
        return Finding(_fill("claims", "advance_open", fields), {}, sector.key)
    step = step_km2(row["net_km2"], row["error_km2"])
    still = abs(row["net_km2"]) < NO_CHANGE_KM2
    status = "contested_area" if row["status"] == claims.CONTESTED else row["status"]
    status = "none_area" if still else status
    fields |= {
        "net": km2(row["net_km2"], step, signed=True),
        "error": error_km2(row["error_km2"], step),
        "status": _fill("claims", f"status.{status}", {}),
    }
    numbers = {"net_km2": float(row["net_km2"]), "error_km2": float(row["error_km2"])}
    name = "advance_none" if still else "advance"
    return Finding(_fill("claims", name, fields), numbers, sector.key)


def claims_text(sector: Sector, followed: pd.DataFrame, source: Source, on: date) -> ChartText:
    """Word the map of a sector's claims: the last claim that a place is Russian-held.

    Parameters
    ----------
    sector, source
        Where, and whose map.
    followed
        `helpers.claims.follow`, of this sector.
    on
        The day of the map.

    Returns
    -------
    ChartText
        Title, subtitle, notes and sources.
    """
    table = verdicts(followed[followed["asserts"] == "russian_held"])
    fields = {"place": sector.name, "day": day(on), "adjective": source.adjective}
    notes, sources = caveats(source, sector), source_line(source)
    if table.empty:
        title, subtitle = (_fill("claims", f"{n}_none", fields) for n in ("title", "standfirst"))
        return ChartText(title, subtitle, notes, sources)
    last = table.iloc[-1]
    fields |= {
        "on": day(last["date"].date(), year=False),
        "verdict": _fill("claims", f"verdict.{last['status']}", {}),
        "places": names(list(last["places"]), _NAMED),
    }
    held = followed[(followed["claim_id"] == last["claim_id"])]
    if len(held) > 1 or last["status"] == claims.OPEN:
        fields |= {status: number(last[status]) for status in claims.STATUSES}
        subtitle = _fill("claims", "standfirst_many", fields)
        return ChartText(_fill("claims", "title_many", fields), subtitle, notes, sources)
    fields |= {
        "place": last["places"][0],
        "share": _percent(held["now_share"].iloc[0]),
        "off": _off(source),
    }
    title, subtitle = (_fill("claims", name, fields) for name in ("title", "standfirst"))
    return ChartText(title, subtitle, notes, sources)


def claims_alt(sector: Sector, text: ChartText, source: Source) -> str:
    """Alt text of the map of a sector's claims."""
    fields = {"place": sector.name, "adjective": source.adjective}
    return _fill("claims", "alt", fields | {"title": text.title, "subtitle": text.subtitle})


def claims_caption(sector: Sector, source: Source, on: date) -> str:
    """Caption of the map of a sector's claims."""
    fields = {"place": sector.name, "adjective": source.adjective, "day": day(on)}
    return _fill("claims", "caption", fields)


def claims_key(source: Source) -> dict[str, str]:
    """Names of what only the map of claims shows, by role of `helpers.maps`."""
    fields = {"adjective": source.adjective}
    roles = {"claimed": "key_claimed", "newly_inside": "key_named"}
    return {role: _fill("claims", name, fields) for role, name in roles.items()}


def timeline_text(followed: pd.DataFrame, source: Source, on: date) -> ChartText:
    """Word the timeline of claims and maps.

    Parameters
    ----------
    followed
        `helpers.claims.follow`.
    source
        Whose maps.
    on
        The last day.

    Returns
    -------
    ChartText
        The title counts claims that a place is Russian-held, a claim a place.
    """
    told = followed["status"] != claims.OPEN
    held = followed[told & (followed["asserts"] == "russian_held")]
    confirmed = int((held["status"] == claims.CONFIRMED).sum())
    fields = {"day": day(on), "adjective": source.adjective}
    fields |= {"n": number(len(held)), "confirmed": number(confirmed)}
    return ChartText(
        _fill("claims", "timeline_title" if len(held) else "timeline_title_none", fields),
        _fill("claims", "timeline_subtitle", fields),
        (source.caveat,),
        source_line(source),
        gained=_fill("claims", "timeline_held", fields),
        lost=_fill("claims", "timeline_not", fields),
    )


def timeline_words(
    bands: Mapping[str, pd.Series], said: Mapping[str, int], source: Source
) -> tuple[str, str]:
    """Alt text and caption of the timeline.

    Parameters
    ----------
    bands
        Place to its share on the Russian side by day.
    said
        Place to the number of claims on it.
    source
        Whose maps.

    Returns
    -------
    tuple of str
        Alt text, caption.
    """
    rows = " ".join(
        _fill(
            "claims",
            "timeline_row",
            {
                "place": place,
                "share": _percent(band.iloc[-1]),
                "claims": count("claims", said[place]),
            },
        )
        for place, band in bands.items()
    )
    spans = [(band.index[0], band.index[-1]) for band in bands.values()]
    fields = {
        "n": number(len(bands)),
        "start": day(min(s for s, _ in spans).date()),
        "end": day(max(e for _, e in spans).date()),
        "rows": rows,
    }
    caption = _fill("claims", "timeline_caption", {"adjective": source.adjective})
    return _fill("claims", "timeline_alt", fields), caption


# Source against source ----------------------------------------------------------------------


def _agreement_fields(found: Agreement) -> dict[str, str]:
    change = found.difference
    step = step_km2(max(found.only_a_km2, found.only_b_km2), change.change_error_km2)
    fields = {
        "place": change.sector.name,
        "a": found.source_a.publisher,
        "b": found.source_b.publisher,
        "day_a": day(change.after_day),
        "day_b": day(change.before_day),
        "tier": _fill("agreement", f"tier.{change.tier}", {}),
        "agreed": km2(found.agreed_km2),
        "only_a": size_km2(found.only_a_km2, step),
        "only_b": size_km2(found.only_b_km2, step),
        "width": number(change.sector.width_km),
        "height": number(change.sector.height_km),
    }
    if found.either_km2:
        fields["percent"] = _percent(found.jaccard)
    return fields


def agreement_text(found: Agreement, *, granted: bool = False) -> ChartText:
    """Word the map of two sources.

    Parameters
    ----------
    found
        `helpers.agreement.compare`.
    granted
        Whether both were taken to have what one of them leaves out.

    Returns
    -------
    ChartText
        Title, subtitle, notes (what each source includes) and sources.
    """
    fields = _agreement_fields(found)
    title = _fill("agreement", "title" if found.either_km2 else "title_none", fields)
    subtitle = _fill("agreement", "standfirst", fields)
    if pd.notna(found.line_km[0]):
        median, most = (metres(_rounded(1000 * km)) for km in found.line_km)
        ways = {"median": median, "most": most}
        subtitle += _fill("agreement", "lines", ways)
    both = (found.source_a, found.source_b)
    if granted:
        leaver = next(source for source in both if source.from_2022)
        subtitle += _fill("agreement", "granted", {"leaver": leaver.publisher})
    covers = tuple(
        _fill("agreement", "covers", {"publisher": s.publisher, "covers": s.covers.rstrip(".")})
        for s in both
    )
    return ChartText(title, subtitle, covers, sources_line(both))


def _rounded(length_m: float) -> float:
    return round(length_m, -2) if length_m >= 1000 else round(length_m, -1)


def agreement_title(several: Sequence[Agreement]) -> str:
    """Title of a page: of the pair that agrees least."""
    known = [found for found in several if found.either_km2]
    if not known:
        return alone_sentence().text
    return agreement_text(min(known, key=lambda found: found.jaccard)).title


def agreement_key(found: Agreement) -> dict[str, str]:
    """Names of what the map of two sources shows, by role of `helpers.maps`."""
    fields = _agreement_fields(found)
    a, b = ("gained", "lost") if not found.inverted else ("lost", "gained")
    roles = {"held": "key_agreed", a: "key_only_a", b: "key_only_b"}
    roles |= {"line_now": "key_line_a", "line_then": "key_line_b"}
    return {role: _fill("agreement", name, fields) for role, name in roles.items()}


def agreement_words(found: Agreement, text: ChartText) -> tuple[str, str]:
    """Alt text and caption of the map of two sources."""
    fields = _agreement_fields(found) | {"title": text.title, "subtitle": text.subtitle}
    return _fill("agreement", "alt", fields), _fill("agreement", "caption", fields)


def agreement_sentence(found: Agreement) -> Finding:
    """One sentence for the briefing."""
    if not found.either_km2:
        return Finding(_fill("agreement", "title_none", _agreement_fields(found)) + ".", {})
    numbers = {
        "agreed_km2": found.agreed_km2,
        "only_a_km2": found.only_a_km2,
        "only_b_km2": found.only_b_km2,
        "agreed_percent": 100 * found.jaccard,
    }
    text = _fill("agreement", "briefing", _agreement_fields(found))
    return Finding(text, numbers, found.sector.key)


def alone_sentence() -> Finding:
    """Say that there is nothing to compare with."""
    return Finding(_fill("agreement", "alone", {}), {})


def agreement_table(several: Sequence[Agreement]) -> pd.DataFrame:
    """Put comparisons side by side.

    Parameters
    ----------
    several
        From `helpers.agreement.compare`.

    Returns
    -------
    pandas.DataFrame
        sector, a, b (publishers), tier, agreed_km2, only_a_km2, only_b_km2, jaccard (0 to 1),
        line_median_km, line_most_km.
    """
    columns = ["sector", "a", "b", "tier", "agreed_km2", "only_a_km2", "only_b_km2"]
    columns += ["jaccard_share", "line_median_km", "line_most_km"]
    rows = []
    for f in several:
        who = (f.sector.name, f.source_a.publisher, f.source_b.publisher, f.difference.tier)
        rows.append((*who, f.agreed_km2, f.only_a_km2, f.only_b_km2, f.jaccard, *f.line_km))
    return pd.DataFrame(rows, columns=columns)


def lag_sentence(lags: pd.DataFrame, found: Agreement) -> Finding:
    """Say which source shows settlements first.

    Parameters
    ----------
    lags
        `helpers.agreement.lags`.
    found
        The sources and the sector.

    Returns
    -------
    Finding
        The sentence; the lag is positive where b is later.
    """
    if lags.empty:
        text = _fill("agreement", "lag_none", _agreement_fields(found))
        return Finding(text, {"settlements": 0.0}, found.sector.key)
    median = float(lags["lag_days"].median())
    numbers = {"lag_days": median, "settlements": float(len(lags))}
    first = found.source_a if median > 0 else found.source_b
    fields = _agreement_fields(found) | {
        "n": count("settlements", len(lags)),
        "first": first.publisher,
        "days": count("days", round(abs(median))),
    }
    name = "lag" if round(median) else "lag_same"
    return Finding(_fill("agreement", name, fields), numbers, found.sector.key)


def levels_text(
    sector: Sector, tier: str, calendars: Mapping[str, pd.DataFrame], sources: Sequence[Source]
) -> ChartText:
    """Word the areas of several sources over time.

    Parameters
    ----------
    sector, tier
        Where and what.
    calendars
        Source id to `helpers.series.calendar`.
    sources
        Their records, in the same order.

    Returns
    -------
    ChartText
        Title, subtitle, notes and sources.
    """
    fields = {"place": sector.name, "tier": _fill("agreement", f"tier.{tier}", {})}
    fields["metres"] = names(list(dict.fromkeys(metres(s.positional_error_m) for s in sources)))
    both = _last_common(calendars)
    name = "levels_title_one"
    if both is not None and len(sources) == 2:
        a, b = (calendars[s.id].loc[both] for s in sources)
        more = a["area_km2"] - b["area_km2"]
        order = sources if more > 0 else sources[::-1]
        fields |= {"a": order[0].publisher, "b": order[1].publisher, "day": day(both.date())}
        fields["more"] = f"{km2(abs(more))} more"
        error = max(a["area_error_km2"], b["area_error_km2"])
        name = "levels_title" if abs(more) > error else "levels_title_same"
    return ChartText(
        _fill("agreement", name, fields),
        _fill("agreement", "levels_subtitle", fields),
        tuple(dict.fromkeys(source.caveat for source in sources)),
        sources_line(sources),
    )


def _last_common(calendars: Mapping[str, pd.DataFrame]) -> pd.Timestamp | None:
    seen = [set(table.index[table["area_km2"].notna()]) for table in calendars.values()]
    both = set.intersection(*seen) if seen else set()
    return max(both) if both else None


def levels_alt(
    sector: Sector,
    text: ChartText,
    calendars: Mapping[str, pd.DataFrame],
    sources: Sequence[Source],
) -> str:
    """Alt text of the areas of several sources over time."""
    rows, days = [], []
    for source in sources:
        seen = calendars[source.id]["area_km2"].dropna()
        days += [calendars[source.id].index[0], calendars[source.id].index[-1]]
        if len(seen):
            last = {"area": km2(seen.iloc[-1]), "day": day(seen.index[-1].date())}
            row = {"publisher": source.publisher} | last
            rows.append(_fill("agreement", "levels_row", row))
    fields = {"place": sector.name, "title": text.title, "rows": " ".join(rows)}
    fields |= {"start": day(min(days).date()), "end": day(max(days).date())}
    return _fill("agreement", "levels_alt", fields)
