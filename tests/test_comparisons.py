"""Sentences on claims and sources: right in every case, and no template without a use."""

from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from grounds import KURAKHOVE, TORETSK, boxes, snapshot
from helpers import agreement, claims, comparisons, sources
from helpers.findings import texts
from test_agreement import SQUARE, compare
from test_claims import ALL, EAST, HELD, NOT_HELD, NOTHING, SOURCE, book, follow, measured

ON = date(2025, 1, 8)
LATE = sources.get("reconstruction")
NBSP = "\N{NO-BREAK SPACE}"


def plain(text):
    return text.replace(NBSP, " ")


def sentence(grounds, row, source=SOURCE):
    table, held = book(row), follow(grounds, row, source=source)
    return comparisons.claim_sentence(table.iloc[0].to_dict(), held, source, ON)


SIDE = "of Kurakhove lies on the Russian side of the assessed line: "
UNPLACED = HELD | {"place": "Nowhere (not placed)"}
BOTH = HELD | {"place": "Kurakhove, Nowhere (not placed)"}
CASES = [
    ({6: ALL}, HELD, f"100 % {SIDE}confirmed (shown so since the day of the claim)."),
    ({3: EAST, 8: ALL}, HELD, "(shown so since 8 January 2025, 2 days after the claim)."),
    ({1: ALL, 8: ALL}, HELD, "(shown so since 1 January 2025, 5 days before the claim)."),
    ({6: EAST}, HELD, f"50 % {SIDE}contested, as lines may be off by 200 m."),
    ({6: NOTHING}, HELD, f"0 % {SIDE}contradicted."),
    ({6: ALL}, NOT_HELD, f"100 % {SIDE}contradicted."),
    ({6: ALL}, HELD | {"place": "Kurakhove power plant"}, "finer than a map can tell: open."),
    ({6: ALL}, UNPLACED, "No map can be held against this: open."),
    ({6: ALL}, BOTH, "Of 2 places, the map of 8 January 2025 confirms 1, contests 0 and "),
]


@pytest.mark.parametrize(("grounds", "row", "words"), CASES)
def test_a_claim_on_a_place(grounds, row, words):
    text = plain(sentence(grounds, row).text)
    assert text.startswith("Somebody says so (Somebody, 6 January 2025).")
    assert words in text


def test_a_source_of_which_dates_are_off_says_so():
    text = plain(sentence({6: EAST}, HELD, LATE).text)
    assert (
        "reconstructed line: contested, as lines may be off by 1.5 km and dates by 14 days" in text
    )


def test_nearly_all_is_not_written_as_all():
    assert plain(comparisons._percent(0.9999)) == "99 %"
    assert plain(comparisons._percent(0.0001)) == "1 %"


def area(kind, claimed, table):
    row = {"asserts": "area", "area_km2": claimed, "area_kind": kind, "of_km2": "1268"}
    ledger = book(row)
    (found,) = claims.areas(ledger, table).to_dict("records")
    return comparisons.area_sentence(ledger.iloc[0].to_dict(), found, SOURCE)


def test_claimed_areas():
    table = {"kurakhove": measured(_01=1300.0, _05=490.0)}
    finding = area("retaken", "801", table)
    assert "By the assessed map of 5 January 2025, 810 km² (± 20 km²) of 1,300 km² at the most" in (
        plain(finding.text)
    )
    assert finding.numbers["measured_km2"] == 810
    assert plain(area("held", "480", table).text).endswith(
        "The assessed map of 5 January 2025 has 490 km² (± 20 km²): the same within the error."
    )
    assert area("held", "600", table).text.endswith("more than the error apart.")
    assert plain(area("held", "600", {}).text).endswith("no map within 7 days before it: open.")


class Change:
    def __init__(self, net, error):
        self.net_km2, self.change_error_km2 = net, error


def advance(change):
    ledger = book({"asserts": "advance"})
    (row,) = claims.advances(ledger, lambda *_: change).to_dict("records")
    return plain(
        comparisons.advance_sentence(ledger.iloc[0].to_dict(), row, KURAKHOVE, SOURCE).text
    )


def test_claimed_advances():
    assert "+37 km² (± 11 km²) were measured in Kurakhove: confirmed." in advance(Change(37, 11))
    assert "−5.0 km² (± 1.0 km²) were measured in Kurakhove: contradicted." in advance(
        Change(-5, 1)
    )
    assert "(± 1.2 km²) were measured in Kurakhove: not to be told" in advance(Change(1, 1.2))
    text = advance(Change(0.0, 0.0))
    assert "no change was measured in Kurakhove: not borne out by that map." in text
    assert advance(None).endswith("No maps tell of the week before: open.")


def test_the_map_of_claims_has_its_finding_as_title():
    followed = follow({6: EAST}, HELD, NOT_HELD)
    text = comparisons.claims_text(KURAKHOVE, followed, SOURCE, ON)
    assert plain(text.title) == (
        "Kurakhove: claimed as Russian-held on 6 January, contested on the map of 8 January 2025"
    )
    assert plain(text.subtitle).startswith("50 % of the settlement lies on the Russian side")
    for ground, verdict in ((ALL, "confirmed by"), (NOTHING, "contradicted by")):
        title = comparisons.claims_text(KURAKHOVE, follow({6: ground}, HELD), SOURCE, ON).title
        assert verdict in title
    many = follow({6: ALL}, HELD | {"place": "Kurakhove, Nowhere (not placed)"})
    text = comparisons.claims_text(KURAKHOVE, many, SOURCE, ON)
    assert text.title.startswith("Kurakhove and Nowhere: claimed as Russian-held")
    assert text.subtitle == "1 confirmed, 0 contested, 0 contradicted, 1 not to be told."
    unplaced = follow({6: ALL}, HELD | {"place": "Nowhere (not placed)"})
    title = comparisons.claims_text(KURAKHOVE, unplaced, SOURCE, ON).title
    assert "which cannot be told from the map" in title
    none = comparisons.claims_text(TORETSK, followed.head(0), SOURCE, ON)
    assert "no standing claim of capture" in none.title
    alt = comparisons.claims_alt(KURAKHOVE, text, SOURCE)
    assert text.title in alt
    assert "A disc stands for a settlement" in comparisons.claims_caption(KURAKHOVE, SOURCE, ON)
    assert comparisons.claims_key(SOURCE)["claimed"] == "Claimed as Russian-held, not assessed"


def test_the_timeline():
    followed = follow({6: ALL}, HELD, NOT_HELD, HELD | {"place": "Nowhere (not placed)"})
    text = comparisons.timeline_text(followed, SOURCE, ON)
    assert plain(text.title) == (
        "1 of 1 claims of capture that a map can tell of are confirmed on 8 January 2025"
    )
    assert "Claims and maps" in comparisons.timeline_text(followed.head(0), SOURCE, ON).title
    bands = {"Kurakhove": pd.Series([0.5], index=pd.to_datetime(["2025-01-06"]))}
    alt, caption = comparisons.timeline_words(bands, {"Kurakhove": 2}, SOURCE)
    assert "Kurakhove: 50 % on the Russian side, 2 claims." in plain(alt)
    assert "assessed line" in caption


def test_no_claim_moved():
    finding = comparisons.no_claim_sentence(date(2024, 12, 8))
    assert plain(finding.text).startswith("No claim in the ledger was made since 8 December 2024")


def levels(a, b):
    index = pd.to_datetime(["2025-01-07", "2025-01-08"])
    tables = {
        key: pd.DataFrame({"area_km2": values, "area_error_km2": 5.0}, index=index)
        for key, values in (("deepstate", a), ("isw", b))
    }
    pair = (SOURCE, sources.get("isw"))
    text = comparisons.levels_text(KURAKHOVE, "control", tables, pair)
    return text, comparisons.levels_alt(KURAKHOVE, text, tables, pair)


def test_two_levels():
    text, alt = levels([100.0, 120.0], [100.0, 90.0])
    assert plain(text.title) == (
        "Kurakhove: DeepState has 30 km² more than ISW / Critical Threats on 8 January 2025"
    )
    assert "ISW / Critical Threats: 90 km² on 8 January 2025." in plain(alt)
    assert "differ by no more than their error" in levels([100.0, 120.0], [100.0, 119.0])[0].title
    nothing = float("nan")
    assert "by source" in levels([100.0, nothing], [nothing, 119.0])[0].title
    assert "has 30" in plain(levels([0.0, 90.0], [0.0, 120.0])[0].title)


def leaves(table, path=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


@pytest.mark.parametrize("group", ["claims", "agreement"])
def test_every_template_is_filled_by_these_tests(group, monkeypatch):
    """A key that no code reads is dead text; another language would translate it for nothing."""
    filled = set()
    fill = comparisons._fill

    def recorded(of, name, fields):
        if of == group:
            filled.add(name)
        return fill(of, name, fields)

    monkeypatch.setattr(comparisons, "_fill", recorded)
    if group == "claims":
        for case in CASES:
            test_a_claim_on_a_place(*case)
        test_a_source_of_which_dates_are_off_says_so()
        test_claimed_areas()
        test_claimed_advances()
        test_the_map_of_claims_has_its_finding_as_title()
        test_the_timeline()
        test_no_claim_moved()
    else:
        test_two_levels()
        import test_agreement

        test_agreement.test_the_same_map_agrees_wholly()
        test_agreement.test_ukrainian_held_ground_is_not_turned_round()
        test_agreement.test_what_one_leaves_out_by_definition_is_granted()
        test_agreement.test_who_shows_a_change_first()
        found = compare(boxes((37, 48, 37.5, 49)), boxes((37, 48, 37.4, 49)))
        comparisons.agreement_words(found, comparisons.agreement_text(found))
        comparisons.agreement_sentence(found)
        comparisons.alone_sentence()
        control = tuple(
            replace(snapshot(boxes((37, 48, 37.5, 49)), source=s), tiers=("control",))
            for s in ("deepstate", "isw")
        )
        pair = (SOURCE, sources.get("isw"))
        comparisons.agreement_text(agreement.compare(SQUARE, *control, sources=pair))
        same = pd.DataFrame({"lag_days": [0, 0], "id": ["a", "b"]})
        assert "neither showed it first" in comparisons.lag_sentence(same, found).text
    assert set(leaves(texts()[group])) - filled == set()
