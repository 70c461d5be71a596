"""Kursk Oblast: publishers draw opposite things, and one sign tells of them all."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import shapely

from grounds import boxes, marked, snapshot
from helpers import changes, findings, ingest, measures, reference, snapshots, sources
from helpers.schema import Snapshot

KURSK = reference.sectors()["kursk"]
SAMPLE = Path(__file__).parents[1] / "data" / "raw" / "reconstruction"
LEFT = shapely.box(35.0, 51.1, 35.2, 51.3)
WHOLE = shapely.box(35.0, 51.1, 35.4, 51.3)


def test_ground_regained_and_ground_held_tell_the_same_advance():
    isw, liveuamap = sources.get("isw"), sources.get("liveuamap")
    held = [snapshot(g, d, "ukrainian_held") for d, g in ((1, WHOLE), (2, LEFT))]
    held = [Snapshot("liveuamap", s.day, s.layers, s.tiers) for s in held]
    back = [
        Snapshot("isw", date(2025, 1, d), {"regained": g}, ("regained",))
        for d, g in ((1, boxes()), (2, shapely.box(35.2, 51.1, 35.4, 51.3)))
    ]
    one = measures.daily(held, [KURSK], source=liveuamap)
    other = measures.daily(back, [KURSK], source=isw)
    assert (one["tier"][1], other["tier"][1]) == ("ukrainian_held", "regained")
    assert one["net_km2"][1] == pytest.approx(other["net_km2"][1])
    assert one["net_km2"][1] > 100
    assert one["label"][1] == other["label"][1] == "advanced"
    for maps, source in ((held, liveuamap), (back, isw)):
        change = changes.in_sector(KURSK, *maps, source=source)
        assert change.net_km2 == pytest.approx(one["net_km2"][1])
        assert "311" in findings.headline(change)


@marked
@pytest.mark.parametrize(
    ("source", "tier", "start", "end"),
    [
        ("liveuamap", "ukrainian_held", date(2024, 9, 1), date(2025, 1, 8)),
        ("isw", "regained", date(2024, 11, 1), date(2025, 3, 31)),
    ],
)
def test_real_kursk_is_an_advance_in_every_source(everything, source, tier, start, end):
    days = snapshots.window(everything, source, start, end)
    table = measures.daily(
        days, [KURSK], source=sources.get(source), border=reference.outer_edges()
    )
    assert set(table["tier"]) == {tier}
    assert table["net_km2"].sum() > 100
    sign = -1 if tier == "ukrainian_held" else 1
    assert np.allclose(table["area_km2"].diff()[1:], sign * table["net_km2"][1:], atol=1e-6)


def test_the_embedded_sample_tells_of_the_same_advance(workspace):
    (workspace.raw / "reconstruction").symlink_to(SAMPLE)
    ingest.run(workspace, "reconstruction")
    days = snapshots.window(workspace, "reconstruction", date(2024, 9, 1), date(2025, 1, 8))
    table = measures.daily(days, [KURSK], source=sources.get("reconstruction"))
    assert set(table["tier"]) == {"ukrainian_held"}
    assert table["net_km2"].sum() > 100
