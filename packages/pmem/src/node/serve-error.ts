// SPDX-License-Identifier: MIT
// Why an address could not be listened on.

import { lstatSync, statSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { EACCES, EBUSY, EINVAL, EIO, KernelError } from '@pkslab/kernel';
import { hostCode } from './media-error.ts';

/** Longest path that a unix socket's address has room for (sun_path). */
const UNIX_PATH_MAX = 107;

/** An address that cannot be listened on. The message says what to do. */
export class ServeError extends KernelError {
  override readonly name: string = 'ServeError';

  constructor(errno: number, where: string, what: string, cause?: unknown) {
    super(errno, `cannot listen on ${where}: ${what}`);
    if (cause !== undefined) this.cause = cause;
  }
}

/** @param unix the path, if it is a socket's */
export function serveError(where: string, cause: unknown, unix?: string): ServeError {
  const code = hostCode(cause);
  if (unix !== undefined) {
    const refused = socketError(unix, code, cause);
    if (refused !== null) return refused;
  }
  if (code === 'EADDRINUSE') {
    return new ServeError(EBUSY, where, 'it is in use; choose another one, or port 0', cause);
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new ServeError(EACCES, where, 'not permitted; choose a port above 1023', cause);
  }
  if (code === 'EADDRNOTAVAIL') {
    return new ServeError(EINVAL, where, 'this host has no such address', cause);
  }
  return new ServeError(EIO, where, code === '' ? String(cause) : code, cause);
}

/** Node says EACCES of a folder that is missing, too: what is there is looked up. */
function socketError(path: string, code: string, cause: unknown): ServeError | null {
  if (!['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR'].includes(code)) return null;
  const folder = dirname(path);
  if (isMissing(folder)) {
    return new ServeError(EINVAL, path, `there is no folder ${folder}; make it first`, cause);
  }
  const what = `not permitted; choose a folder other than ${folder}, one that you may write to`;
  return new ServeError(EACCES, path, what, cause);
}

function isMissing(folder: string): boolean {
  try {
    return statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true;
  } catch {
    return false; // it cannot be seen: that is a matter of permission
  }
}

/** Removes the socket of a server that is gone; refuses anything else that has the name. */
export async function clearSocketPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > UNIX_PATH_MAX) {
    const what = `longer than the ${UNIX_PATH_MAX} bytes that a socket's name has room for`;
    throw new ServeError(EINVAL, path, what);
  }
  const stats = host(path, () => lstatSync(path, { throwIfNoEntry: false }));
  if (stats === undefined) return;
  if (!stats.isSocket()) {
    throw new ServeError(EBUSY, path, 'there is a file of that name; choose another one');
  }
  if (await isServed(path)) {
    throw new ServeError(EBUSY, path, 'another server has it; choose another one');
  }
  host(path, () => unlinkSync(path));
}

function host<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw serveError(path, error, path);
  }
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
