"""What a page must be, whoever made it."""

import re
from collections import Counter
from importlib.resources import files

import html5lib
from bs4 import BeautifulSoup

from chromium import Browser

VALID = "<!DOCTYPE html><html lang=en><head><title>T</title></head><body>{}</body></html>"


def html_faults(text: str) -> list[str]:
    """Errors of the HTML standard's own parser, and what it does not look at."""
    parser = html5lib.HTMLParser(strict=False)
    parser.parse(text)
    faults = [f"{code} at {place}" for place, code, _ in parser.errors]
    page = BeautifulSoup(text, "html.parser")
    ids = Counter(element["id"] for element in page.select("[id]"))
    faults += [f"id twice: {name}" for name, count in ids.items() if count > 1]
    levels = [int(heading.name[1]) for heading in page.find_all(re.compile("^h[1-6]$"))]
    for before, after in zip([0, *levels], levels, strict=False):
        if after > before + 1:
            faults.append(f"h{after} after h{before}")
    targets = {link["href"][1:] for link in page.select("a[href^='#']")}
    faults += [f"no place for #{name}" for name in sorted(targets - set(ids))]
    faults += ["th without scope" for head in page.find_all("th") if not head.has_attr("scope")]
    return faults


def axe_faults(tab: Browser) -> list[str]:
    """Serious and critical faults that axe-core finds on the page that is open."""
    tab.run((files("axe_core_python") / "axe.min.js").read_text())
    found = tab.run("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [
        f"{fault['id']}: {node['html'][:120]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
