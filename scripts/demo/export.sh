#!/usr/bin/env bash
# Prints the export of a hospital: hamburg, lyon or leeds. The rows are those of scripts/data/hospital_pancreatitis, the
# larger of its files cut in two, so that none of the three is as small as the third one.
#
#   scripts/demo/export.sh hamburg > rows.csv
#   scripts/demo/export.sh hamburg 1 > first-half.csv      every other patient; 2: the others
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../data/hospital_pancreatitis"
case ${1-} in
    hamburg) cat party1.csv ;;
    lyon) sed -n 1,181p party2.csv ;;
    leeds) sed -e 1b -e 2,181d party2.csv; sed 1d party3.csv ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac | LC_ALL=C awk -v hospital="$1" -v half="${2-0}" -f ../../demo/exports.awk
