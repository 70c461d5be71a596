"""Write the software bill of materials (CycloneDX) of the environment: `make sbom`.

    python scripts/sbom.py OUT.json

Fails if a package of the lock that is meant for this machine is not in it, or has another version.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def locked() -> dict[str, str]:
    """Name to version of every package that the lock has for this machine."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    wanted = [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in wanted
        if one.marker is None or one.marker.evaluate()
    }


def missing(bill: dict[str, list[dict[str, str]]]) -> list[str]:
    """The locked packages that a bill does not have in their version."""
    found = {canonicalize_name(part["name"]): part["version"] for part in bill["components"]}
    return [f"{name} {version}" for name, version in locked().items() if found.get(name) != version]


def main(out: Path) -> int:
    """Write the bill and check it against the lock."""
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
    command += ["--pyproject", str(ROOT / "pyproject.toml"), "-o", str(out), sys.executable]
    subprocess.run(command, check=True)
    bill = json.loads(out.read_text())
    faults = missing(bill)
    print(
        "\n".join(f"not in the bill: {fault}" for fault in faults)
        or f"{out}: {len(bill['components'])} packages"
    )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
