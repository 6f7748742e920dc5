// zod without its error messages in 60 languages, in its place in the bundles; see bundle.ts. They are a sixth of the
// API's code, and since @hono/zod-openapi hands the whole namespace about, a bundler cannot leave them out by itself.
import * as z from './zod.mjs';

export * from 'zod-lib/v4/classic/checks.js';
export * as coerce from 'zod-lib/v4/classic/coerce.js';
export * from 'zod-lib/v4/classic/compat.js';
export * from 'zod-lib/v4/classic/errors.js';
export * as iso from 'zod-lib/v4/classic/iso.js';
export * from 'zod-lib/v4/classic/parse.js';
export * from 'zod-lib/v4/classic/schemas.js';
export {
  config,
  flattenError,
  formatError,
  globalRegistry,
  NEVER,
  prettifyError,
  regexes,
  registry,
  toJSONSchema,
  treeifyError,
  util,
} from 'zod-lib/v4/core/index.js';
export { z, z as default };
