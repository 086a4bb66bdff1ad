// SPDX-License-Identifier: MIT
// stdout and stderr of the process, and what becomes of a run whose reader is gone.

import type { Io } from './options.ts';

/** What a shell shows for a process that SIGPIPE ended. */
const BROKEN_PIPE_STATUS = 141;

export interface ProcessOutput {
  readonly io: Io;
  /** The status to exit with, given the command's own. */
  statusOf(status: number): number;
}

/**
 * Writes to the process's streams. The first error ends the run: in order where the command takes SIGTERM, which
 * releases its locks, and at once elsewhere. `EPIPE` is quiet.
 */
export function processOutput(): ProcessOutput {
  let failed: number | null = null;
  const fail = (name: 'stdout' | 'stderr', error: unknown): void => {
    if (failed !== null) return;
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    failed = code === 'EPIPE' ? BROKEN_PIPE_STATUS : 1;
    if (code !== 'EPIPE' && name === 'stdout') {
      process.stderr.write(`pkslab: cannot write to stdout: ${code}\n`);
    }
    if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(failed);
  };
  const writer = (name: 'stdout' | 'stderr') => (text: string) => {
    if (failed !== null) return;
    try {
      process[name].write(text);
    } catch (error) {
      fail(name, error);
    }
  };
  // For good: an error may come after the command's end.
  process.stdout.on('error', (error) => fail('stdout', error));
  process.stderr.on('error', (error) => fail('stderr', error));
  return {
    io: { stdout: writer('stdout'), stderr: writer('stderr') },
    statusOf: (status) => failed ?? status,
  };
}
