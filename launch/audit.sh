#!/usr/bin/env bash
# Looks all installed packages up in PyPI's database of known vulnerabilities, by pip-audit.
# Fails if there are any, or if one cannot be looked up.
#
#   bash launch/audit.sh [OPTION OF pip-audit ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
python -m pip install --quiet --disable-pip-version-check pip-audit
exec pip-audit --requirement <(python -m pip freeze --exclude-editable) --disable-pip --no-deps \
  --strict "$@"
