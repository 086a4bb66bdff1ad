// SPDX-License-Identifier: MIT
// Other processes, for tests of what they leave each other.

import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const NOBODY = 65_534;

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** A folder of its own for a test; `remove` when done. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'pkslab-pmem-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Runs a fixture to its end; the signal that ended it, if any. */
export function runFixture(
  name: string,
  ...args: string[]
): { signal: string | null; stderr: string } {
  const { signal, stderr } = spawnSync(process.execPath, [fixture(name), ...args], {
    encoding: 'utf8',
  });
  return { signal, stderr };
}

/**
 * Does something as a user whom the modes of files bind; `undefined`, with a line that says so, where that is not
 * possible.
 */
export async function withoutPrivileges<T>(work: () => T | Promise<T>): Promise<T | undefined> {
  if (process.geteuid?.() !== 0) return await work();
  try {
    process.seteuid?.(NOBODY);
  } catch (error) {
    process.stdout.write(`not run, for root cannot become nobody here: ${error}\n`);
    return undefined;
  }
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

/** The number of a process that has just ended. */
export function deadPid(): number {
  return spawnSync(process.execPath, ['-e', '']).pid;
}

/** A process that opens an image when told to. */
export class Holder {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;

  constructor(image: string) {
    this.#child = spawn(process.execPath, [fixture('hold-image.mjs'), image]);
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Once the process can take orders. */
  async ready(): Promise<this> {
    await this.answer();
    return this;
  }

  tell(order: 'go' | 'close'): void {
    this.#child.stdin.write(`${order}\n`);
  }

  async answer(): Promise<string> {
    return (await this.#answers.next()).value ?? '';
  }

  async ask(order: 'go' | 'close'): Promise<string> {
    this.tell(order);
    return this.answer();
  }

  /** Ends the process: of its own accord, or at once. */
  async end(signal?: 'SIGKILL'): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    if (signal === undefined) this.#child.stdin.end();
    else this.#child.kill(signal);
    await ended;
  }
}
