import { glanceText, MOST_CHARACTERS } from './glance-text.ts';

/** Name of an image that its caller gave none: the VM's and the minute, of a long one so much that the minute fits. */
export function defaultName(vmName: string, now: Date): string {
  const suffix = `-${now.toISOString().slice(0, 16)}Z`;
  return glanceText(vmName, MOST_CHARACTERS - suffix.length) + suffix;
}

/** A warning for each text of the caller's of which Glance gets other characters. */
export function replacedTexts(wish: {
  readonly name?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}): string[] {
  const { name = '', metadata = {} } = wish;
  const fields = [
    ['name', name],
    ...Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, value]),
  ];
  return fields
    .filter(([, text = '']) => glanceText(text) !== text)
    .map(([field]) => `${field} has characters that Glance does not take: in the image each is U+FFFD.`);
}
