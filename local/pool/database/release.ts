import facts from './lifecycle.json' with { type: 'json' };

/** What one release is, and what it does otherwise than the others. */
export interface Release {
  /** The last of the code names that its data model has; releases after `stockholm` are known by xapi's version. */
  readonly codename: string;
  /** xapi's version. */
  readonly xapi: string;
  /** Minor number of the API's version, whose major is 2. */
  readonly apiMinor: string;
  readonly brand: string;
  readonly version: string;
  readonly platform: string;
  readonly edition: string;
  /** How long a wrong password's answer takes; since 2020 a local account is answered at once (xapi_session.ml). */
  readonly failedLoginSeconds: number;
  /** `VM.snapshot` knows `ignore_vdis`: commit 948cdd89ac of December 2021. */
  readonly ignoresVdis: boolean;
  /** A snapshot's disk has its source's tags: commit b1b140a091 of November 2025. */
  readonly copiesTagsOfDisks: boolean;
  /**
   * OTHER_OPERATION_IN_PROGRESS names object, operation and task, and who waits for it is woken by its end: commits
   * b6fb47ce16 and 3500de136e of July 2025.
   */
  readonly namesOperations: boolean;
  /** Request line and headers must fit into 1,024 bytes: commit 3bd68569d5 of October 2022. */
  readonly limitsHeaders: boolean;
}

const EARLY = { namesOperations: false, ignoresVdis: false, copiesTagsOfDisks: false, limitsHeaders: false };
const NOW = { namesOperations: true, ignoresVdis: true, copiesTagsOfDisks: true, limitsHeaders: true };
const IN_2024 = { namesOperations: false, copiesTagsOfDisks: false };
const XENSERVER = { brand: 'XenServer', edition: 'enterprise-per-socket' };
const XCP_NG = { brand: 'XCP-ng', edition: 'xcp-ng' };

/** The releases that a pool can be of. `today` is xapi's main branch of August 2026. */
export const RELEASES = {
  'xenserver-7': {
    ...{ codename: 'falcon', xapi: '1.23', apiMinor: '7', ...XENSERVER, version: '7.2.0', platform: '2.3.0' },
    ...{ ...EARLY, failedLoginSeconds: 5 },
  },
  '8.2': {
    ...{ codename: 'stockholm_psr', xapi: '1.249', apiMinor: '15', ...XCP_NG, version: '8.2.1' },
    ...{ platform: '3.2.1', ...EARLY, failedLoginSeconds: 5 },
  },
  '24.16': {
    ...{ codename: 'stockholm_psr', xapi: '24.16', apiMinor: '21', ...XCP_NG, version: '8.3.0' },
    ...{ platform: '3.4.0', ...NOW, ...IN_2024, failedLoginSeconds: 0 },
  },
  today: {
    ...{ codename: 'stockholm_psr', xapi: '26.17', apiMinor: '23', ...XCP_NG, version: '8.3.0' },
    ...{ platform: '3.4.0', ...NOW, failedLoginSeconds: 0 },
  },
} satisfies Record<string, Release>;

export type ReleaseName = keyof typeof RELEASES;

/** The data model's code names, in the order of their releases (datamodel_types.ml). */
const CODENAMES = [
  ...['orlando', 'george', 'tampa', 'clearwater', 'dundee', 'falcon', 'inverness', 'jura', 'kolkata', 'lima'],
  ...['naples', 'oslo', 'quebec', 'stockholm', 'stockholm_psr'],
];

const since: Readonly<Record<string, string>> = facts.since;
const removed: Readonly<Record<string, string>> = facts.removed;

/** Whether the release has come as far as `milestone`, a code name or a version of xapi. */
function reached({ codename, xapi }: Release, milestone: string): boolean {
  const at = CODENAMES.indexOf(milestone);
  if (at >= 0) return CODENAMES.indexOf(codename) >= at;
  const [major = 0, minor = 0] = milestone.split('.').map(Number);
  const [ownMajor = 0, ownMinor = 0] = xapi.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/** Whether the release already has a field (`VM.groups`) or a call (`VM.sysprep`), by the data model's life cycle. */
export function hasCome(release: Release, name: string): boolean {
  const milestone = since[name];
  return milestone === undefined || reached(release, milestone);
}

/** Whether a call is one that the release has no longer: it is answered MESSAGE_REMOVED. */
export function isRemoved(release: Release, call: string): boolean {
  const milestone = removed[call];
  return milestone !== undefined && reached(release, milestone);
}
