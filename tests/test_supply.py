"""What the project brings with it is locked, whole, audited and listed."""

import subprocess
import sys
from pathlib import Path

import pytest

from installs import BLOCK, closure, not_in_a_minimal_install

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import audit  # noqa: E402
import sbom  # noqa: E402


def test_the_lock_has_all_that_is_installed_in_its_version():
    needed = closure("cluster", "dev", "docs")
    assert len(needed) > 150
    assert {name: sbom.locked().get(name) for name in needed} == needed


def test_a_package_that_is_not_locked_is_seen(monkeypatch):
    monkeypatch.setattr(sbom, "locked", lambda: {"numpy": "2.0", "shapely": "2.1"})
    bill = {"components": [{"name": "NumPy", "version": "2.0"}]}
    assert sbom.missing(bill) == ["shapely 2.1"]


def test_a_minimal_install_has_no_tool_of_a_developer(tmp_path):
    absent = not_in_a_minimal_install()
    assert {"pytest", "mypy", "hypothesis", "mutmut", "mkdocs", "distributed"} <= absent
    assert not {"helpers", "papermill", "geopandas", "matplotlib", "contextily"} & absent
    # The guard fires: test_reports makes a whole report behind it.
    (tmp_path / "sitecustomize.py").write_text(BLOCK.format(names={"pytest"}))
    done = subprocess.run(
        [sys.executable, "-c", "import pytest"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No module named 'pytest': absent" in done.stderr


SAFE = {"name": "numpy", "version": "2.0", "vulns": []}
UNSAFE = {"name": "pillow", "version": "1.0", "vulns": [{"id": "CVE-1"}]}


@pytest.mark.parametrize(
    ("answers", "status", "said"),
    [
        ({"pypi": [SAFE]}, 0, "1 packages audited with pypi: 0 have known"),
        ({"pypi": [SAFE, UNSAFE]}, 1, "pillow 1.0: "),
        ({"pypi": [], "osv": [UNSAFE]}, 1, "audited with osv: 1 have"),
    ],
)
def test_an_audit_tells_what_it_found(capsys, answers, status, said):
    assert audit.main([], answers.get) == status
    assert said in capsys.readouterr().out


def test_an_audit_that_reached_nobody_says_that_nothing_was_audited(capsys):
    assert audit.main([], lambda service: []) == 0
    assert "Nothing was audited" in capsys.readouterr().err
    assert audit.main(["--required"], lambda service: []) == 1
