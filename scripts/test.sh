#!/usr/bin/env bash
# Usage: bash scripts/test.sh [pytest arguments]
#
# Sets up .venv (once), then runs the linter, the type checker, the import contract and all tests.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" requirements-dev.txt

cd "$repository"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
"$repository/.venv/bin/lint-imports" --no-logo
# Three at a time even on two cores, as tests wait for the disk and for processes that they start.
"$PYTHON" -m pytest --numprocesses 3 --dist worksteal "$@"
