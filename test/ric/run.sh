#!/bin/bash
# npm run test:ric [-- vitest arguments]: the bundles under AWS's own runtime interface client, with a small Runtime API
# of ours. The client has a native part, which is built once, in some minutes, in the user's cache; that takes autoconf,
# automake, libtool, cmake, make and g++. By hand: no other suite needs it.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/node_modules/.bin:$PATH"
version=4.0.2
client=${XDG_CACHE_HOME:-$HOME/.cache}/xensnap/aws-lambda-ric-$version

if [ ! -e "$client/done" ]; then
  for tool in autoreconf automake libtoolize cmake make g++; do
    command -v "$tool" >/dev/null || {
      echo "test/ric/run.sh: $tool is missing: apt-get install autoconf automake libtool cmake make g++" >&2
      exit 1
    }
  done
  echo "Building aws-lambda-ric $version in $client, which takes some minutes"
  rm -rf "$client"
  mkdir -p "$client"
  echo '{"private":true}' >"$client/package.json"
  npm install --prefix "$client" --no-audit --no-fund --loglevel=error "aws-lambda-ric@$version"
  touch "$client/done"
fi
echo "aws-lambda-ric $version on Node $(node --version)"
XENSNAP_RIC="$client/node_modules/aws-lambda-ric/index.mjs" vitest run --config test/ric/vitest.config.ts "$@"
