#!/bin/bash
# npm run test:glance [-- vitest arguments]: the tests of this folder against a real Glance, installed and started
# here and stopped again whatever happens. A second one, small and impatient, is for the limits; a third one asks a
# real Keystone who its callers are.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/node_modules/.bin:$PATH"
server=test/glance/server.sh
keystone=test/glance/keystone.sh

dir=$(mktemp -d)
cleanup() {
  wait # for a server that is still starting, so that it can be stopped
  $server stop "$dir/main"
  $server stop "$dir/limited"
  $server stop "$dir/guarded"
  $keystone stop "$dir/keystone"
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

$server install
$keystone install
$server start "$dir/main" >"$dir/main.url" &
main=$!
# The same limits stand in test/glance/contract/target.ts.
GLANCE_SIZE_CAP_BYTES=1048576 GLANCE_QUOTA_BYTES=1572864 GLANCE_SOCKET_TIMEOUT_SECONDS=2 \
  $server start "$dir/limited" >"$dir/limited.url" &
limited=$!
{
  $keystone start "$dir/keystone" >"$dir/keystone.url"
  GLANCE_KEYSTONE_URL=$(cat "$dir/keystone.url") $server start "$dir/guarded" >"$dir/guarded.url"
} &
guarded=$!
wait "$main"
wait "$limited"
wait "$guarded"
XENSNAP_GLANCE_URL=$(cat "$dir/main.url")
XENSNAP_GLANCE_LIMITED_URL=$(cat "$dir/limited.url")
XENSNAP_KEYSTONE_URL=$(cat "$dir/keystone.url")
XENSNAP_GLANCE_GUARDED_URL=$(cat "$dir/guarded.url")
export XENSNAP_GLANCE_URL XENSNAP_GLANCE_LIMITED_URL XENSNAP_KEYSTONE_URL XENSNAP_GLANCE_GUARDED_URL
echo "A real Glance answers at $XENSNAP_GLANCE_URL, one with limits at $XENSNAP_GLANCE_LIMITED_URL"
echo "A real Keystone answers at $XENSNAP_KEYSTONE_URL, and a Glance that asks it at $XENSNAP_GLANCE_GUARDED_URL"

vitest run --config test/glance/vitest.config.ts "$@"
