# Functions for .ci/run: runs suites one after the other, adds up what they say, and sees to it that nothing of them
# lives on. Sourced; $passed and $failed hold the sums.
# shellcheck shell=bash
passed=0 failed=0

# Every suite keeps its files below, and so every process of it can be told by its environment.
begin() {
  TMPDIR=$(mktemp -d /tmp/ci.XXXXXX) || exit 1
  export TMPDIR
  trap end EXIT
  trap 'failed=$((failed + 1)); exit' INT TERM HUP
}

# suite NAME SECONDS COMMAND...: runs it with a time limit, and counts its last line "N passed, N failed", or one test
# by its exit status where there is none. A suite that fails without saying of what counts as one more failure.
suite() {
  local name=$1 seconds=$2 started=$SECONDS log=$TMPDIR/log pid status counts good=0 bad=0
  shift 2
  echo "=== $name: $*"
  # Into a file: a pipe would be held open by what the suite leaves running. Waited for, so that signals are heard.
  : >"$log"
  timeout --kill-after=10 "$seconds" "$@" </dev/null >"$log" 2>&1 &
  pid=$!
  tail -n +1 -s 0.2 -f --pid="$pid" "$log" | abbreviate &
  wait $!
  wait "$pid"
  status=$?
  counts=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -aoE '^[0-9]+ passed, [0-9]+ failed' | tail -n 1)
  if [ -n "$counts" ]; then read -r good _ bad _ <<<"$counts"; elif [ "$status" -eq 0 ]; then good=1; fi
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  if [ "$status" -eq 124 ]; then echo "$name took longer than $seconds seconds"; fi
  echo "=== $name: $good passed, $bad failed, in $((SECONDS - started)) seconds (exit $status)"
  passed=$((passed + good)) failed=$((failed + bad))
  end_leftovers "$name"
}

# Leaves out the tests that passed, and the files of them, and all colours.
abbreviate() {
  sed -u 's/\x1b\[[0-9;]*m//g' | grep -a --line-buffered -vE '^ *✓ '
}

# Ends the processes that a suite has left running, each by its id; there ought to be none.
end_leftovers() {
  local name=$1 pid found=''
  for pid in $(leftovers); do
    found=1
    echo "$name left this running: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c 1-200)"
    kill -KILL "$pid" 2>/dev/null
  done
  if [ -n "$found" ]; then failed=$((failed + 1)); fi
}

# The ids of the processes that were started with $TMPDIR in their environment, this shell aside. An end may take a
# moment: what is gone after five seconds was not left.
leftovers() {
  local try ids files
  for try in 1 2 3 4 5 6; do
    files=(/proc/[0-9]*/environ) # listed first, so that what looks into them is not among them
    ids=$(grep -alsF "$TMPDIR" "${files[@]}" | tr -dc '0-9\n' | grep -vx $$)
    if [ -z "$ids" ]; then return; fi
    if [ "$try" -lt 6 ]; then sleep 1; fi
  done
  echo "$ids"
}

# Tidies up and says the sum, last of all.
end() {
  trap - EXIT
  local pid
  for pid in $(leftovers); do kill -KILL "$pid" 2>/dev/null; done
  rm -rf "$TMPDIR"
  if [ "$((passed + failed))" -eq 0 ]; then failed=1; fi
  echo "$passed passed, $failed failed"
  if [ "$failed" -eq 0 ]; then exit 0; fi
  exit 1
}
