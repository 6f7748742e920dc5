# For the scripts beside it, which source this: servers out of Debian's packages, each with all its files in one folder.

# Debian's own interpreter: another python may come first in PATH and lacks the packages.
python=/usr/bin/python3

fail() {
  echo "test/glance/$(basename "$0"): $1" >&2
  exit 1
}

# install_packages PACKAGE…: those that are missing
install_packages() {
  local package missing=() log
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ "${#missing[@]}" -eq 0 ]; then return; fi
  command -v apt-get >/dev/null || fail "${missing[*]} are installed with apt-get, which this system lacks"
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

free_port() {
  $python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

healthy() {
  $python -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "$1" 2>/dev/null
}

# serve DIR NAME URL PATH COMMAND…: runs it, which must be one process, and prints URL once URL/PATH answers
serve() {
  local dir=$1 name=$2 url=$3 path=$4
  shift 4
  setsid "$@" >"$dir/server.out" 2>&1 </dev/null &
  local pid=$!
  echo "$pid" >"$dir/pid"
  for _ in $(seq 300); do
    if healthy "$url$path"; then
      echo "$url"
      return
    fi
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n 20 "$dir"/server.out "$dir"/*.log >&2 || true
      fail "$name ended while it started"
    fi
    sleep 0.2
  done
  stop "$dir"
  fail "$name did not listen within a minute"
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

# main ARGUMENT…: of the script that sources this
main() {
  case "${1:-} $#" in
    'install 1') install ;;
    'start 2') mkdir -p "$2" && start "$(cd "$2" && pwd)" ;;
    'stop 2') stop "$2" ;;
    *) fail "usage: $(basename "$0") install | start DIR | stop DIR" ;;
  esac
}
