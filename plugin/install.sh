#!/bin/bash
# Installs the plugin on hosts of a pool, or removes it; see --help.
set -u

usage() {
  cat <<'TEXT'
Usage: plugin/install.sh [options] HOST...

Copies xensnap's plugin to each host as /etc/xapi.d/plugins/glance, mode 0755, with the
interpreter that the host has, and proves it with `xe host-call-plugin ... fn=version`.
A plugin that does not answer is taken away again, and the one before it is put back.
Needs ssh here, and root there. HOST is what ssh takes, also USER@HOST.

  --replace            overwrite a plugin of that name that is not xensnap's (Nova's, say)
  --uninstall          remove the plugin and its state on the host; refused while it uploads
  --user NAME          log in as NAME; root unless given
  --port N             ssh's port
  --identity FILE      ssh's key
  --ssh-option OPTION  passed on as -o OPTION; may be repeated
  --help

Exit status: 0; 1 when a host failed (the others are done all the same); 2 for wrong use.
TEXT
}

misuse() {
  echo "install.sh: $1 (--help tells how)" >&2
  exit 2
}

action=install replace=no user=root hosts=()
options=(-o ConnectTimeout=20)
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage && exit 0 ;;
    --uninstall) action=uninstall ;;
    --replace) replace=yes ;;
    --user | --port | --identity | --ssh-option)
      [ $# -ge 2 ] || misuse "$1 needs a value"
      case $1 in
        --user) user=$2 ;;
        --port) options+=(-p "$2") ;;
        --identity) options+=(-i "$2") ;;
        --ssh-option) options+=(-o "$2") ;;
      esac
      shift
      ;;
    --)
      shift
      hosts+=("$@")
      break
      ;;
    -*) misuse "$1 is not known" ;;
    *) hosts+=("$1") ;;
  esac
  shift
done
[ "${#hosts[@]}" -gt 0 ] || misuse 'name a host at least'
# ssh would take it for an option.
for host in "${hosts[@]}"; do case $host in -* | '') misuse "\"$host\" is no host" ;; esac done

plugin=$(dirname "$0")/glance
version=$(sed -n "s/^VERSION = '\(.*\)'\$/\1/p" "$plugin") || exit 1
command -v ssh >/dev/null || { echo 'install.sh: ssh is not installed here' >&2 && exit 1; }

# What a host does, in any sh; the plugin comes on its standard input. The variable leads to a simulated dom0.
remote=$(
  cat <<'SCRIPT'
root=${XENSNAP_DOM0_ROOT:-}
folder=$root/etc/xapi.d/plugins file=$root/etc/xapi.d/plugins/glance

fail() {
  echo "$1" >&2
  exit 1
}

is_ours() { grep -q "xensnap's plugin" "$file"; }

find_python() {
  for name in python3 python2.7 python2 python; do
    found=$(command -v "$name") &&
      "$found" -c 'import sys; sys.exit(not ((2, 7) == sys.version_info[:2] or sys.version_info >= (3, 6)))' 2>/dev/null &&
      echo "$found" && return
  done
}

# The answer of xapi, which executes the file that is there now.
prove() {
  xe=$(command -v xe || echo /opt/xensource/bin/xe)
  "$xe" host-call-plugin "host-uuid=$uuid" plugin=glance fn=version 2>&1
}

install_it() {
  if [ -e "$file" ] && ! is_ours && [ "$replace" = no ]; then
    fail "$file is not xensnap's (Nova's has that name, too); --replace overwrites it"
  fi
  python=$(find_python)
  [ -n "$python" ] || fail 'there is no Python 2.7, nor 3.6 or later'
  new=$(mktemp "$folder/.glance.XXXXXX") || fail "cannot write to $folder"
  old=$new.old
  trap 'rm -f "$new" "$old"' EXIT
  if ! { echo "#!$python" && tail -n +2 && chmod 0755 "$new"; } >"$new"; then fail "cannot write to $folder"; fi
  before=none
  if [ -e "$file" ]; then
    cp -p "$file" "$old" || fail "cannot write to $folder"
    before=kept
    cmp -s "$file" "$new" && [ -x "$file" ] && before=same
  fi
  mv -f "$new" "$file" || fail "cannot write $file"
  answer=$(prove)
  case $answer in
    *"\"version\": \"$version\""*) ;;
    *)
      if [ "$before" = none ]; then rm -f "$file"; else mv -f "$old" "$file"; fi
      fail "the plugin did not answer and was taken away again; xe said: $answer"
      ;;
  esac
  [ "$before" = same ] && was='was there already' || was=installed
  echo "glance $version $was, runs with $python, and answers"
}

uninstall_it() {
  if [ ! -e "$file" ]; then
    done='no plugin was there'
  else
    is_ours || fail "$file is not xensnap's, and stays"
    for lock in "$root"/var/run/xensnap/*.lock; do
      if [ -e "$lock" ] && ! (flock -n 9) 9<"$lock"; then
        fail "an upload is running; cancel its job, or wait"
      fi
    done
    rm -f "$file" || fail "cannot remove $file"
    done='glance removed'
  fi
  rm -rf "$root/var/run/xensnap"
  echo "$done"
  # Of the first version of the plugin: links to disks, which no machine removes.
  for left in "$root"/var/run/sr-mount/*/"xensnap-staging-$uuid-"*; do
    if [ -d "$left" ]; then echo "left: $left (remove it once no upload of its job runs)"; fi
  done
}

[ -d "$folder" ] || fail "$folder is missing: this is no host of a XenServer or XCP-ng pool"
[ -w "$folder" ] || fail "$folder cannot be written: log in as root"
uuid=$(sed -n "s/^INSTALLATION_UUID='\{0,1\}\([0-9a-fA-F-]\{36\}\)'\{0,1\} *\$/\1/p" "$root/etc/xensource-inventory")
[ -n "$uuid" ] || fail "$root/etc/xensource-inventory has no INSTALLATION_UUID"
"${action}_it"
SCRIPT
)

failed=0
for host in "${hosts[@]}"; do
  case $host in *@*) target=$host ;; *) target=$user@$host ;; esac
  # As sh's argument, so that it does not matter which shell the login has.
  command="action=$action replace=$replace version=$version
$remote"
  quoted=$(printf '%s' "$command" | sed "s/'/'\\\\''/g")
  # shellcheck disable=SC2029
  output=$(ssh "${options[@]}" "$target" "exec sh -c '$quoted'" <"$plugin" 2>&1)
  status=$?
  [ "$status" -ne 255 ] || output="ssh could not log in as $target: $output"
  while IFS= read -r line; do
    if [ "$status" -eq 0 ]; then echo "$host: $line"; else echo "$host: $line" >&2; fi
  done <<<"$output"
  [ "$status" -eq 0 ] || failed=1
done
exit "$failed"
