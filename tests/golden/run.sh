#!/bin/sh
# run.sh FILE: runs the lines of FILE that say `# RUN: COMMAND`, with NNC and FILECHECK from the environment for `nnc` and
# `FileCheck`; %s is the file, named from the root of the tree, and %t begins the names of files that are gone afterwards.
set -eu
cd "$(dirname "$0")/../.."
nnc() { "$NNC" "$@"; }
FileCheck() { "$FILECHECK" "$@"; }
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
sed -n -e "s|%s|$1|g" -e "s|%t|$temporary/t|g" -e 's/^# RUN: *//p' "$1" >"$temporary/commands"
[ -s "$temporary/commands" ] || { echo "$1: no RUN line"; exit 1; }
while read -r command; do
  echo "$command"
  eval "$command"
done <"$temporary/commands"
