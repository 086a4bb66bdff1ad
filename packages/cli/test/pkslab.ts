// SPDX-License-Identifier: MIT
// Runs the built command as a user does, in a process of its own.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

const bin = fileURLToPath(new URL('../bin/pkslab.mjs', import.meta.url));

export interface Finished {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly process: ChildProcess;
  readonly finished: Promise<Finished>;
  /** Resolves once stderr holds a text. */
  says(text: string): Promise<void>;
}

/** @param temporary where its temporary files go; a process that is killed leaves them */
export function startPkslab(args: readonly string[], temporary: string = tmpdir()): Running {
  const child = spawn(process.execPath, [bin, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary },
  });
  const text = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text.out += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    text.err += part;
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject).on('close', (status) => resolve({ status, ...text }));
  });
  const says = (wanted: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (text.err.includes(wanted)) resolve();
      };
      child.stderr.on('data', look);
      child.on('close', () => reject(new Error(`ended without saying ${wanted}: ${text.err}`)));
      look();
    });
  return { process: child, finished, says };
}

export const pkslab = (...args: string[]): Promise<Finished> => startPkslab(args).finished;

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pkslab-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
