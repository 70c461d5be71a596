"""Source against source: ground, lines, lags; on grounds made by hand, and on the publishers'."""

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
import shapely

from grounds import KURAKHOVE, area, boxes, marked, snapshot
from helpers import agreement, comparisons, dossiers, reference, sources
from helpers.errors import ParameterError
from helpers.projection import area_km2
from helpers.workspace import Workspace

A, B, OMITS = sources.get("deepstate"), sources.get("isw"), sources.get("liveuamap")
# About 75 by 111 km.
SQUARE = area("square", boxes((37, 48, 38, 49)), "presence")


def compare(a, b, pair=(A, B), sector=SQUARE, layer="assessed_control", **options):
    maps = (snapshot(a, 8, layer, pair[0].id), snapshot(b, 8, layer, pair[1].id))
    return agreement.compare(sector, *maps, sources=pair, **options)


def test_ground_of_both_and_of_one_alone():
    a, b = boxes((37, 48, 37.5, 49)), boxes((37, 48, 37.4, 49), (37.45, 48.5, 37.6, 48.6))
    found = compare(a, b)
    both = shapely.intersection(a, b)
    assert found.agreed_km2 == pytest.approx(area_km2(both))
    assert found.only_a_km2 == pytest.approx(area_km2(shapely.difference(a, b)))
    assert found.only_b_km2 == pytest.approx(area_km2(shapely.difference(b, a)))
    union = area_km2(shapely.union(a, b))
    assert found.either_km2 == pytest.approx(union)
    assert found.jaccard == pytest.approx(area_km2(both) / union)
    back = compare(b, a, (B, A))
    assert (back.only_a_km2, back.only_b_km2) == pytest.approx((found.only_b_km2, found.only_a_km2))
    assert back.line_km == pytest.approx(found.line_km, rel=0.01)


def test_ukrainian_held_ground_is_not_turned_round():
    a, b = boxes((37, 48, 37.5, 49)), boxes((37, 48, 37.4, 49))
    sector = replace(SQUARE, measure="ukrainian_held")
    found = compare(a, b, sector=sector, layer="ukrainian_held")
    assert found.only_a_km2 == pytest.approx(area_km2(shapely.difference(a, b)))
    assert found.only_b_km2 == pytest.approx(0)
    key = comparisons.agreement_key(found)
    # A change from b to a lost what only a has: that is no Russian advance.
    assert key["lost"].startswith("Only DeepState")


def test_the_same_map_agrees_wholly():
    ground = boxes((37, 48, 37.5, 49))
    found = compare(ground, ground)
    assert (found.jaccard, found.line_km) == (pytest.approx(1.0), (0.0, 0.0))
    empty = compare(shapely.MultiPolygon(), shapely.MultiPolygon())
    assert math.isnan(empty.jaccard)
    assert all(map(math.isnan, empty.line_km))
    assert "neither DeepState nor ISW" in comparisons.agreement_text(empty).title
    assert "neither" in comparisons.agreement_sentence(empty).text


def test_distance_of_two_parallel_lines():
    # 0.01 degrees of longitude at 48.5 degrees north.
    apart = 0.01 * math.pi / 180 * 6378.137 * math.cos(math.radians(48.5))
    found = compare(boxes((37, 48, 37.5, 49)), boxes((37, 48, 37.51, 49)))
    assert found.line_km[0] == pytest.approx(apart, rel=0.01)
    assert found.line_km[1] == pytest.approx(apart, rel=0.02)
    border = shapely.LineString([(37.5, 47), (37.5, 50)])
    assert all(map(math.isnan, compare(boxes((37, 48, 37.5, 49)), boxes((37, 48, 37.51, 49)),
                                       border=border).line_km))  # fmt: skip


def test_only_like_is_compared_with_like():
    control = replace(snapshot(boxes((37, 48, 38, 49))), tiers=("control",))
    both = snapshot(boxes((37, 48, 38, 49)))
    assert agreement.common_tier(SQUARE, both, both, (A, B)) == "presence"
    assert agreement.common_tier(SQUARE, both, control, (A, B)) == "control"
    kursk = replace(SQUARE, measure="ukrainian_held")
    with pytest.raises(ParameterError, match="no ukrainian_held that both maps tell; DeepState"):
        agreement.common_tier(kursk, both, control, (A, B))
    none = replace(both, tiers=())
    with pytest.raises(ParameterError, match="no presence or control that both maps tell"):
        agreement.common_tier(SQUARE, both, none, (A, B))


def test_what_one_leaves_out_by_definition_is_granted():
    old, new = boxes((37.6, 48, 38, 49)), boxes((37.4, 48, 37.6, 49))
    whole, young = shapely.union(old, new), new
    maps = snapshot(whole), snapshot(young, source="liveuamap")
    firsts = snapshot(old, 1), snapshot(shapely.MultiPolygon(), 1, source="liveuamap")
    pair = (A, OMITS)
    granted = agreement.left_out(pair, firsts, "control")
    assert shapely.equals(granted, old)
    assert agreement.left_out((A, B), firsts, "control") is None
    assert agreement.left_out(pair, firsts, "ukrainian_held") is None
    bare = agreement.compare(SQUARE, *maps, sources=pair)
    assert bare.only_a_km2 == pytest.approx(area_km2(old))
    found = agreement.compare(SQUARE, *maps, sources=pair, granted=granted)
    assert found.jaccard == pytest.approx(1)
    text = comparisons.agreement_text(found, granted=True)
    assert "Ground that Liveuamap / NZZ leaves out by definition" in text.subtitle
    assert any("without ground held before 2022" in note for note in text.notes)


def towns(*at):
    names = [f"P{n}" for n in range(len(at))]
    table = pd.DataFrame({"id": names, "name": names, "lon": at, "lat": 48.5, "population": 100})
    return table.assign(quality="A")


def test_who_shows_a_change_first():
    def maps(days, source):
        return [snapshot(boxes((x, 48, 38, 49)), day, source=source) for day, x in days.items()]

    a = maps({1: 37.8, 3: 37.65, 6: 37.45, 9: 37.3}, "deepstate")
    b = maps({1: 37.8, 5: 37.65, 6: 37.75, 7: 37.45, 9: 37.45}, "isw")
    # On both from the start; on both; on a only; on neither.
    places = towns(37.9, 37.7, 37.5, 37.4, 37.1)
    found = agreement.lags(a, b, places, tier="control", within=SQUARE.polygon)
    assert list(found["id"]) == ["P1", "P2"]
    assert list(found["lag_days"]) == [4, 1]  # b had P1 on the 5th, but not on the 6th
    turned = agreement.lags(b, a, places, tier="control", within=SQUARE.polygon)
    assert sorted(turned["lag_days"]) == [-4, -1]
    pair = compare(boxes((37, 48, 37.5, 49)), boxes((37, 48, 37.5, 49)))
    text = comparisons.lag_sentence(found, pair).text
    assert "2 settlements came over" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "DeepState showed it first" in text
    nothing = agreement.lags(a, [], places, tier="control", within=SQUARE.polygon)
    assert nothing.empty
    assert "nothing is said" in comparisons.lag_sentence(nothing, pair).text


def test_a_source_without_a_map_of_the_week_is_told_of(tmp_path):
    from test_plans import SAMPLE

    raw = tmp_path / "data" / "raw"
    for source, days in {
        "reconstruction": ("2024-12-08", "2025-01-08"),
        "reconstruction-late": ("2024-12-25",),
    }.items():
        (raw / source).mkdir(parents=True)
        for day in days:
            path = SAMPLE.parent / source / f"{day}.geojson"
            (raw / source / path.name).write_bytes(path.read_bytes())
    about = SAMPLE.parent / "reconstruction-late" / "source.toml"
    (raw / "reconstruction-late" / "source.toml").write_bytes(about.read_bytes())
    ws = Workspace.at(tmp_path)
    asked = dossiers.others(ws, "reconstruction")
    assert asked == ["reconstruction", "reconstruction-late"]
    pairs, faults = dossiers.on_sources(ws, asked, date(2025, 1, 8), [KURAKHOVE])
    assert pairs == []
    assert faults == [
        "Kurakhove: Frontline Notebooks (latest dates) has no map in the 7 days up to 2025-01-08."
    ]
    with pytest.raises(ParameterError, match="reconstruction has no map in the 7 days up to"):
        dossiers.on_sources(ws, asked, date(2025, 1, 20), [KURAKHOVE])
    pairs, faults = dossiers.on_sources(ws, asked[::-1], date(2024, 12, 30), [KURAKHOVE])
    assert (len(pairs), len(faults)) == (0, 1)


@marked
def test_three_publishers_near_kurakhove(everything):
    """What docs/claims.md and the briefing rest on: DeepState, ISW and Liveuamap on 8 January."""
    asked = ["deepstate", "isw", "liveuamap"]
    pairs, faults = dossiers.on_sources(everything, asked, date(2025, 1, 8), [KURAKHOVE])
    assert faults == []
    tiers = {pair.found.source_b.id: pair.found.difference.tier for pair in pairs}
    # ISW's change points have control alone: with advance, like would not be with like.
    assert tiers == {"isw": "control", "liveuamap": "presence"}
    for pair in pairs:
        found = pair.found
        a, b = found.difference.after, found.difference.before
        assert found.agreed_km2 + found.only_a_km2 == pytest.approx(area_km2(a), abs=1e-6)
        assert found.agreed_km2 + found.only_b_km2 == pytest.approx(area_km2(b), abs=1e-6)
        assert 0.8 < found.jaccard < 0.95
        assert 0 < found.line_km[0] < found.line_km[1] < 10
    assert [pair.granted for pair in pairs] == [False, True]
    over = dossiers.over_time(everything, pairs, date(2024, 12, 20), date(2025, 1, 8))[1]
    assert set(over.calendars) == {"deepstate", "liveuamap"}
    assert all(np.isfinite(c["area_km2"].iloc[-1]) for c in over.calendars.values())
    assert reference.sectors()["kurakhove"] == pairs[0].found.sector
