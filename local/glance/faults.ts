/** Something that goes wrong on purpose, for requests whose method and path (without query) fit. */
export interface FaultOrder {
  method: string;
  path: RegExp;
  /** answers this status, before any work or, for an upload, once `afterBytes` of its body have come */
  status?: number;
  /** the text that goes with `status` */
  body?: string;
  /** how many requests it befalls; 1 if not given */
  times?: number;
  /** cuts the connection: before any work; in the middle of an upload's or a download's data; or after the work, in place of the answer */
  drop?: 'before' | 'during' | 'after';
  /** where in an upload or a download the fault strikes; the first byte if not given */
  afterBytes?: number;
  /** the request waits for this first: before any work or, with `afterBytes`, at that byte of an upload */
  hold?: Promise<void>;
}

export interface Fault extends FaultOrder {
  /** whether it strikes in the middle of the data */
  midway: boolean;
}

export interface Faults {
  /** The next fitting requests meet this fault; orders are looked through in the order given. */
  add(order: FaultOrder): void;
  /** how many orders have not been used up */
  pending(): number;
  clear(): void;
}

/** A list of faults, and the server's way to draw from it. */
export function createFaults(): { faults: Faults; draw(method: string, path: string): Fault | undefined } {
  let orders: { order: FaultOrder; left: number }[] = [];
  return {
    faults: {
      add: (order) => void orders.push({ order, left: order.times ?? 1 }),
      pending: () => orders.length,
      clear: () => {
        orders = [];
      },
    },
    draw(method, path) {
      const found = orders.find(({ order }) => order.method === method && order.path.test(path));
      if (!found) return undefined;
      found.left -= 1;
      if (found.left <= 0) orders = orders.filter((other) => other !== found);
      return {
        ...found.order,
        midway: found.order.afterBytes !== undefined || found.order.drop === 'during',
      };
    },
  };
}
