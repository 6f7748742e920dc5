#!/bin/bash
# A real Keystone (Debian's python3-keystone) on loopback, with sqlite.
#
#   keystone.sh install      installs the package if it is missing (needs root)
#   keystone.sh start DIR    starts one whose files all lie in DIR, and prints its URL
#   keystone.sh stop DIR     stops it; the files stay
#
# User and password of its administrator, who has the project `admin`, are admin and admin.
set -euo pipefail
. "$(dirname "$0")/debian.sh"

install() {
  install_packages python3-keystone python3-keystonemiddleware
}

configure() {
  local dir=$1
  mkdir -p "$dir"/{fernet-keys,credential-keys}
  chmod 700 "$dir"/{fernet-keys,credential-keys}
  echo '{}' >"$dir/policy.yaml"
  cat >"$dir/keystone.conf" <<CONF
[DEFAULT]
log_file = $dir/keystone.log
[database]
connection = sqlite:///$dir/keystone.sqlite
sqlite_synchronous = False
[fernet_tokens]
key_repository = $dir/fernet-keys
[credential]
key_repository = $dir/credential-keys
[identity]
# The least: its own 12 take a second for each login on a busy machine.
password_hash_rounds = 4
[oslo_policy]
policy_file = $dir/policy.yaml
CONF
  # Below uWSGI it would be the same; this needs no package more. Readers do not wait for a writer (WAL).
  cat >"$dir/serve.py" <<'PYTHON'
import os
import sqlite3
import sys

folder, port = sys.argv[1], int(sys.argv[2])
sys.argv[1:] = []
os.environ['OS_KEYSTONE_CONFIG_FILES'] = folder + '/keystone.conf'
with sqlite3.connect(folder + '/keystone.sqlite') as database:
    database.execute('PRAGMA journal_mode=WAL')
from keystone.server.wsgi import initialize_public_application
from werkzeug.serving import run_simple
run_simple('127.0.0.1', port, initialize_public_application(), threaded=True)
PYTHON
}

manage() {
  local dir=$1
  shift
  $python -c 'from keystone.cmd.manage import main; main()' --config-file "$dir/keystone.conf" "$@" \
    >>"$dir/manage.log" 2>&1 || { tail -n 20 "$dir/manage.log" >&2; fail "keystone-manage $1 failed"; }
}

start() {
  local dir=$1 port
  install
  port=$(free_port)
  configure "$dir"
  if [ ! -s "$dir/keystone.sqlite" ]; then
    manage "$dir" fernet_setup --keystone-user "$(id -un)" --keystone-group "$(id -gn)"
    manage "$dir" db_sync
  fi
  # The middleware of other services looks for the internal endpoint.
  manage "$dir" bootstrap --bootstrap-password admin \
    --bootstrap-public-url "http://127.0.0.1:$port/v3" --bootstrap-internal-url "http://127.0.0.1:$port/v3"
  serve "$dir" Keystone "http://127.0.0.1:$port" /v3 $python "$dir/serve.py" "$dir" "$port"
}

main "$@"
