/** What is asked, by whom it is answered. */
export type Target = 'xapi' | 'glance' | 'keystone' | 'dynamodb' | 'sqs' | 'states' | 'secrets';

/** What becomes of a call in place of its answer. */
export type Fault =
  /** xapi's refusal, or the name of one of AWS's exceptions; nothing is done. */
  | {
      readonly kind: 'error';
      readonly code: string;
      readonly params?: readonly string[];
      readonly status?: number;
    }
  /** Another HTTP status than is wanted, as from a proxy or a service in trouble; nothing is done. */
  | { readonly kind: 'status'; readonly status: number }
  /** 200, and what nobody can read; nothing is done. */
  | { readonly kind: 'garbage' }
  /** The connection is broken before anything is done. */
  | { readonly kind: 'reset' }
  /** It is done, and the connection broken in place of an answer. */
  | { readonly kind: 'lost-reply' }
  /** It is done, and the connection broken in the middle of the answer. */
  | { readonly kind: 'truncated' }
  /** It is done, and answered when nobody waits for it any more. */
  | { readonly kind: 'late'; readonly seconds: number }
  /** Nothing is done and nothing answered, until the caller hangs up. */
  | { readonly kind: 'never' }
  /** Goes on as if nothing were once this is over. */
  | { readonly kind: 'hold'; readonly until: Promise<unknown> };

export type FaultKind = Fault['kind'];

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
}

/** One request at the wire. */
export interface Exchange {
  /** Has the service do it. */
  effect(): Promise<Reply>;
  send(reply: Reply): void;
  /** Sends the head and a part of the body, and breaks the connection. */
  sendHalf(reply: Reply): void;
  cut(): void;
  /** What the service would say itself in such a trouble. */
  refusal(fault: Fault & { readonly kind: 'error' | 'status' | 'garbage' }): Reply;
}

/** Carries a request out as the fault wants it. */
export async function carryOut(fault: Fault | undefined, exchange: Exchange): Promise<void> {
  switch (fault?.kind) {
    case 'error':
    case 'status':
    case 'garbage':
      return exchange.send(exchange.refusal(fault));
    case 'reset':
      return exchange.cut();
    case 'never':
      return;
    case 'lost-reply':
      await exchange.effect().catch(() => undefined);
      return exchange.cut();
    case 'truncated':
      return exchange.sendHalf(await exchange.effect());
    case 'late': {
      const reply = await exchange.effect();
      await new Promise((resolve) => setTimeout(resolve, fault.seconds * 1000).unref());
      return exchange.send(reply);
    }
    case 'hold':
      await fault.until;
      return exchange.send(await exchange.effect());
    default:
      return exchange.send(await exchange.effect());
  }
}
