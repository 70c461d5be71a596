import json

import pytest
from rocrate.rocrate import ROCrate

from helpers import crate, provenance

MANIFEST = {
    "title": "Toretsk grew",
    "day": "2025-01-08",
    "compare_to": "2024-12-08",
    "command": "frontline report 2025-01-08",
    "newest_input_day": "2025-01-07",
    "software": {"python": "3.11", "frontline-notebooks": "0.1.0"},
    "source": {
        "publisher": "P",
        "title": "T",
        "attribution": "A",
        "licence": "CC BY 4.0",
        "caveat": "C",
    },
    "inputs": [{"path": "data/raw/s/a.geojson", "assessed_day": "2025-01-07", "sha256": "ab"}],
}


@pytest.fixture
def folder(tmp_path):
    for name in ("index.html", "data/a.csv", "figures/a.png", "figures/a.svg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def entities(content):
    return {entity["@id"]: entity for entity in content["@graph"]}


def test_every_file_is_described_and_every_reference_is_kept(folder):
    found = entities(crate.metadata(folder, MANIFEST))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    described = {name for name, entity in found.items() if entity["@type"] == "File"}
    assert described == files | {"manifest.json"}
    assert found["data/a.csv"]["contentSize"] == str(len("data/a.csv"))
    assert found["figures/"]["hasPart"] == [{"@id": "figures/a.png"}, {"@id": "figures/a.svg"}]
    for entity in found.values():
        for value in entity.values():
            for reference in value if isinstance(value, list) else [value]:
                if isinstance(reference, dict) and reference != {"@id": found_profile()}:
                    assert reference["@id"] in found, reference


def found_profile():
    return "https://w3id.org/ro/crate/1.1"


def test_what_the_specification_requires_of_the_root(folder):
    content = crate.metadata(folder, MANIFEST)
    assert content["@context"] == "https://w3id.org/ro/crate/1.1/context"
    found = entities(content)
    assert len(found) == len(content["@graph"])
    descriptor = found["ro-crate-metadata.json"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": found_profile()}
    root = found["./"]
    assert root["@type"] == "Dataset"
    assert all(root[key] for key in ("name", "description", "datePublished", "license"))
    assert root["datePublished"] == "2025-01-07"
    assert found[root["license"]["@id"]]["name"] == "CC BY 4.0"


def test_an_unknown_licence_is_told_as_it_is(folder):
    unknown = MANIFEST["source"] | {"licence": "not stated"}
    found = entities(crate.metadata(folder, MANIFEST | {"source": unknown}))
    assert found["./"]["license"] == {"@id": "#licence"}
    assert found["#licence"]["name"] == "not stated"


def test_the_crate_tools_read_it(folder):
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    content = provenance.to_json(crate.metadata(folder, MANIFEST))
    (folder / crate.FILE).write_bytes(content)
    read = ROCrate(folder)
    assert read.name == "Toretsk grew"
    making = read.dereference("#making")
    assert [item["name"] for item in making["object"]] == ["data/raw/s/a.geojson"]
    assert making["result"].id == "./"
    assert {entity.id for entity in read.get_by_type("File")} == {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != crate.FILE
    }
