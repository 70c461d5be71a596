#!/bin/sh
# Resolve pyproject.toml into requirements.lock: every package, exact version, hashes, no addresses.
# Needs uv (pip install uv); `make lock` calls this.
set -eu
cd "$(dirname "$0")/.."
uv pip compile --universal --python-version 3.11 --all-extras --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
  pyproject.toml -o requirements.lock "$@"
python3 scripts/environment.py
