#!/usr/bin/env bash
# Scores other methods and ours on LIVE1, luma at quality 10, 20 and 40, and colour at 10 and 40
# where supported, and makes the table and the figure of docs/peers.md.
# The same command resumes where an earlier one stopped.
#
#   apt-get install jpegqs ffmpeg libomp5 libvulkan1
#   EXTRAS=peers bash launch/peers.sh [FOLDER ...]    # folders with further results to show
#
# One picture at a time, so that each is timed on its own. Tools that are not installed are reported
# and skipped. Environment variables:
#   RUNS     where the results go; default runs/peers
#   ARCNN    folder with arcnn_q10.mat, arcnn_q20.mat and arcnn_q40.mat, AR-CNN's released weights
#   METHODS  the methods to score; default: all
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
RUNS="${RUNS:-runs/peers}"
METHODS="${METHODS:-jpegli jpegqs spp waifu2x sadct arcnn cascnn}"

evaluate() { # METHOD NAME [OPTION ...]
  local status=0
  python -m casjax.evaluate "$1" -o "$RUNS/$2" "${@:3}" || status=$?
  case "$status" in
  0 | 1) ;;
  2) echo "$2: left out" >&2 ;;
  *) exit "$status" ;;
  esac
}

for method in $METHODS; do
  case "$method" in
  jpegli)
    evaluate jpegli jpegli --qualities 10,20,40,90,94,97,100
    evaluate jpegli colour/jpegli --colour --qualities 10,40,90,94,97,100
    ;;
  jpegqs)
    jpegqs='command:jpegqs -i 0 -t 1 -q 6 {jpeg} {out.jpg}'
    evaluate "$jpegqs" jpegqs --name jpegqs --qualities 10,20,40
    evaluate "$jpegqs" colour/jpegqs --name jpegqs --colour --qualities 10,40
    ;;
  spp)
    # FFmpeg does not use the steps of a JPEG: these are the best of 2, 4, 6, 8, 12, 16, 24 and 32
    # on six images of BSDS500's train set.
    for quality_and_strength in 10:16 20:8 40:6; do
      quality="${quality_and_strength%:*}"
      spp="command:ffmpeg -v error -i {jpeg} -vf spp=quality=6:qp=${quality_and_strength#*:} -frames:v 1 {out}"
      evaluate "$spp" "spp-qf$quality" --name "FFmpeg spp" --qualities "$quality"
      if [ "$quality" != 20 ]; then
        evaluate "$spp" "colour/spp-qf$quality" --name "FFmpeg spp" --colour --qualities "$quality"
      fi
    done
    ;;
  waifu2x)
    evaluate waifu2x waifu2x --qualities 10,20,40
    evaluate waifu2x colour/waifu2x --colour --qualities 10,40
    ;;
  sadct) evaluate sadct sadct --qualities 10,20,40 ;;
  arcnn)
    for quality in 10 20 40; do
      evaluate "${ARCNN:-.}/arcnn_q$quality.mat" "arcnn-qf$quality"
    done
    ;;
  cascnn)
    for quality in 10 20 40; do
      evaluate "cascnn-qf$quality" "cascnn-qf$quality"
    done
    evaluate cascnn-colour colour/cascnn --colour --qualities 10,40
    ;;
  *)
    echo "METHODS: there is no $method" >&2
    exit 2
    ;;
  esac
done

python -m casjax.report.peers "$RUNS" "$@" -o docs/figures/peers --json docs/peers.json
python docs/tables.py
