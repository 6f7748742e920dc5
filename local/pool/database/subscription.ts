/** What a caller wants to hear of: a class, one object of it, or, as `*`, everything. */
export interface Subscription {
  /** The class's name in lower case. */
  readonly className: string;
  readonly ref?: string;
}

/** `VM`, `task/OpaqueRef:…` or `*`, in any case. */
export function parseSubscriptions(classes: readonly string[]): Subscription[] {
  return classes.map((text) => {
    const slash = text.indexOf('/');
    if (slash < 0) return { className: text.toLowerCase() };
    return { className: text.slice(0, slash).toLowerCase(), ref: text.slice(slash + 1) };
  });
}

export function takes(subscriptions: readonly Subscription[], className: string, ref: string): boolean {
  return subscriptions.some(
    (each) =>
      each.className === '*' ||
      (each.className === className.toLowerCase() && (each.ref === undefined || each.ref === ref)),
  );
}
