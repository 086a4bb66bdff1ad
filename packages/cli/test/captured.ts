// SPDX-License-Identifier: MIT
// Runs a command in this process and keeps what it writes.

import type { Io } from '../src/options.ts';

export interface Captured {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export async function captured(run: (io: Io) => Promise<number> | number): Promise<Captured> {
  const text = { out: '', err: '' };
  const status = await run({
    stdout(part) {
      text.out += part;
    },
    stderr(part) {
      text.err += part;
    },
  });
  return { status, ...text };
}
