import * as z from 'zod';
import { parseAuthority, parseFingerprint } from '../http/trust.ts';
import { memberAddress } from '../xapi/address.ts';
import { XensnapError } from './errors.ts';
import { patternProblem } from './glob.ts';
import { isUuid } from './uuid.ts';
import { DRIVERS } from './words.ts';

/** What would fail where a connection is made is refused here, in the same words. */
function refuseBy(read: () => unknown, context: z.RefinementCtx, path: PropertyKey[] = []): void {
  try {
    read();
  } catch (error) {
    context.addIssue({
      code: 'custom',
      path,
      message: error instanceof Error ? error.message : String(error),
    });
  }
}
const readBy = (read: (text: string) => unknown) =>
  z.string().superRefine((text, context) => refuseBy(() => read(text), context));
const fingerprint = readBy(parseFingerprint);
const authority = readBy(parseAuthority);

const seconds = (fallback: number) => z.number().positive().default(fallback);

/** A limit under any other name would be none, without a word. xapi writes UUIDs in lower case. */
const slotsByUuid = z
  .record(z.string().toLowerCase().refine(isUuid, 'its key must be a UUID'), z.int().min(1))
  .default({});

const Pool = z
  .strictObject({
    /** Names the pool in the API and in every key of the table. */
    name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$/, 'letters, digits, ".", "_", "-"; at most 60'),
    driver: z.enum(DRIVERS).default('xenapi'),
    /** URLs of its members; the master is found by asking them in turn. */
    addresses: z.array(z.url()).default([]),
    /** SHA-256 fingerprints of the members' certificates; without any, `ca` or the system's authorities decide. */
    fingerprints: z.array(fingerprint).default([]),
    ca: authority.optional(),
    /** Secret with `{"username","password"}`. */
    secretId: z.string().default(''),
    /** Uploads at a time: of each host, of named hosts (UUID), and of named SRs (UUID). */
    slotsPerHost: z.int().min(1).default(2),
    hostSlots: slotsByUuid,
    srSlots: slotsByUuid,
  })
  .superRefine(({ driver, addresses }, context) => {
    if (driver !== 'xenapi') return;
    for (const [index, address] of addresses.entries())
      refuseBy(() => memberAddress(address), context, ['addresses', index]);
  });

const Keystone = z.strictObject({
  /** Its endpoint, with or without `/v3`. */
  url: z.url(),
  ca: authority.optional(),
  fingerprint: fingerprint.optional(),
});

const Glance = z
  .strictObject({
    /** The endpoint without `/v2`, as the hosts and the functions reach it. */
    url: z.url(),
    ca: authority.optional(),
    fingerprint: fingerprint.optional(),
    /** Where to get tokens with an application credential; without it, a token that does not change is used. */
    keystone: Keystone.optional(),
    /** Secret with `{"id","secret"}` for Keystone, else with `{"token"}`; none for a Glance without authentication. */
    secretId: z.string().optional(),
  })
  .refine(({ keystone, secretId }) => keystone === undefined || secretId !== undefined, {
    path: ['secretId'],
    message: 'Keystone needs the secret with the application credential',
  });

const Project = z.strictObject({
  /** VMs with one of these tags in the pool. */
  vmTags: z.array(z.string().min(1)).default([]),
  /** VMs whose names fit one of these; `*` stands for any characters. */
  vmNamePatterns: z
    .array(
      z
        .string()
        .min(1)
        .refine((pattern) => patternProblem(pattern) === undefined, {
          error: ({ input }) => patternProblem(String(input)),
        }),
    )
    .default([]),
  /** Lets the project restore its images; where to, by UUID: storage of its pools, and networks. Without it, it may not. */
  restore: z
    .strictObject({ srs: z.array(z.uuid()).default([]), networks: z.array(z.uuid()).default([]) })
    .optional(),
  /** Everything: all VMs and jobs, the hosts, the janitor and the doctor. */
  admin: z.boolean().default(false),
  /** What the project may have at a time; each set of ids is one item of the table. */
  maxSchedules: z.int().min(0).max(5000).default(100),
  maxOpenJobs: z.int().min(0).max(5000).default(500),
});

const roleNames = (...names: string[]) => z.array(z.string().min(1)).default(names);

/**
 * Names of Keystone's roles, in upper or lower case, that make their holders what xensnap calls a reader, member or
 * admin; the highest counts. By default Keystone's own three, of which each implies the next lower one, and the name
 * that a member had before them.
 */
const Roles = z.strictObject({
  reader: roleNames('reader'),
  member: roleNames('member', '_member_'),
  admin: roleNames('admin'),
});

const Timings = z.strictObject({
  /** The most that a call to a pool may take; of those that wait for an SR's driver (a scan, a disk's end), the second. */
  callSeconds: seconds(24),
  longCallSeconds: seconds(60),
  snapshotPollSeconds: seconds(5),
  coalescePollSeconds: seconds(15),
  /** Seconds between two scans of an SR: sm takes the SR's lock for one and reads every VHD in it. */
  coalesceScanSeconds: seconds(60),
  coalesceMaxSeconds: seconds(600),
  uploadPollMinSeconds: seconds(10),
  uploadPollMaxSeconds: seconds(300),
  uploadMaxSeconds: seconds(72 * 3600),
  uploadRetrySeconds: seconds(60),
  /**
   * How long a host may be away, in the middle of an upload, while its pool answers. With the longest wait between two
   * looks before it and the cleanup after it, snapshot and VM are free within 15 minutes.
   */
  hostAwaySeconds: seconds(420),
  /** The same time for a job that is being closed, which has nothing to wait for: its status event comes again within it. */
  hostAwayClosingSeconds: seconds(90),
  hostAwayPollSeconds: seconds(30),
  /** How long a guest may take to shut down for a restore. xapi itself gives up after 20 minutes. */
  shutdownSeconds: seconds(1500),
  /** How long after it was asked a guest is expected to come to it all the same, to be started again. */
  lateShutdownSeconds: seconds(3600),
  /** How long the VM of a test may take until it has come up, and how often it is looked at. */
  testBootSeconds: seconds(600),
  testPollSeconds: seconds(10),
  jobMaxSeconds: seconds(6 * 86400),
  vmPollSeconds: seconds(60),
  /**
   * When the head of a line that waits is looked at again, unless it is woken by a slot that comes free: for a wake
   * that was lost, and for the alarm on long waits. SQS hides no message for longer than twelve hours.
   */
  admissionRetrySeconds: z.number().positive().max(43_200).default(900),
  poolPauseSeconds: seconds(60),
  /** How long a `starting` job is left alone. */
  startingSeconds: seconds(120),
  /** A reconciler's claim outlives its Lambda's longest run. */
  claimSeconds: seconds(960),
  /** How long a reconcile waits by itself for a step that may still run. */
  reconcileWaitSeconds: seconds(120),
  /** How long after its call a snapshot, a disk or a VM that can't be found may still appear. */
  snapshotLostSeconds: seconds(120),
});

const Config = z.strictObject({
  /** Marks what this installation made in pools and in Glance; never change it. */
  installation: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$/, 'letters, digits, ".", "_", "-"; at most 60'),
  pools: z
    .array(Pool)
    .min(1)
    .superRefine((pools, context) => {
      for (const [index, { name }] of pools.entries())
        if (pools.findIndex((each) => each.name === name) < index)
          context.addIssue({
            code: 'custom',
            path: [index, 'name'],
            message: `there are two pools "${name}"`,
          });
    }),
  glance: Glance,
  /** For an API behind Keystone: the projects (by id) whose callers may use it, and which VMs are theirs. */
  projects: z.record(z.string(), Project).optional(),
  /** What the roles of their tokens let them do; whoever has none of these is refused. */
  roles: Roles.prefault({}),
  /** Who owns the images of a project's callers in Glance; `caller` needs a credential with the role admin. */
  imagesBelongTo: z.enum(['caller', 'service']).default('caller'),
  /** After a job: `lock` the VM's snapshots, as the blueprint says, or `restore` what was found. */
  relock: z.enum(['lock', 'restore']).default('lock'),
  retainJobsDays: z.number().positive().default(90),
  /** What there may be at a time of all callers together. */
  maxSchedules: z.int().min(1).default(50_000),
  maxOpenJobs: z.int().min(1).default(50_000),
  /** Tries of an upload that failed in a way that another try may mend. */
  uploadAttempts: z.int().min(1).default(3),
  timings: Timings.prefault({}),
});

export type Config = z.infer<typeof Config>;
export type ProjectConfig = z.infer<typeof Project>;
export type PoolConfig = Config['pools'][number];

/** The configuration out of its JSON text. Throws an error that names each wrong field. */
export function parseConfig(json: string): Config {
  let raw: unknown;
  try {
    raw = JSON.parse(json);
  } catch (cause) {
    throw new XensnapError('BadRequest', 'The configuration is not JSON.', { cause });
  }
  const result = Config.safeParse(raw);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    (issue) => `${issue.path.join('.') || 'configuration'}: ${issue.message}`,
  );
  throw new XensnapError('BadRequest', `The configuration is wrong. ${problems.join('; ')}`);
}

/** The pool of that name. */
export function poolConfig(config: Config, name: string): PoolConfig {
  const pool = config.pools.find((candidate) => candidate.name === name);
  if (pool) return pool;
  const known = config.pools.map((candidate) => candidate.name).join(', ');
  throw new XensnapError(
    'PoolNotFound',
    `There is no pool "${name}" in the configuration; there is ${known}.`,
  );
}
