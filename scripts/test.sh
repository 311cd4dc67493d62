#!/usr/bin/env bash
# Set up, then run every check: format, lint, types, layers, tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh

# Two processes of one thread each: faster on two cores than one process of two.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
.venv/bin/lint-imports
.venv/bin/python -m pytest -n 2 --dist worksteal "$@"
