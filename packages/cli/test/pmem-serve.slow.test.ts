// SPDX-License-Identifier: MIT
// `pkslab pmem serve` as a user starts it: a process of its own.

import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createImage } from '@pkslab/pmem/node';
import { afterEach, beforeEach, expect, it } from 'vitest';

const BIN = fileURLToPath(new URL('../bin/pkslab.mjs', import.meta.url));
const WRITE = 1;
const FLUSH = 3;

let folder: string;
let image: string;
let unix: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pkslab-test-'));
  image = join(folder, 'disk.img');
  unix = join(folder, 's');
  createImage(image, 4 * 2 ** 20);
});

afterEach(() => rmSync(folder, { recursive: true }));

interface Served {
  readonly child: ChildProcess;
  /** Everything on stderr so far. */
  err(): string;
  /** Everything on stdout so far. */
  out(): string;
  end(signal: 'SIGINT' | 'SIGTERM'): Promise<number | null>;
}

function serve(...options: string[]): Promise<Served> {
  return served(spawn(process.execPath, [BIN, 'pmem', 'serve', image, ...options]));
}

async function served(child: ChildProcessWithoutNullStreams): Promise<Served> {
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    errors += part;
  });
  await once(child.stdout, 'data');
  return {
    child,
    err: () => errors,
    out: () => text,
    async end(signal) {
      const closed = once(child, 'close') as Promise<[number | null]>;
      child.kill(signal);
      return (await closed)[0];
    },
  };
}

function request(command: number, offset: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(0x25609513);
  head.writeUInt16BE(command, 6);
  head.writeUInt32BE(offset, 20);
  head.writeUInt32BE(payload.length, 24);
  return Buffer.concat([head, payload]);
}

/** Writes pages full of ones and flushes; once all is acknowledged. */
async function writePages(address: string | number, pages: number): Promise<void> {
  const socket = typeof address === 'string' ? connect(address) : connect(address, '127.0.0.1');
  // The client's flags and NBD_OPT_GO.
  const hello = Buffer.from('0000000349484156454f5054000000070000000600000000' + '0000', 'hex');
  const page = Buffer.alloc(4096, 1);
  const requests = Array.from({ length: pages }, (_, i) => request(WRITE, i * 4096, page));
  socket.write(Buffer.concat([hello, ...requests, request(FLUSH, 0, Buffer.alloc(0))]));
  let left = 18 + 32 + 20 + (pages + 1) * 16;
  while (left > 0) left -= ((await once(socket, 'data')) as [Buffer])[0].length;
  socket.destroy();
}

it('says where it listens, keeps what was written, and leaves nothing after SIGTERM', async () => {
  const server = await serve('--unix', unix);
  expect(server.out()).toBe(`nbd+unix:///?socket=${unix}\n`);
  await writePages(unix, 100);
  expect(
    readFileSync(image)
      .subarray(0, 409_600)
      .every((byte) => byte === 1),
  ).toBe(true);
  expect(await server.end('SIGTERM')).toBe(0);
  expect(server.err()).toContain('pmem0: protected with key 1\n');
  expect(server.out()).toContain('409600 written, 1 flushes, 0 errors');
  expect([existsSync(unix), existsSync(`${image}.lock`)]).toEqual([false, false]);
});

it('ends with 130 after Ctrl-C, on a port too', async () => {
  const server = await serve('--read-only');
  const [, port] = /^nbd:\/\/127\.0\.0\.1:(\d+)\n$/.exec(server.out()) ?? [];
  await writePages(Number(port), 1);
  expect(await server.end('SIGINT')).toBe(130);
  expect(readFileSync(image).every((byte) => byte === 0)).toBe(true);
});

it('stops every stray write that is not inside a window', async () => {
  const server = await serve('--unix', unix, '--strays', '100000');
  for (let i = 0; i < 5; i++) await writePages(unix, 200);
  expect(await server.end('SIGTERM')).toBe(0);
  const [, ...counts] =
    /(\d+) attempted, (\d+) stopped, (\d+) inside a window, (\d+) reached/.exec(server.out()) ?? [];
  const [attempted = 0, stopped = 0, inside = 0, reached = -1] = counts.map(Number);
  expect(attempted).toBeGreaterThan(100);
  expect(stopped + inside).toBe(attempted);
  expect(stopped).toBeGreaterThan(inside);
  expect(reached).toBe(0);
  const bytes = readFileSync(image);
  expect(bytes.subarray(0, 819_200).every((byte) => byte === 1)).toBe(true);
  expect(bytes.subarray(819_200).every((byte) => byte === 0)).toBe(true);
});

it('ends in order with a revision whose kernel may retry a refused access for ever', async () => {
  // What comes first is a matter of the clock: a stray write that is given up, a machine that stops, or neither.
  const server = await serve('--unix', unix, '--strays', '5000', '--revision', 'v7');
  for (let i = 0; i < 5; i++) await writePages(unix, 200);
  expect(await server.end('SIGTERM')).toBe(1);
  expect(server.out()).toMatch(/stray writes: \d+ attempted, \d+ stopped, .*\d+ reached/);
  expect(server.out()).toContain('served 5 connections: ');
  expect(server.err()).not.toMatch(/^ +at /m);
  if (server.err().includes('EndlessRetry')) {
    expect(server.err()).toContain('soft lockup: the machine has stopped; every request fails');
    expect(server.err()).toContain('what was not flushed before is lost\n');
    expect(server.out()).not.toContain(' 0 errors');
  }
  if (server.out().includes('by giving up')) {
    expect(server.err()).toContain('soft lockup: a stray write is refused');
  }
  expect([existsSync(unix), existsSync(`${image}.lock`)]).toEqual([false, false]);
});

it('fails the flush of what the host does not take, and says at the end that it is lost', async () => {
  // No file may grow past 1 MiB: EFBIG, as ENOSPC on a full disk.
  const script = 'ulimit -f 2048 && exec "$0" "$@"';
  const command = [process.execPath, BIN, 'pmem', 'serve', image, '--unix', unix];
  const server = await served(spawn('sh', ['-c', script, ...command]));
  await writePages(unix, 200);
  await writePages(unix, 300);
  await writePages(unix, 300);
  expect(await server.end('SIGTERM')).toBe(1);
  expect(server.err()).toContain(`pkslab pmem serve: image ${image}: cannot write it (EFBIG)\n`);
  expect(server.err()).toContain('what was stored since the last flush that succeeded may be lost');
  expect(server.err()).not.toMatch(/^ +at /m);
  expect(server.out()).toContain('served 3 connections: ');
  expect(server.out()).toContain('3 flushes, 2 errors\n');
  expect(
    readFileSync(image)
      .subarray(0, 819_200)
      .every((byte) => byte === 1),
  ).toBe(true);
  expect([existsSync(unix), existsSync(`${image}.lock`)]).toEqual([false, false]);
});

it('takes whole sectors where an image was cut short, and says that it was', async () => {
  const server = await serve('--unix', unix);
  truncateSync(image, 4096);
  await writePages(unix, 10);
  expect(await server.end('SIGTERM')).toBe(0);
  expect(server.err()).toContain('another program has cut it: restore it from a copy\n');
  expect(server.err()).not.toMatch(/^ +at /m);
  expect(server.out()).toContain('40960 written, 1 flushes, 0 errors\n');
});

it('works without protection keys, and says that nothing is protected', async () => {
  const server = await serve('--unix', unix, '--no-pks');
  await writePages(unix, 10);
  expect(await server.end('SIGTERM')).toBe(0);
  expect(server.err()).toContain('pmem0: not protected: no protection key\n');
  expect(server.out()).toContain('40960 written, 1 flushes, 0 errors');
});
