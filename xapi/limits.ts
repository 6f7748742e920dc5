/**
 * What is taken of a pool's answers. A class's records are all the VMs, disks or hosts of a pool in one answer; a VM's,
 * or a snapshot's, has some 11 KB of XML. 128 MiB are those of 12,000, which a whole core reads in 15 s of the 24 that
 * a call has. What is read takes half of its text again.
 */
export const MAX_RECORDS_BYTES = 128 * 2 ** 20;
/** Bytes of most answers: a record has 11 KB, the plugin's answer less; a list of references, 62 bytes each, is the longest. */
const MAX_OTHER_BYTES = 2 * 2 ** 20;

/** How many bytes the answer to a call may have. */
export function maxAnswerBytes(method: string, recordsBytes: number): number {
  return /\.get_all_records(?:_where)?$/.test(method) ? recordsBytes : MAX_OTHER_BYTES;
}

/**
 * What an answer in XML may be made of, whatever its size: xapi's have tags without attributes, text, the five entities
 * of XML and characters by number, and neither comments, CDATA, processing instructions nor a document type.
 */
export const xmlLimits = {
  /** A map in a record in a list of records is 17 deep. */
  depth: 64,
  /** One for each 31 bytes of records are usual; an empty one takes 9 bytes, and 60 once it is read. */
  bytesPerElement: 16,
  /** However short it is. */
  elements: 1000,
  /** The longest, `</dateTime.iso8601>`, has 19. */
  tagBytes: 32,
  /** `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` has 55. */
  declarationBytes: 80,
  /** A field of a record has some KB at most, what a plugin or a task answers less than 64. */
  textBytes: 2 ** 20,
} as const;
