// SPDX-License-Identifier: MIT
// Clients of all kinds on one server for minutes, and what the server's process holds meanwhile.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { NbdCommand, NbdCommandFlag } from '../../src/nbd/constants.ts';
import { createImage } from '../../src/node/index.ts';
import { type Random, randomFrom } from '../nbd/fuzz.ts';
import type { RequestFields } from '../nbd/messages.ts';
import { NbdClient } from './nbd-client.ts';
import { temporaryFolder } from './processes.ts';

const FIXTURE = fileURLToPath(new URL('../fixtures/serve.mjs', import.meta.url));
const MIB = 2 ** 20;
/** The device, and how much of it may stay in host memory. */
const SIZE = 256 * MIB;
const RESIDENT = 64 * MIB;
const CLIENTS = 4;
const DEPTH = 8;
const PAYLOAD: Uint8Array = new Uint8Array(256 * 1024).fill(0xa5);

export interface SoakResult {
  readonly requests: number;
  readonly connections: number;
  /** Requests that were answered with an error although there was nothing wrong with them. */
  readonly errors: number;
  /** Resident megabytes of the server, once a second. */
  readonly resident: readonly number[];
}

/** Runs mixed load for so many seconds. */
export async function soak(seconds: number, seed: number): Promise<SoakResult> {
  const folder = temporaryFolder();
  const image = join(folder.path, 'soak.img');
  const unix = join(folder.path, 'soak.sock');
  createImage(image, SIZE);
  const options = JSON.stringify({ unix, residentBytes: RESIDENT });
  const server = spawn(process.execPath, [FIXTURE, image, options], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(createInterface({ input: server.stdout }), 'line');
  const state = { requests: 0, connections: 0, errors: 0, stopped: false };
  const resident: number[] = [];
  const clients = Array.from({ length: CLIENTS }, (_, i) => client(unix, seed + i, state));
  for (let second = 0; second < seconds; second++) {
    await sleep(1000);
    resident.push(residentMegabytes(server.pid as number));
  }
  state.stopped = true;
  await Promise.all(clients);
  server.stdin.end();
  await once(server, 'exit');
  folder.remove();
  const { requests, connections, errors } = state;
  return { requests, connections, errors, resident };
}

interface State {
  requests: number;
  connections: number;
  errors: number;
  stopped: boolean;
}

/** One client after the other: some leave in order, some without waiting for their replies. */
async function client(unix: string, seed: number, state: State): Promise<void> {
  const random = randomFrom(seed * 7919);
  while (!state.stopped) {
    state.connections++;
    const nbd = new NbdClient(unix);
    for (let batch = 20 + random(200); batch > 0 && !state.stopped; batch--) {
      const asked = Array.from({ length: 1 + random(DEPTH) }, () => nbd.ask(anyRequest(random)));
      for (const reply of await Promise.all(asked)) {
        state.requests++;
        if (reply === null || reply.error !== 0) state.errors++;
      }
    }
    if (random(4) === 0) {
      void nbd.ask({ command: NbdCommand.read, offset: 0, length: 16 * MIB });
      nbd.socket.destroy();
    }
    await nbd.end();
  }
}

function anyRequest(random: Random): RequestFields {
  const length = [512, 4096, 4096, 4096, 65_536, PAYLOAD.length][random(6)] as number;
  const offset = Math.floor(random(SIZE - length) / 512) * 512;
  const flags = random(50) === 0 ? NbdCommandFlag.fua : 0;
  const kind = random(100);
  if (kind < 45) return { command: NbdCommand.read, offset, length };
  if (kind < 94) {
    return { command: NbdCommand.write, flags, offset, payload: PAYLOAD.subarray(0, length) };
  }
  if (kind < 97) return { command: NbdCommand.writeZeroes, offset, length };
  return kind < 98 ? { command: NbdCommand.trim, offset, length } : { command: NbdCommand.flush };
}

/** VmRSS (Linux only). */
function residentMegabytes(pid: number): number {
  const [, kilobytes = '0'] =
    /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) / 1024;
}

/** The highest value of each quarter of the run, the first minute or tenth left out. */
export function quarters(resident: readonly number[]): number[] {
  const warm = resident.slice(Math.min(60, Math.floor(resident.length / 10)));
  return [0, 1, 2, 3].map((i) =>
    Math.max(...warm.slice((i * warm.length) >> 2, ((i + 1) * warm.length) >> 2)),
  );
}
