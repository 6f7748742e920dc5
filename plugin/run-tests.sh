#!/bin/bash
# Runs the plugin's tests on Python 2.7, 3.6 and the current python3, as far as they are found on PATH
# or in pyenv's folder. Ends with the line "N passed, N failed".
cd "$(dirname "$0")" || exit 1

works() { "$1" -c 'import sys; sys.exit(0)' >/dev/null 2>&1; }

version_of() { "$1" -c 'import platform; print(platform.python_version())'; }

# The newest of that version that really runs (a shim of pyenv on PATH may not).
find_python() {
  local found
  for found in "$(command -v "python$1")" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
    if [ -n "$found" ] && works "$found"; then echo "$(version_of "$found") $found"; fi
  done | sort -V | tail -n 1 | cut -d ' ' -f 2-
}

logs=$(mktemp -d) || exit 1
end() {
  trap - EXIT
  # shellcheck disable=SC2046
  kill $(jobs -p) 2>/dev/null
  wait
  rm -rf "$logs"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# All at the same time: much of the tests' time is waiting.
seen=' '
for wanted in 2.7 3.6 3; do
  python=$(find_python "$wanted")
  if [ -z "$python" ]; then echo "python$wanted: not found, not tested"; continue; fi
  version=$(version_of "$python")
  case $seen in *" $version "*) continue ;; esac
  seen="$seen$version "
  echo "python $version ($python)"
  "$python" tests/run.py >"$logs/$version.counts" 2>"$logs/$version.log" &
done
if [ "$seen" = ' ' ]; then
  echo 'no Python found'
  echo '0 passed, 1 failed'
  exit 1
fi
wait

passed=0 failed=0
for version in $seen; do
  cat "$logs/$version.log" >&2
  read -r good bad <<<"$(tail -n 1 "$logs/$version.counts")"
  # Without counts it has not come to its end.
  : "${good:=0}" "${bad:=1}"
  echo "python $version: $good passed, $bad failed"
  passed=$((passed + good)) failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
