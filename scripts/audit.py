"""Ask the databases of known vulnerabilities about every package of the lock: `make audit`.

    python scripts/audit.py [--required]

Exit status 1 if a locked version has a known vulnerability. Where no database can be reached,
nothing was audited: that is said, and is a failure only with `--required`, as in the weekly
workflow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
# The package index's own, and the Open Source Vulnerabilities database.
SERVICES = ("pypi", "osv")


def ask(service: str) -> list[dict[str, object]]:
    """The packages that a database knows, with their vulnerabilities; none if it is not reached."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "-r",
        str(LOCK),
        "--require-hashes",
        "--disable-pip",
    ]
    command += ["--vulnerability-service", service, "--progress-spinner", "off", "-f", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return []
    return [package for package in answer if "vulns" in package]


def main(arguments: list[str], ask: Callable[[str], list[dict[str, object]]] = ask) -> int:
    """Audit with the first database that answers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--required", action="store_true", help="fail if no database is reached")
    required = parser.parse_args(arguments).required
    for service in SERVICES:
        known = ask(service)
        if not known:
            continue
        bad = [package for package in known if package["vulns"]]
        for package in bad:
            print(f"{package['name']} {package['version']}: {json.dumps(package['vulns'])}")
        print(
            f"{len(known)} packages audited with {service}: {len(bad)} have known vulnerabilities."
        )
        return int(bool(bad))
    print(f"Nothing was audited: none of {', '.join(SERVICES)} could be reached.", file=sys.stderr)
    return int(required)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
