#!/bin/bash
# npm run test:glance [-- vitest arguments]: the tests of this folder against a real Glance, installed and started
# here and stopped again whatever happens. A second one, small and impatient, is for the limits.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/node_modules/.bin:$PATH"
server=test/glance/server.sh

dir=$(mktemp -d)
cleanup() {
  wait # for a server that is still starting, so that it can be stopped
  $server stop "$dir/main"
  $server stop "$dir/limited"
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

$server install
$server start "$dir/main" >"$dir/main.url" &
main=$!
# The same limits stand in test/glance/contract/target.ts.
GLANCE_SIZE_CAP_BYTES=1048576 GLANCE_QUOTA_BYTES=1572864 GLANCE_SOCKET_TIMEOUT_SECONDS=2 \
  $server start "$dir/limited" >"$dir/limited.url" &
limited=$!
wait "$main"
wait "$limited"
XENSNAP_GLANCE_URL=$(cat "$dir/main.url")
XENSNAP_GLANCE_LIMITED_URL=$(cat "$dir/limited.url")
export XENSNAP_GLANCE_URL XENSNAP_GLANCE_LIMITED_URL
echo "A real Glance answers at $XENSNAP_GLANCE_URL, one with limits at $XENSNAP_GLANCE_LIMITED_URL"

vitest run --config test/glance/vitest.config.ts "$@"
