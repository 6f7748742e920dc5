/** A message that another sentence is to follow: with a full stop, unless it ends as a sentence does. */
export function sentence(message: string): string {
  const end = message.at(-1);
  return end === undefined || '.!?…'.includes(end) ? message : `${message}.`;
}
