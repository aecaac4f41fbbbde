#!/usr/bin/env bash
# Checks all installed packages against PyPI's database of known vulnerabilities, with pip-audit.
# Fails if any are found, or if a package cannot be looked up.
#
#   bash launch/audit.sh [OPTION OF pip-audit ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
python -m pip install --quiet --disable-pip-version-check pip-audit
exec pip-audit --requirement <(python -m pip freeze --exclude-editable) --disable-pip --no-deps \
  --strict "$@"
