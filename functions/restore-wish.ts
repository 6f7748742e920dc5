import { shorten } from '../glance/shorten.ts';
import type { VmRecord } from '../xapi/types.ts';
import { XensnapError } from './errors.ts';
import type { ScheduledRun } from './job.ts';
import type { Idempotency } from './snapshot-request.ts';
import { isUuid } from './uuid.ts';
import type { MacPolicy } from './words.ts';

/** A wish to have an image back in a pool, from whichever API it came. */
export interface RestoreWish {
  /** Id of the image. */
  readonly image: string;
  /** Where to; that which the image is from, or the only one, if absent. */
  readonly pool?: string;
  /** UUID or name of the SR. */
  readonly sr?: string;
  /** Of the VM and its disk. */
  readonly name?: string;
  /** UUID or name of a network by the device of an interface. */
  readonly networks?: Readonly<Record<string, string>>;
  readonly macs?: MacPolicy;
  readonly start?: boolean;
  readonly disksOnly?: boolean;
  /** UUID or name of a VM that is there, whose disk is exchanged. */
  readonly into?: string;
  /** Position of that disk; that of the one that the VM boots from if absent. */
  readonly device?: string;
  /** Whether that VM may be asked to shut down when the disk has been written. */
  readonly shutdown?: boolean;
  /** Says which VMs the caller may touch; all if absent. */
  readonly allows?: (vm: VmRecord) => boolean;
  /** Restores it only to prove that this can be done; with `boot`, the VM must come up, too. Nothing of it stays. */
  readonly test?: boolean;
  readonly boot?: boolean;
  /** The run of a schedule that asks, and the id that its job is to have: whoever asks twice gets the first one's. */
  readonly run?: ScheduledRun;
  readonly jobId?: string;
  /** The caller's project: the job is its. */
  readonly project?: string;
  /** Who asks, for people and for the log. */
  readonly actor?: string;
  /** Present if the request must not act twice. */
  readonly idempotency?: Idempotency;
}

const MOST_NAME_CHARACTERS = 255;

/** Refuses what no pool could make right. @throws BadRequest, ImageNotFound */
export function refuseUnusable(wish: RestoreWish): void {
  const { image, name, start, disksOnly, networks, into, macs, device, shutdown, test, boot } = wish;
  // Glance's ids are; any other text is for no store to look up.
  if (!isUuid(image)) throw new XensnapError('ImageNotFound', `There is no image ${shorten(image, 60)}.`);
  if (name !== undefined && (name === '' || name.length > MOST_NAME_CHARACTERS))
    throw new XensnapError('BadRequest', `name: it has 1 to ${MOST_NAME_CHARACTERS} characters.`);
  if (disksOnly && (start || networks))
    throw new XensnapError('BadRequest', 'disksOnly: without a VM there is nothing to start or to connect.');
  const own = Object.entries({ name, networks, macs, disksOnly: disksOnly || undefined });
  const [unfit] = own.find(([, value]) => value !== undefined) ?? [];
  if (into !== undefined && unfit !== undefined)
    throw new XensnapError(
      'BadRequest',
      `${unfit}: a VM that is there keeps its name, its interfaces and their addresses. Leave it out, or leave out "into".`,
    );
  const [alone] = Object.entries({ device, shutdown }).find(([, value]) => value !== undefined) ?? [];
  if (into === undefined && alone !== undefined)
    throw new XensnapError('BadRequest', `${alone}: it is for a VM that is there. Name that with "into".`);
  if (boot && !test)
    throw new XensnapError('BadRequest', 'boot: that is for a test; "start" starts what stays.');
  const pointless = NOT_OF_TESTS.find((field) => wish[field]);
  if (test && pointless)
    throw new XensnapError('BadRequest', `${pointless}: nothing of a test stays, nor is it on a network.`);
}

const NOT_OF_TESTS = ['name', 'networks', 'macs', 'start', 'disksOnly', 'into'] as const;
