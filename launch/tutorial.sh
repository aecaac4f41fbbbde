#!/usr/bin/env bash
# Runs the tutorial, docs/tutorial.ipynb, and makes the page docs/tutorial.md of it, with what it
# prints and draws: five minutes on two CPU cores.
#
#   bash launch/tutorial.sh
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
rm -rf docs/figures/tutorial
exec python -m nbconvert --execute --to markdown docs/tutorial.ipynb \
  --template-file=launch/tutorial.md.j2 \
  --NbConvertApp.output_files_dir=figures/tutorial "$@"
