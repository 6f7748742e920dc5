// What the clients of pools and Glance use of undici, in its place in the bundles; see bundle.ts.
const Dispatcher = require('undici-lib/dispatcher/dispatcher.js');
Object.assign(Dispatcher.prototype, { request: require('undici-lib/api/api-request.js') });

exports.Agent = require('undici-lib/dispatcher/agent.js');
exports.buildConnector = require('undici-lib/core/connect.js');
