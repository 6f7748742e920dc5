/** The data folder can't be worked with as it is. The message names it, and what to do. */
export class DataFolderError extends Error {
  override readonly name: string = 'DataFolderError';
}

/** Another process works with the data folder. */
export class DataInUseError extends DataFolderError {
  override readonly name = 'DataInUseError';
}

/** What the file system said, in words; undefined for errors that are not the file system's. */
export function trouble(error: unknown): string | undefined {
  const text = `${(error as { code?: string }).code} ${error instanceof Error ? error.message : error}`;
  if (/ENOSPC|No space left/i.test(text)) return 'its disk is full: make room';
  if (/EDQUOT|quota exceeded/i.test(text)) return "its disk's quota is used up: make room";
  if (/EROFS|Read-only file system/i.test(text))
    return 'its file system can only be read: mount it for writing';
  if (/EACCES|EPERM|Permission denied/i.test(text))
    return 'this user may not write there: have it given to you (chown)';
  // Node's code for a folder that cannot be made on a read-only file system.
  if (text.includes('ENOENT') && text.includes('mkdir'))
    return 'it cannot be made: see that what is above it is there and can be written';
  if (/ENOTDIR|Not a directory|EEXIST/i.test(text)) return 'there is a file in its place';
  return undefined;
}

/** A table that is there and can't be read whole. Nothing starts on it by itself: its jobs would be forgotten. */
export function damaged(folder: string, why: string, cause?: unknown): DataFolderError {
  return new DataFolderError(
    `The table in ${folder} is damaged: ${why}. Put a copy of the folder back. Without one, move it away and start again: its jobs and schedules are forgotten then, and the janitor tells what the jobs left in the pool`,
    { cause },
  );
}
