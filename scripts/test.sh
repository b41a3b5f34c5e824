#!/usr/bin/env bash
# Usage: bash scripts/test.sh [pytest arguments]
#
# Creates .venv (once), then runs the linter, the type checker, the import rules, the check of
# wording (scripts/style.txt) and all tests.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" requirements-dev.txt

cd "$repository"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
"$repository/.venv/bin/lint-imports" --no-logo
"$PYTHON" scripts/check_style.py
# Three at a time even on two cores: tests wait for the disk and for processes that they start.
"$PYTHON" -m pytest --numprocesses 3 --dist worksteal "$@"
