import { BlockList, isIP } from 'node:net';
import { masterAddress } from './address.ts';

/** What is known of a pool's members beside the configuration: origins, such as `https://10.0.0.2`. */
export interface RememberedMembers {
  /** The members as the pool last named them. */
  readonly members: readonly string[];
  /** UUID of the pool that named them. A host that left it has another, and maybe the same password. */
  readonly pool?: string;
  /** The member that answered the last login. */
  readonly master?: string;
}

/** Keeps what a client learned for the next process. What it throws is ignored: it never decides a call. */
export interface MemberMemory {
  recall(): Promise<RememberedMembers | undefined>;
  keep(known: RememberedMembers): Promise<void>;
}

/** Hosts that a pool may have: more than that no release supports. */
const MOST_MEMBERS = 64;

/** Where no host has its management interface: the link itself (cloud metadata too), groups, nowhere, this machine. */
const nowhere = new BlockList();
nowhere.addSubnet('0.0.0.0', 8);
nowhere.addSubnet('169.254.0.0', 16);
nowhere.addSubnet('224.0.0.0', 3);
nowhere.addSubnet('fe80::', 10, 'ipv6');
nowhere.addSubnet('ff00::', 8, 'ipv6');
nowhere.addAddress('::', 'ipv6');
const thisMachine = new BlockList();
thisMachine.addSubnet('127.0.0.0', 8);
thisMachine.addAddress('::1', 'ipv6');

/**
 * The members of one pool: those that were configured, and those that the pool itself named (`host.address`), so that
 * a dead address or a new master ends nothing. What the pool names is reached by the scheme and port that were
 * configured and trusted as those are; https where one of them has it, so that no password goes there in the clear. It
 * is used only where the pool's UUID is known, and only while it is of that pool: a host that was ejected would answer
 * that nothing of ours is there.
 */
export class Members {
  readonly configured: readonly URL[];
  readonly #model: URL;
  readonly #memory: MemberMemory | undefined;
  #learned: readonly URL[] = [];
  #master: URL | undefined;
  #pool: string | undefined;
  /** What the memory holds, as far as we know. */
  #kept = '';

  /** @throws TypeError without an address */
  constructor(configured: readonly URL[], memory?: MemberMemory) {
    const model = configured.find(({ protocol }) => protocol === 'https:') ?? configured[0];
    if (model === undefined) throw new TypeError('a pool needs the address of at least one member');
    this.configured = configured;
    this.#model = model;
    this.#memory = memory;
  }

  /** Whom to ask: first who was the master last, then the configured ones; `learned` are the others. */
  async toAsk(): Promise<{ readonly first: readonly URL[]; readonly learned: readonly URL[] }> {
    if (this.#master === undefined) await this.#recall();
    const master =
      this.#master && (this.#pool !== undefined || !this.isLearned(this.#master)) ? [this.#master] : [];
    const first = unique([...master, ...this.configured]);
    const known = this.#pool === undefined ? [] : this.#learned;
    return { first, learned: known.filter((member) => !includes(first, member)) };
  }

  /** UUID of the pool that a learned member must be of. */
  get pool(): string | undefined {
    return this.#pool;
  }

  /** Whether only the pool, or the memory, names this one. */
  isLearned(member: URL): boolean {
    return !includes(this.configured, member);
  }

  /** This one is the master; undefined when none was found. */
  answered(master: URL | undefined): void {
    this.#master = master;
  }

  /**
   * Takes the addresses out of what `host.get_all_records` answered; what is not an address is left out. `poolUuid` is asked for
   * where they are news.
   */
  async learn(hostRecords: unknown, poolUuid: () => Promise<string | undefined>): Promise<void> {
    const records = typeof hostRecords === 'object' && hostRecords !== null ? Object.values(hostRecords) : [];
    const found = records.flatMap((record: { address?: unknown } | null) => {
      const address = record?.address;
      return typeof address === 'string' ? (masterAddress(address, this.#model) ?? []) : [];
    });
    const members = this.#acceptable(found);
    const same = this.#pool !== undefined && String(members) === String(this.#learned);
    if (members.length === 0 || same) return;
    const pool = await poolUuid();
    if (pool === undefined) return;
    this.#learned = members;
    this.#pool = pool;
  }

  /** Hands what is known to the memory, if it holds something else. */
  async keep(): Promise<void> {
    const known = this.#known();
    const text = JSON.stringify(known);
    if (this.#memory === undefined || known.pool === undefined || text === this.#kept) return;
    await this.#memory.keep(known).then(
      () => {
        this.#kept = text;
      },
      () => {},
    );
  }

  async #recall(): Promise<void> {
    const held = await this.#memory?.recall().catch(() => undefined);
    if (held === undefined) return;
    const urls = (origins: readonly unknown[]) =>
      origins.flatMap((origin) => (typeof origin === 'string' ? (URL.parse(origin) ?? []) : []));
    const { members, master, pool } = held;
    if (typeof pool === 'string' && pool.length <= 64) this.#pool = pool;
    if (Array.isArray(members)) {
      const learned = this.#acceptable(urls(members));
      if (learned.length > 0) this.#learned = learned;
    }
    const [last] = urls([master]);
    if (last && (includes(this.configured, last) || this.#acceptable([last]).length > 0)) this.#master = last;
    this.#kept = JSON.stringify(this.#known());
  }

  #known(): RememberedMembers {
    return {
      members: this.#learned.map(({ origin }) => origin),
      ...(this.#pool !== undefined && { pool: this.#pool }),
      ...(this.#master && { master: this.#master.origin }),
    };
  }

  #acceptable(found: readonly URL[]): readonly URL[] {
    const local = bare(this.#model) === 'localhost' || isIn(thisMachine, this.#model);
    return unique(found)
      .filter(
        (url) =>
          url.protocol === this.#model.protocol &&
          // The hosts of a simulated pool share one machine, and differ by their ports.
          (local || (url.port === this.#model.port && !isIn(thisMachine, url))) &&
          isIP(bare(url)) !== 0 &&
          !isIn(nowhere, url),
      )
      .slice(0, MOST_MEMBERS);
  }
}

function bare({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function isIn(list: BlockList, url: URL): boolean {
  const address = bare(url);
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

function includes(urls: readonly URL[], url: URL): boolean {
  return urls.some(({ origin }) => origin === url.origin);
}

function unique(urls: readonly URL[]): readonly URL[] {
  return [...new Map(urls.map((url) => [url.origin, url])).values()];
}
