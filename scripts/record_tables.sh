#!/usr/bin/env bash
# Copies the tables that a step printed into docs/proof, with the date. `./test --record STEP` calls it.
#
# usage: scripts/record_tables.sh STEP LOG
#
# A document has a line "Recorded on DATE by `./test STEP`:" and after an empty line the table. It is replaced by the last table in LOG
# whose first column has the same title. Tables that the log does not have stay, with their date.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step=${1:?a step is missing} log=${2:?a log is missing}
date=$(LC_ALL=C date +'%-d %B %Y')
for document in docs/proof/*.md; do
    awk -v step="$step" -v date="$date" '
        function close_table() {
            if (key in tables) printf "Recorded on %s by `./test %s`:\n\n%s", date, step, tables[key]
            else printf "%s\n\n%s", marker, old
            marker = old = ""
        }
        function title(row) { split(row, cells, "|"); gsub(/^ +| +$/, "", cells[2]); return cells[2] }

        # The log: remember each table by the title of its first column.
        FNR == NR {
            if (/^\|[-:| ]+\|$/ && before ~ /^\|/) { key = title(before); tables[key] = before "\n" $0 "\n"; inside = 1 }
            else if (inside && /^\|/) tables[key] = tables[key] $0 "\n"
            else inside = 0
            before = $0
            next
        }
        # The document: hold back a marker, and the table after it.
        marker == "" && index($0, "Recorded on ") == 1 && index($0, "by `./test " step "`:") { marker = $0; next }
        marker != "" && old == "" && $0 == "" { next }
        marker != "" && /^\|/ {
            if (old == "") key = title($0)
            old = old $0 "\n"
            next
        }
        marker != "" { close_table() }
        { print }
        END { if (marker != "") close_table() }
    ' "$log" "$document" >"$document.new"
    if cmp -s "$document" "$document.new"; then
        rm "$document.new"
    else
        mv "$document.new" "$document"
        echo "$document has the tables of this run."
    fi
done
