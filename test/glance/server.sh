#!/bin/bash
# A real Glance (Debian's python3-glance) on loopback, with sqlite and a filesystem store; and the openstack command.
#
#   server.sh install      installs the packages that are missing (needs root; some minutes, 300 MB)
#   server.sh start DIR    starts one whose files all lie in DIR, and prints its URL
#   server.sh stop DIR     stops it; the files stay
#
# GLANCE_PORT=N  GLANCE_SIZE_CAP_BYTES=N  GLANCE_QUOTA_BYTES=N  GLANCE_SOCKET_TIMEOUT_SECONDS=N
# Every caller is an administrator without a project: there is no Keystone.
set -euo pipefail

# Debian's own interpreter: another python may come first in PATH and lacks the package.
python=/usr/bin/python3

fail() {
  echo "test/glance/server.sh: $1" >&2
  exit 1
}

# python3-glance alone: the package glance-api would bring a daemon and questions.
packages=(python3-glance python3-openstackclient)

install() {
  local package missing=() log
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ "${#missing[@]}" -eq 0 ]; then return; fi
  command -v apt-get >/dev/null || fail "a real Glance is installed with apt-get, which this system lacks"
  [ "$(id -u)" = 0 ] || fail "packages are missing: run 'apt-get install ${missing[*]}' as root, then try again"
  echo "Installing ${missing[*]} from Debian's packages; this takes some minutes" >&2
  log=$(mktemp)
  if ! { apt-get update -qq -o DPkg::Lock::Timeout=300 &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      -o DPkg::Lock::Timeout=300 "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    fail "${missing[*]} could not be installed"
  fi
  rm -f "$log"
}

configure() {
  local dir=$1 port=$2
  mkdir -p "$dir"/{images,staging,tasks,lock}
  echo '{}' >"$dir/policy.yaml"
  cat >"$dir/glance-api.conf" <<CONF
[DEFAULT]
bind_host = 127.0.0.1
bind_port = $port
workers = 0
log_file = $dir/glance-api.log
image_size_cap = ${GLANCE_SIZE_CAP_BYTES:-1099511627776}
user_storage_quota = ${GLANCE_QUOTA_BYTES:-0}
client_socket_timeout = ${GLANCE_SOCKET_TIMEOUT_SECONDS:-900}
enabled_backends = fs:file
[database]
connection = sqlite:///$dir/glance.sqlite
sqlite_synchronous = False
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = $dir/images
[os_glance_staging_store]
filesystem_store_datadir = $dir/staging
[os_glance_tasks_store]
filesystem_store_datadir = $dir/tasks
[oslo_concurrency]
lock_path = $dir/lock
[oslo_policy]
policy_file = $dir/policy.yaml
[paste_deploy]
config_file = $dir/paste.ini
CONF
  # Debian ships the pipelines in glance-common, which is not installed.
  cat >"$dir/paste.ini" <<'CONF'
[pipeline:glance-api]
pipeline = healthcheck versionnegotiation unauthenticated-context root
[composite:root]
paste.composite_factory = glance.api:root_app_factory
/: versions
/v2: v2
[app:versions]
paste.app_factory = glance.api.versions:create_resource
[app:v2]
paste.app_factory = glance.api.v2.router:API.factory
[filter:healthcheck]
paste.filter_factory = oslo_middleware:Healthcheck.factory
path = /healthcheck
[filter:versionnegotiation]
paste.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory
[filter:unauthenticated-context]
paste.filter_factory = glance.api.middleware.context:UnauthenticatedContextMiddleware.factory
CONF
}

healthy() {
  $python -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' \
    "http://127.0.0.1:$1/healthcheck" 2>/dev/null
}

start() {
  local dir=$1 port=${GLANCE_PORT:-0}
  install
  if [ "$port" = 0 ]; then
    port=$($python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  fi
  configure "$dir" "$port"
  if [ ! -s "$dir/glance.sqlite" ]; then
    $python -c 'from glance.cmd.manage import main; main()' --config-file "$dir/glance-api.conf" db sync \
      >"$dir/db-sync.log" 2>&1 || { tail -n 20 "$dir/db-sync.log" >&2; fail "the database could not be made"; }
  fi
  # workers = 0 above: one process, so that this id is the server's.
  setsid $python -c 'from glance.cmd.api import main; main()' --config-file "$dir/glance-api.conf" \
    >"$dir/glance-api.out" 2>&1 </dev/null &
  local pid=$!
  echo "$pid" >"$dir/pid"
  for _ in $(seq 300); do
    if healthy "$port"; then
      echo "http://127.0.0.1:$port"
      return
    fi
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n 20 "$dir/glance-api.out" "$dir/glance-api.log" >&2 || true
      fail "Glance ended while it started"
    fi
    sleep 0.2
  done
  stop "$dir"
  fail "Glance did not listen within a minute"
}

stop() {
  local dir=$1 pid
  [ -s "$dir/pid" ] || return 0
  pid=$(cat "$dir/pid")
  rm -f "$dir/pid"
  kill -TERM "$pid" 2>/dev/null || return 0
  for _ in $(seq 50); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

case "${1:-} $#" in
  'install 1') install ;;
  'start 2') mkdir -p "$2" && start "$(cd "$2" && pwd)" ;;
  'stop 2') stop "$2" ;;
  *) fail "usage: server.sh install | start DIR | stop DIR" ;;
esac
