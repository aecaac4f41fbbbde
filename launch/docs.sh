#!/usr/bin/env bash
# Builds the documentation into site/; any warning is an error. Arguments are passed to MkDocs.
#
#   bash launch/docs.sh
#   bash launch/docs.sh --site-dir /tmp/site
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec python -m mkdocs build --strict "$@"
