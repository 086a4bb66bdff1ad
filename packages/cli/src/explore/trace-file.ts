// SPDX-License-Identifier: MIT
// Files that hold a saved trace.

import { accessSync, constants, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { ExploreError, parseTrace, type SavedTrace } from '@pkslab/explore';
import { CommandError } from '../options.ts';

/**
 * Refuses a file that cannot be written, before a search that may take long.
 *
 * @throws {CommandError}
 */
export function checkWritable(file: string): void {
  attempt(file, 'write', () => accessSync(dirname(file), constants.W_OK));
}

/**
 * Writes a trace: the file is whole or as it was before.
 *
 * @throws {CommandError} where it cannot be written.
 */
export function writeTrace(file: string, trace: SavedTrace): void {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    attempt(file, 'write', () => {
      writeFileSync(temporary, `${JSON.stringify(trace, null, 2)}\n`);
      renameSync(temporary, file);
    });
  } finally {
    rmSync(temporary, { force: true });
  }
}

/**
 * Reads a trace.
 *
 * @throws {CommandError} where it cannot be read, or holds something else.
 */
export function readTrace(file: string): SavedTrace {
  const text = attempt(file, 'read', () => readFileSync(file, 'utf8'));
  try {
    return parseTrace(text);
  } catch (error) {
    if (error instanceof ExploreError) throw new CommandError(`${file}: ${error.message}`);
    throw error;
  }
}

function attempt<T>(file: string, verb: 'read' | 'write', run: () => T): T {
  try {
    return run();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : null;
    if (code === null) throw error;
    const why = code === 'ENOENT' ? (verb === 'read' ? 'no such file' : 'no such folder') : code;
    throw new CommandError(`cannot ${verb} ${file}: ${why}`);
  }
}
