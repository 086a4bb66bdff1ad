// SPDX-License-Identifier: MIT
import { spawn } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const bin = fileURLToPath(new URL('../bin/pkslab.mjs', import.meta.url));

interface Ended {
  readonly status: number | null;
  readonly err: string;
}

/** Runs a command whose reader closes one of its pipes at once. */
function unread(which: 'stdout' | 'stderr', ...args: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    err += part;
  });
  child[which].destroy();
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, err })));
}

describe('a reader that is gone', { timeout: 30_000 }, () => {
  it.each([
    ['stdout', ['selftests']],
    ['stdout', ['--help']],
    ['stdout', ['decode', 'pkrs', '0']],
    ['stderr', ['decode']],
    ['stderr', ['demo', '--transactions', '500', '--strays', '500']],
  ] as const)('of %s ends %j quietly with 141', async (which, args) => {
    expect(await unread(which, ...args)).toEqual({ status: 141, err: '' });
  });

  it.runIf(existsSync('/dev/full'))('says in one line that a disk is full', async () => {
    const child = spawn(process.execPath, [bin, 'decode', 'pkrs', '0'], {
      stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
    });
    let err = '';
    child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      err += part;
    });
    const status = await new Promise((resolve) => child.on('close', resolve));
    expect({ status, err }).toEqual({
      status: 1,
      err: 'pkslab: cannot write to stdout: ENOSPC\n',
    });
  });
});
