#!/usr/bin/env bash
# The picture in the README: the timeline of a drill's report, from a run of scenarios/drills/web.yaml, as one SVG.
#
#   ci/picture.sh [REPORT.html]      of a report that is there, or of a run that is made now
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

width=860
inner=812

main() {
  local report="${1:-}" page timeline height
  if [[ -z $report ]]; then
    report="$(mktemp --suffix=.html)"
    page="$report"
    trap 'rm -f "$page"' EXIT
    cargo run --quiet -- run scenarios/drills/web.yaml --no-save --quiet --report "html=$report" >/dev/null
  fi
  timeline="$(grep -oP '<svg role="img" aria-label="Timeline.*?</svg>' "$report" | head -n 1)"
  height="$(grep -oP '^<svg [^>]*height="\K[0-9]+' <<<"$timeline")"
  write "$timeline" "$height" >docs/drill.svg
  printf 'picture.sh: docs/drill.svg\n'
}

write() {
  local about
  about="$(grep -oP '^<svg [^>]*aria-label="\K[^"]*' <<<"$1")"
  cat <<SVG
<svg xmlns="http://www.w3.org/2000/svg" width="$width" height="$(($2 + 110))" role="img" aria-label="$about">
<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #655d54; }
.name, .title { fill: #211d19; font-weight: 600; } .title { font-size: 16px; }
.grid { stroke: #e3dcd2; } .spell { fill: #fde8dc; } .fault { fill: #d9480f; }
.pending { fill: #8a5a00; opacity: .55; } .firing { fill: #bd1e2c; } .allowed { fill: #655d54; opacity: .35; }
.told { fill: #bd1e2c; stroke: #fff; stroke-width: 1.5; } .over { fill: #1b7a3d; }
.pass { fill: #e3f3e8; stroke: #1b7a3d; } .pass-word { fill: #1b7a3d; font-weight: 700; }
</style>
<rect x=".5" y=".5" width="$((width - 1))" height="$(($2 + 109))" rx="10" fill="#fff" stroke="#e3dcd2"/>
<rect class="pass" x="24" y="18" width="54" height="22" rx="5"/><text class="pass-word" x="34" y="34">PASS</text>
<text class="title" x="90" y="35">the service dies</text>
<svg x="24" y="60" width="$inner" height="$2">${1#*>}
$(legend "$(($2 + 92))")
</svg>
SVG
}

# What each colour is, beside one another.
legend() {
  local x=24 class word
  while read -r class word; do
    printf '<rect class="%s" x="%s" y="%s" width="14" height="10" rx="2"/>' "$class" "$x" "$(($1 - 9))"
    printf '<text x="%s" y="%s">%s</text>\n' "$((x + 20))" "$1" "$word"
    x=$((x + 44 + 7 * ${#word}))
  done <<'LEGEND'
fault broken
pending pending
firing firing
allowed when it may fire, and clear
told the pager is told
over and told that it is over
LEGEND
}

main "$@"
