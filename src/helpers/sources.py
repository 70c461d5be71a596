"""The publishers: one frozen record each. A figure is never drawn without its record's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from helpers.errors import unknown


@dataclass(frozen=True)
class Source:
    """What must be known of a publisher to measure its maps and to credit them.

    Attributes
    ----------
    id
        Key, and the name of the folder under ``data/raw``.
    publisher, title
        Who publishes, and what.
    attribution
        The credit drawn on every figure.
    licence
        What the publisher allows, as far as it is stated.
    date_rule
        How the assessed day follows from a file.
    pattern
        Glob of its files below ``data/raw/<id>``.
    layers
        The layers it draws apart from each other (see `helpers.schema.LAYERS`).
    tiers
        The tiers that can be told from them when all are there (see `helpers.schema.TIERS`).
    covers
        What ground its maps speak of; what they are silent about.
    positional_error_m
        How far off a drawn line may be, in metres: one standard figure for the uncertainty of
        areas, stated wherever a number is.
    error_basis
        Where that figure comes from.
    caveat
        The sentence that stands on every figure and page.
    adjective
        How a title calls this source's ground: "assessed", or "reconstructed".
    redistributable
        Whether its polygons may be shipped with a report.
    ignored
        Names of files beside its maps that are none.
    named_by_day
        Whether the day in a file's name is the assessed day.
    time_error_days
        By how many days what a map shows may be late or early, where that is stated.
    from_2022
        Whether ground that Russia held before 24 February 2022 is left out.
    """

    id: str
    publisher: str
    title: str
    attribution: str
    licence: str
    date_rule: str
    pattern: str
    layers: tuple[str, ...]
    tiers: tuple[str, ...]
    covers: str
    positional_error_m: float
    error_basis: str
    caveat: str
    adjective: str = "assessed"
    redistributable: bool = False
    ignored: tuple[str, ...] = ()
    named_by_day: bool = False
    time_error_days: int = 0
    from_2022: bool = False

    def tier_for(self, measure: str) -> str:
        """Tier in which this source tells what a sector's measure asks.

        Parameters
        ----------
        measure
            One of `helpers.schema.TIERS`.

        Returns
        -------
        str
            The measure itself, or what stands in for it: of Kursk some publishers draw what Ukraine
            holds, others what Russian forces took back, which grows where the other falls. The
            measure, where the source tells neither.
        """
        stand_in = _STAND_INS.get(measure, measure)
        return stand_in if measure not in self.tiers and stand_in in self.tiers else measure


_NBSP = "\N{NO-BREAK SPACE}"

_STAND_INS: Mapping[str, str] = MappingProxyType({"ukrainian_held": "regained"})

_RECORDS = (
    Source(
        id="reconstruction",
        publisher="Frontline Notebooks",
        title="Reconstruction from settlement facts",
        attribution=(
            "Reconstruction from settlement facts (dates compiled from public maps and news; "
            "places: GeoNames, CC BY 4.0)"
        ),
        licence="CC BY 4.0",
        date_rule="The file name is the assessed day.",
        pattern="*.geojson",
        layers=(
            "assessed_control",
            "assessed_advance",
            "claimed_control",
            "ukrainian_held",
            "regained",
        ),
        tiers=("control", "presence", "claimed", "ukrainian_held", "regained"),
        covers=(
            "The frames of the sectors Toretsk, Kurakhove and Kursk only, 2024-08-01 to 2025-01-31"
        ),
        positional_error_m=1500.0,
        error_basis="middle of the stated 1 to 2 km of the reconstruction",
        caveat=(
            f"Reconstruction from settlement facts, ±{_NBSP}1{_NBSP}to{_NBSP}2{_NBSP}km. "
            "Not data of ISW or of any map project."
        ),
        adjective="reconstructed",
        redistributable=True,
        named_by_day=True,
        time_error_days=14,
    ),
    Source(
        id="deepstate",
        publisher="DeepState",
        title="DeepState daily polygons",
        attribution="DeepState daily polygons, via the public archive cyterat/deepstate-map-data",
        licence="Terms of the polygons are not stated; not redistributed with this project",
        date_rule="The file name is the day of retrieval; the map shows the end of the day before.",
        pattern="*.*json",
        layers=("assessed_control",),
        tiers=("control", "presence"),
        covers="Ground within Ukraine; it is silent about ground inside Russia",
        positional_error_m=200.0,
        error_basis="placeholder for the positional error of a public map; DeepState states none",
        caveat=(
            "Assessed control, not verified on the ground. Lines come from one public map and can "
            "be wrong by hundreds of metres or by days."
        ),
    ),
    Source(
        id="isw",
        publisher="ISW / Critical Threats",
        title="ISW and Critical Threats control-of-terrain map",
        attribution="Institute for the Study of War and AEI's Critical Threats Project",
        licence=(
            "Written consent needed for use of the geodata; not redistributed with this project"
        ),
        date_rule="The day in the file's name is the assessed day, and that of publication.",
        pattern="**/*.*",
        layers=(
            "assessed_control",
            "assessed_advance",
            "claimed_control",
            "assessed_infiltration",
            "claimed_counteroffensive",
            "reported_partisan_warfare",
            "pre_invasion_control",
            "regained",
        ),
        tiers=("control", "presence", "claimed", "regained"),
        covers=(
            "Ukraine with Crimea and ground held before 2022; control and advance are apart. In "
            "Kursk Oblast only what Russian forces took back, not what Ukraine holds"
        ),
        positional_error_m=200.0,
        error_basis="placeholder for the positional error of a public map; ISW states none",
        caveat=(
            "Assessed by ISW, not verified on the ground. Lines come from one public map and can "
            "be wrong by hundreds of metres or by days."
        ),
        ignored=("daily_areas.json",),
        named_by_day=True,
    ),
    Source(
        id="liveuamap",
        publisher="Liveuamap / NZZ",
        title="Liveuamap control of terrain, as served by NZZ",
        attribution="Liveuamap, through NZZ and the archive conflict-investigations/nzz-maps",
        licence="Terms of the polygons are not stated; not redistributed with this project",
        date_rule="The end of the window (_dateto) is the assessed day; the file is named later.",
        pattern="*.json",
        layers=("assessed_control", "ukrainian_held"),
        tiers=("control", "presence", "ukrainian_held"),
        covers=(
            "Ukraine without Crimea, and since 2024-03-14 without ground held before 2022; with "
            "what Ukraine holds in Kursk and Belgorod Oblasts"
        ),
        positional_error_m=200.0,
        error_basis="placeholder for the positional error of a public map; Liveuamap states none",
        caveat=(
            "Assessed control, not verified on the ground. Lines come from one public map and can "
            "be wrong by hundreds of metres or by days."
        ),
        from_2022=True,
    ),
)

SOURCES: Mapping[str, Source] = MappingProxyType({record.id: record for record in _RECORDS})


def get(source_id: str) -> Source:
    """Look a source up.

    Parameters
    ----------
    source_id
        Its key, such as ``"deepstate"``.

    Returns
    -------
    Source
        The record.

    Raises
    ------
    ParameterError
        Listing the known sources.
    """
    if source_id not in SOURCES:
        raise unknown("source", source_id, SOURCES)
    return SOURCES[source_id]
