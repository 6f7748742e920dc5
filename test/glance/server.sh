#!/bin/bash
# A real Glance (Debian's python3-glance) on loopback, with sqlite and a filesystem store; and the openstack command.
#
#   server.sh install      installs the packages that are missing (needs root; some minutes, 300 MB)
#   server.sh start DIR    starts one whose files all lie in DIR, and prints its URL
#   server.sh stop DIR     stops it; the files stay
#
# GLANCE_PORT=N  GLANCE_SIZE_CAP_BYTES=N  GLANCE_QUOTA_BYTES=N  GLANCE_SOCKET_TIMEOUT_SECONDS=N
# GLANCE_KEYSTONE_URL=URL  asks that Keystone (keystone.sh) about each token, anew each time; without it every caller is
#                          an administrator without a project
set -euo pipefail
. "$(dirname "$0")/debian.sh"

# python3-glance alone: the package glance-api would bring a daemon and questions.
install() {
  install_packages python3-glance python3-openstackclient
}

configure() {
  local dir=$1 port=$2 identity=unauthenticated-context
  [ -z "${GLANCE_KEYSTONE_URL:-}" ] || identity='authtoken context'
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
[keystone_authtoken]
auth_type = password
auth_url = ${GLANCE_KEYSTONE_URL:-}
username = admin
password = admin
project_name = admin
user_domain_id = default
project_domain_id = default
service_type = image
token_cache_time = -1
CONF
  # Debian ships the pipelines in glance-common, which is not installed.
  cat >"$dir/paste.ini" <<CONF
[pipeline:glance-api]
pipeline = healthcheck versionnegotiation $identity root
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
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory
CONF
}

start() {
  local dir=$1 port=${GLANCE_PORT:-0}
  install
  if [ "$port" = 0 ]; then port=$(free_port); fi
  configure "$dir" "$port"
  if [ ! -s "$dir/glance.sqlite" ]; then
    $python -c 'from glance.cmd.manage import main; main()' --config-file "$dir/glance-api.conf" db sync \
      >"$dir/db-sync.log" 2>&1 || { tail -n 20 "$dir/db-sync.log" >&2; fail "the database could not be made"; }
  fi
  # workers = 0 above: one process.
  serve "$dir" Glance "http://127.0.0.1:$port" /healthcheck \
    $python -c 'from glance.cmd.api import main; main()' --config-file "$dir/glance-api.conf"
}

main "$@"
