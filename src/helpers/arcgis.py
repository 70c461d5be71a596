"""ArcGIS feature services: layers that move, days told in several ways, answers in pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from helpers.endpoints import Layer
from helpers.errors import FetchError
from helpers.web import AbsentError, Answer, Client, read_json

_MOST_PAGES = 200
_USUAL_PAGE = 1000
_DATE_TYPES = ("esriFieldTypeDate", "esriFieldTypeDateOnly")
# Fields that tell when a feature was edited, or until when it held.
_OTHER_DATES = re.compile(r"creat|edit|change|end", re.IGNORECASE)


@dataclass(frozen=True)
class Service:
    """A layer that was found.

    Attributes
    ----------
    layer
        The layer it is, as our files name it.
    url
        Its address.
    about
        Its metadata, as served.
    moved
        What to tell a person, if it was not where it should be.
    """

    layer: str
    url: str
    about: Mapping[str, Any]
    moved: str = ""

    @property
    def edited(self) -> datetime | None:
        """When its features were last edited (UTC), where it says so."""
        info = _table(self.about.get("editingInfo"))
        return _moment(info.get("dataLastEditDate")) or _moment(info.get("lastEditDate"))

    @property
    def ending(self) -> str:
        """Form in which it serves features: ``geojson``, or ``json`` where it has no other."""
        return (
            "geojson" if "geojson" in str(self.about["supportedQueryFormats"]).lower() else "json"
        )


def find(client: Client, layer: Layer, index: str, look: str) -> Service:
    """Find a layer where it was last, else by its name.

    Parameters
    ----------
    client
        To ask with.
    layer
        What it is called, and where it was.
    index
        Address of a web map that lists it; empty for none.
    look
        Where a person would look.

    Returns
    -------
    Service
        With a note if it was found in another place.

    Raises
    ------
    FetchError
        If no layer, or more than one, has its name.
    """
    seen: list[str] = []
    if layer.url:
        about = _about(client, layer.url)
        if about and _named(layer, about["name"]):
            return Service(layer.layer, layer.url, about)
        seen.append(f"{about['name']!r} at {layer.url}" if about else f"nothing at {layer.url}")
    service = layer.url.rpartition("/")[0]
    searches = [(_in_service, service), (_in_map, index)]
    for search, place in searches:
        found = sorted(set(search(client, layer, place, seen))) if place else []
        if len(found) > 1:
            seen.append("several of that name: " + ", ".join(found))
        if len(found) == 1 and (about := _about(client, found[0])):
            moved = f"{layer.layer} was found by its name at {found[0]}"
            same = layer.url in ("", found[0])
            return Service(layer.layer, found[0], about, "" if same else moved)
    raise FetchError(
        f"The layer {layer.layer} was not found: {'; '.join(seen)}. Look at {look} for its address "
        "and put it into endpoints.toml in the source's folder (docs/daily.md)."
    )


def _table(value: Any) -> dict[str, Any]:
    """A JSON object; empty where it is something else."""
    return value if isinstance(value, dict) else {}


def _tables(value: Any) -> list[dict[str, Any]]:
    """The objects in a JSON list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _named(layer: Layer, name: str) -> bool:
    return any(_plain(piece) in _plain(name) for piece in layer.like)


def _service_name(url: str) -> str:
    match = re.search(r"/services/(.+?)/(?:Feature|Map)Server", url)
    return match[1].rpartition("/")[2] if match else ""


def _ask(client: Client, url: str, **question: object) -> dict[str, Any]:
    address = f"{url}?{urlencode(question)}" if question else url
    return _table(read_json(client.get(address, check=read_json).body))


def _about(client: Client, url: str) -> dict[str, Any] | None:
    """Metadata of a polygon layer; None where there is none."""
    try:
        about = _ask(client, url, f="json")
    except AbsentError:
        return None
    if about.get("geometryType") != "esriGeometryPolygon":
        return None
    return {"name": "", "supportedQueryFormats": ""} | about


def _in_service(client: Client, layer: Layer, service: str, seen: list[str]) -> Iterator[str]:
    try:
        listed = _tables(_ask(client, service, f="json").get("layers"))
    except AbsentError:
        seen.append(f"no service {service}")
        return
    layers = [(str(one.get("name")), one["id"]) for one in listed if isinstance(one.get("id"), int)]
    found = [f"{service}/{number}" for name, number in layers if _named(layer, name)]
    if not found and len(layers) == 1 and _named(layer, _service_name(service)):
        found = [f"{service}/{layers[0][1]}"]
    told = ", ".join(repr(name) for name, _ in layers) or "none"
    seen.append(f"the service has the layers {told}")
    yield from found


def _in_map(client: Client, layer: Layer, index: str, seen: list[str]) -> Iterator[str]:
    titles = []
    for title, url in _listed(_ask(client, index).get("operationalLayers")):
        titles.append(title)
        if not (_named(layer, title) or _named(layer, _service_name(url))):
            continue
        if re.search(r"Server/\d+$", url):
            yield url
        else:
            yield from _in_service(client, layer, url, seen)
    seen.append(f"the web map lists {', '.join(map(repr, titles)) or 'no layer'}")


def _listed(layers: Any) -> Iterator[tuple[str, str]]:
    """Titles and addresses in a web map, those in groups too."""
    for one in _tables(layers):
        if one.get("url"):
            yield str(one.get("title", "")), str(one["url"]).rstrip("/")
        yield from _listed(one.get("layers"))


def _moment(stamp: Any) -> datetime | None:
    """Time of a stamp in milliseconds since 1970; None where it is none of this century."""
    if isinstance(stamp, bool) or not isinstance(stamp, int | float) or not 9e11 < stamp < 4e12:
        return None
    return datetime.fromtimestamp(stamp / 1000, tz=UTC)


def _day_field(service: Service) -> tuple[str, str]:
    """Name and type of the field that tells which day a feature shows."""
    known = {str(f.get("name")): f.get("type") for f in _tables(service.about.get("fields"))}
    dates = {name: str(kind) for name, kind in known.items() if kind in _DATE_TYPES}
    told = str(_table(service.about.get("timeInfo")).get("startTimeField"))
    likely = [told] if told in dates else [name for name in dates if not _OTHER_DATES.search(name)]
    if len(likely) != 1:
        raise FetchError(
            f"{service.url}: which field tells the day of {service.layer}? It has "
            f"{', '.join(dates) or 'no field with a date'}."
        )
    return likely[0], dates[likely[0]]


def between(service: Service, since: date, until: date, zone: ZoneInfo) -> str:
    """Condition for the features of some days.

    Parameters
    ----------
    service
        The layer.
    since, until
        First and last day.
    zone
        In which a day begins, for a field that holds times.

    Returns
    -------
    str
        SQL as ArcGIS takes it, for a field of dates or of times.
    """
    name, kind = _day_field(service)
    if kind == "esriFieldTypeDateOnly":
        return f"{name} >= DATE '{since}' AND {name} <= DATE '{until}'"
    first = datetime.combine(since, time(), zone).astimezone(UTC)
    end = datetime.combine(until + timedelta(days=1), time(), zone).astimezone(UTC)
    form = "TIMESTAMP '%Y-%m-%d %H:%M:%S'"
    return f"{name} >= {first:{form}} AND {name} < {end:{form}}"


def days(client: Client, service: Service, since: date, until: date, zone: ZoneInfo) -> list[date]:
    """Days for which a layer has features.

    Parameters
    ----------
    client, service
        Whom to ask, and what.
    since, until
        First and last day to look for.
    zone
        In which a day begins, for a field that holds times.

    Returns
    -------
    list of datetime.date
        Sorted.
    """
    name, _ = _day_field(service)
    question = {
        "where": between(service, since, until, zone),
        "outFields": name,
        "returnDistinctValues": "true",
        "returnGeometry": "false",
        "orderByFields": name,
        "f": "json",
    }
    found = set()
    for answer in _paged(client, service, question, {}):
        for feature in _tables(read_json(answer.body)["features"]):
            day = _day(_table(feature.get("attributes")).get(name), zone)
            if day and since <= day <= until:
                found.add(day)
    return sorted(found)


def _day(value: Any, zone: ZoneInfo) -> date | None:
    moment = _moment(value)
    if moment:
        return moment.astimezone(zone).date()
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def features(
    client: Client, service: Service, where: str, headers: Mapping[str, str]
) -> list[Answer]:
    """Ask for features, page by page.

    Parameters
    ----------
    client, service
        Whom to ask, and what.
    where
        SQL condition; ``1=1`` for all.
    headers
        Conditions for the first page, see `helpers.raw.conditions`.

    Returns
    -------
    list of Answer
        One a page, complete; or a single one with status 304.

    Raises
    ------
    FetchError
        If the pages do not hold as many features as the service counts.
    """
    key = service.about.get("objectIdField") or "OBJECTID"
    question = {"where": where, "outFields": "*", "outSR": 4326, "orderByFields": key}
    answers = list(_paged(client, service, question | {"f": service.ending}, headers))
    if len(answers) > 1:
        got = sum(len(read_json(answer.body)["features"]) for answer in answers)
        said = _ask(client, f"{service.url}/query", where=where, returnCountOnly="true", f="json")
        if said.get("count") != got:
            raise FetchError(
                f"{service.url}: {got} features in {len(answers)} pages, but the service counts "
                f"{said.get('count')}: it has changed meanwhile. Run again."
            )
    return answers


def _paged(
    client: Client, service: Service, question: Mapping[str, object], headers: Mapping[str, str]
) -> Iterator[Answer]:
    most = service.about.get("maxRecordCount")
    offset, size = 0, most if isinstance(most, int) and most > 0 else _USUAL_PAGE
    for _ in range(_MOST_PAGES):
        page = {"resultOffset": offset, "resultRecordCount": size}
        url = f"{service.url}/query?{urlencode({**question, **page})}"
        check = partial(read_json, holds="features")
        answer = client.get(url, headers={} if offset else headers, check=check)
        yield answer
        if answer.status == 304:
            return
        content = read_json(answer.body)
        count = len(content["features"])
        about = _table(content.get("properties"))
        if not (content.get("exceededTransferLimit") or about.get("exceededTransferLimit")):
            return
        if not count:
            raise FetchError(f"{url}: says that there is more, but sends nothing. Run again later.")
        offset += count
    raise FetchError(f"{service.url}: more than {_MOST_PAGES} pages.")
