// SPDX-License-Identifier: MIT
// IMAGE.lock: one process at a time.
//
// The lock file appears with its whole content in one step (a finished file gets the name by link, which fails
// if the name is taken), so nobody ever sees half of one. Each lock has an id of its own. A lock whose process
// is gone may be replaced only by whoever holds the claim on that very id, which is a lock like any other, named
// after it: two processes that find the same stale lock cannot both get past the claim, and one that comes late
// finds, holding a claim, that the lock has another id now. A claim whose process died is taken over the same way.

import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { hostCode, MediaError } from './media-error.ts';
import { isRunning, type ProcessIdentity, thisProcess } from './process-identity.ts';

interface Holder extends ProcessIdentity {
  readonly id: string;
}

/** A lock that is held until released. */
export interface ImageLock {
  /** Whether there is a lock file: not beside an image that is only read, where none may be made. */
  readonly taken: boolean;
  /** Removes the lock file; may be called again. */
  release(): void;
}

/**
 * Takes the lock of an image, at once or not at all.
 *
 * @throws {MediaError} `inUse` if a running process has it, `host` if the lock file cannot be made or read.
 */
export function lockImage(image: string): ImageLock {
  const path = `${image}.lock`;
  const me: Holder = { ...thisProcess(), id: randomUUID() };
  acquire(image, path, me);
  let held = true;
  return {
    taken: true,
    release: () => {
      if (!held) return;
      held = false;
      if (readHolder(image, path)?.id === me.id) unlinkSync(path);
    },
  };
}

/**
 * Takes the lock of an image that is only read, where a lock file can be made beside it. Elsewhere whoever has it
 * open keeps this one out, and this one keeps out nobody.
 *
 * @throws {MediaError} as {@link lockImage}
 */
export function lockImageToRead(image: string): ImageLock {
  try {
    return lockImage(image);
  } catch (error) {
    if (!(error instanceof MediaError) || !isUnwritable(error.cause)) throw error;
  }
  const path = `${image}.lock`;
  const holder = readHolder(image, path);
  if (holder !== null && isRunning(holder)) throw inUse(image, path, holder);
  return { taken: false, release: () => {} };
}

/** Whether the host would not let a file be made or changed. */
export function isUnwritable(cause: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes(hostCode(cause));
}

/**
 * The process that has an image open, or null: nobody, or one that is gone.
 *
 * @example
 * imageUser('disk.img'); // => null
 */
export function imageUser(image: string): number | null {
  const holder = readHolder(image, `${image}.lock`);
  return holder !== null && isRunning(holder) ? holder.pid : null;
}

function acquire(image: string, path: string, me: Holder): void {
  const draft = `${path}.${me.id}.new`;
  for (;;) {
    if (create(image, path, draft, me)) return;
    const holder = readHolder(image, path);
    if (holder === null) continue; // it was released meanwhile
    if (isRunning(holder)) throw inUse(image, path, holder);
    if (replaceStale(image, path, holder, draft, me)) return;
  }
}

/** False if the name is taken. */
function create(image: string, path: string, draft: string, me: Holder): boolean {
  try {
    writeFileSync(draft, `${JSON.stringify(me)}\n`, { flag: 'wx' });
    linkSync(draft, path);
    unlinkSync(draft);
    return true;
  } catch (error) {
    removeIfThere(draft);
    if (hostCode(error) === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'ENOSYS'].includes(hostCode(error)))
      throw cannotLock(image, path, error);
  }
  // A file system without hard links: the name first, then the content.
  try {
    writeFileSync(path, `${JSON.stringify(me)}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if (hostCode(error) === 'EEXIST') return false;
    throw cannotLock(image, path, error);
  }
}

/** False if the lock was not that one any more. */
function replaceStale(
  image: string,
  path: string,
  stale: Holder,
  draft: string,
  me: Holder,
): boolean {
  const claim = `${path}.${stale.id}`;
  acquire(image, claim, { ...me, id: randomUUID() });
  try {
    if (readHolder(image, path)?.id !== stale.id) return false;
    writeFileSync(draft, `${JSON.stringify(me)}\n`, { flag: 'wx' });
    renameSync(draft, path);
    return true;
  } finally {
    unlinkSync(claim);
  }
}

/** Null if there is no lock. */
function readHolder(image: string, path: string): Holder | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (hostCode(error) === 'ENOENT') return null;
    throw cannotLock(image, path, error);
  }
  const holder = parseHolder(text);
  if (holder === null) {
    throw new MediaError(
      'inUse',
      image,
      `${path} does not say who has it; delete that file if no process uses the image`,
    );
  }
  return holder;
}

function parseHolder(text: string): Holder | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { pid, startTime, id } = value as Record<string, unknown>;
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return null;
  if (startTime !== null && typeof startTime !== 'number') return null;
  return typeof id === 'string' && /^[\w-]+$/.test(id) ? { pid, startTime, id } : null;
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    // Nothing can be made on what is mounted read-only, so nothing is there.
    if (!['ENOENT', 'EROFS'].includes(hostCode(error))) throw error;
  }
}

function inUse(image: string, path: string, { pid }: Holder): MediaError {
  const who = pid === process.pid ? 'this process' : `process ${pid}`;
  return new MediaError(
    'inUse',
    image,
    `in use by ${who} (${path}); close it there first, or work on a copy`,
  );
}

function cannotLock(image: string, path: string, cause: unknown): MediaError {
  return new MediaError(
    'host',
    image,
    `cannot make or read ${path} (${hostCode(cause)}); put the image into a folder that you may write to`,
    cause,
  );
}
