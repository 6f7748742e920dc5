import type { ChildProcess } from 'node:child_process';
import type { EventEmitter } from 'node:events';
import type { LocalClock } from '../clock.ts';
import type { Database } from './database/database.ts';
import type { Release } from './database/release.ts';
import type { Faults } from './faults.ts';
import type { Guest } from './guest.ts';
import type { Hang } from './host-life.ts';
import type { Models } from './sm/models.ts';
import type { Storage } from './sm/storage.ts';
import type { Listener } from './wire/listener.ts';

/** One host of the pool. */
export interface Host {
  readonly ref: string;
  readonly uuid: string;
  readonly name: string;
  /** The root folder of its control domain. */
  readonly dom0Root: string;
  isMaster: boolean;
  /** Its network port and its control domain's socket. */
  readonly listeners: Listener[];
  /** Aborted when it dies; a new one when it boots again. */
  power: AbortController;
  /** While it hangs. */
  hang: Hang | undefined;
}

/** One call as the pool got it, the failed and the cut off included. */
export interface CallLogEntry {
  readonly at: Date;
  /** The host's name. */
  readonly host: string;
  /** Over the network, or over the control domain's unix socket. */
  readonly channel: 'tcp' | 'unix';
  readonly method: string;
  /** Passwords, session references and secrets are masked. */
  readonly args: unknown[];
  /** The session's originator, or the one a login names. */
  readonly originator: string;
  error?: string;
}

export interface PoolSettings {
  readonly username: string;
  readonly password: string;
  readonly release: Release;
  readonly failedLoginSeconds: number;
  readonly gcQuietSeconds: number;
  readonly gcPairSeconds: number;
  /** Whether guests write by themselves from the start. */
  readonly guestWrites: boolean;
}

/** All that the simulated pool consists of. */
export interface PoolState {
  /** The folder that outlives the pool: the SRs' files and the models. */
  readonly dataDir: string;
  readonly db: Database;
  readonly clock: LocalClock;
  readonly settings: PoolSettings;
  readonly hosts: Host[];
  /** The running and paused domains by VM reference. */
  readonly guests: Map<string, Guest>;
  /** By SR reference. */
  readonly storage: Map<string, Storage>;
  readonly models: Models;
  readonly faults: Faults;
  readonly calls: CallLogEntry[];
  /** The running plugins, with the host that each runs on. */
  readonly plugins: Map<ChildProcess, Host>;
  /** `VM/<ref>` and the like, when an operation on the object has ended. */
  readonly released: EventEmitter;
  /** Aborted when the pool is closed. */
  readonly stopped: AbortSignal;
}

/** What a call's implementation knows of its caller. */
export interface Context {
  readonly pool: PoolState;
  /** The host that the call came to. */
  readonly host: Host;
  readonly session: string;
  /** The call's task; NULL for calls that have none. */
  readonly task: string;
}
