# shellcheck shell=bash disable=SC2034  # variables set here are used there
# Sourced by the sweeps beside it. A grid consists of words KEY=VALUE,... of config keys, such as
# quality=5,15 optimizer.name=adam,muon: a network for each quality and combination of settings.

parse_grid() { # WORD ...: sets the arrays keys, qualities, settings ("KEY=VALUE ...") and overrides
  keys=(quality) qualities=() settings=("") overrides=()
  local word values value setting grown
  for word in "$@"; do
    if [[ "$word" == --* ]]; then
      overrides+=("$word")
      continue
    fi
    if [[ ! "$word" =~ ^[A-Za-z_][A-Za-z_0-9.]*=[^,[:space:]]+(,[^,[:space:]]+)*$ ]]; then
      echo "$word: expected KEY=VALUE,... without spaces, or --config.KEY=VALUE" >&2
      exit 2
    fi
    IFS=, read -ra values <<<"${word#*=}"
    if [[ "$word" == quality=* ]]; then
      qualities=("${values[@]}")
      continue
    fi
    keys+=("${word%%=*}") grown=()
    for setting in "${settings[@]}"; do
      for value in "${values[@]}"; do
        grown+=("${setting:+$setting }${word%%=*}=$value")
      done
    done
    settings=("${grown[@]}")
  done
}

# Trains the network for a quality and a setting, from that for START with the same setting.
train_one() { # FUNCTION QUALITY SETTING [OVERRIDE ...]
  local begin=() words
  read -ra words <<<"$3"
  if [ "$2" = "$START" ]; then
    begin=(--config.initial_weights=)
  elif [ "$START" != none ]; then
    begin=("--config.initial_weights=$(workdir_of "$START" "$3")")
  fi
  # shellcheck disable=SC2059  # the config is a format on purpose
  "$1" --config="$(printf "$CONFIG" "$2")" --workdir="$(workdir_of "$2" "$3")" \
    --config.quality="$2" "${begin[@]}" "${words[@]/#/--config.}" "${@:4}"
}

workdir_of() { # QUALITY SETTING
  local setting="${2// /-}"
  echo "$RUNS/qf$1${setting:+-${setting//[^A-Za-z0-9._=+-]/_}}"
}
