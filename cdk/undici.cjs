// What the clients of pools and Glance use of undici, in its place in the bundles; see bundle.ts.
exports.Agent = require('undici-lib/dispatcher/agent.js');
exports.buildConnector = require('undici-lib/core/connect.js');
