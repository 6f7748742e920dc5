#!/bin/bash
# npm run test:aws [-- vitest arguments]: the tests of this folder against AWS as others have rebuilt it. They need
# Python's moto, whose server is started here and stopped again whatever happens, and cfn-lint: those of PATH's python3,
# else of a venv that is made once, out of PyPI, in the user's cache.
#
# For the tests: XENSNAP_MOTO_URL is where moto answers; XENSNAP_MOTO_BACK_PORT the port of 127.0.0.1 at which its Step
# Functions look for Lambda and SQS, where a test listens; XENSNAP_AWS_PYTHON the interpreter that has both.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/node_modules/.bin:$PATH"
# moto's Step Functions, and with it the events that are compared, are this version's.
moto='moto[dynamodb,secretsmanager,server,sqs,stepfunctions]==5.2.1'
cfn_lint='cfn-lint==1.51.0'

fail() {
  echo "test/aws/run.sh: $1" >&2
  exit 1
}

has_both() {
  "$1" -c 'import importlib.util as of, sys
wanted = "moto", "moto.server", "flask", "flask_cors", "antlr4", "jsonpath_ng", "py_partiql_parser", "cfnlint"
sys.exit(not all(map(of.find_spec, wanted)))' 2>/dev/null
}

# Prints the interpreter.
find_python() {
  local venv=${XDG_CACHE_HOME:-$HOME/.cache}/xensnap/aws-tests-$moto-$cfn_lint
  command -v python3 >/dev/null || fail 'Python 3 is missing'
  if has_both python3; then
    command -v python3
    return
  fi
  if ! has_both "$venv/bin/python3"; then
    echo "Installing $moto and $cfn_lint into $venv" >&2
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 &&
      "$venv/bin/pip" install --quiet --disable-pip-version-check "$moto" "$cfn_lint" >&2 &&
      has_both "$venv/bin/python3" || {
      rm -rf "$venv"
      fail "$(command -v python3) lacks moto's server or cfn-lint, and a venv with both could not be made out of PyPI (which takes python3-venv, too): pip install '$moto' '$cfn_lint'"
    }
  fi
  echo "$venv/bin/python3"
}

python=$(find_python)
dir=$(mktemp -d)
server=''
cleanup() {
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

read -r port back <<<"$("$python" -c '
import socket
sockets = [socket.socket() for _ in range(2)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))')"
# Nothing of the user's own AWS: no profile, no credentials, no proxy.
env -i PATH="$PATH" HOME="$dir" TMPDIR="${TMPDIR:-/tmp}" MOTO_PORT="$back" \
  "$python" test/aws/moto_server.py -H 127.0.0.1 -p "$port" >"$dir/moto.log" 2>&1 </dev/null &
server=$!
# Without this, moto makes executions that do nothing.
"$python" - "http://127.0.0.1:$port/moto-api/config" <<'PYTHON' || { tail -n 20 "$dir/moto.log" >&2; fail 'moto did not start within a minute'; }
import sys, time, urllib.request
wanted = b'{"stepfunctions": {"execute_state_machine": true}}'
ask = urllib.request.Request(sys.argv[1], wanted, {'Content-Type': 'application/json'}, method='POST')
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for _ in range(300):
    try:
        direct.open(ask, timeout=5).read()
        sys.exit(0)
    except OSError:
        time.sleep(0.2)
sys.exit(1)
PYTHON
"$python" -c '
import sys, importlib.metadata as of
print("moto", of.version("moto"), "and cfn-lint", of.version("cfn-lint"), "under Python", sys.version.split()[0])'
echo "moto answers at http://127.0.0.1:$port"

export XENSNAP_MOTO_URL="http://127.0.0.1:$port" XENSNAP_MOTO_BACK_PORT=$back XENSNAP_AWS_PYTHON=$python
vitest run --config test/aws/vitest.config.ts "$@" || {
  status=$?
  grep -A 20 '^Traceback' "$dir/moto.log" | tail -n 60 >&2 || true
  exit "$status"
}
