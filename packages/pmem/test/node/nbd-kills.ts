// SPDX-License-Identifier: MIT
// A server that is killed again and again under a writer that knows what it was promised.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { NbdCommand, NbdCommandFlag } from '../../src/nbd/constants.ts';
import { createImage } from '../../src/node/index.ts';
import { type Random, randomFrom } from '../nbd/fuzz.ts';
import { NbdClient } from './nbd-client.ts';

const FIXTURE = fileURLToPath(new URL('../fixtures/serve.mjs', import.meta.url));
const BLOCK = 4096;
const BLOCKS = 256;
const DEPTH = 16;

/** Starts a server of an image on a unix socket, in a process of its own. */
export async function startServer(
  image: string,
  unix: string,
  sabotages: readonly string[] = [],
): Promise<ChildProcess> {
  const options = JSON.stringify({ unix, sabotages });
  const child = spawn(process.execPath, [FIXTURE, image, options], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  if (!line.startsWith('ready ')) throw new Error(`the server said ${line}`);
  return child;
}

/** What each block may hold: versions from the last one that is durable to the last one sent. */
class Promises {
  readonly sent: Int32Array = new Int32Array(BLOCKS);
  readonly acknowledged: Int32Array = new Int32Array(BLOCKS);
  readonly durable: Int32Array = new Int32Array(BLOCKS);
  promised = 0;

  /** Everything that was acknowledged before a flush was sent is durable once that is acknowledged. */
  flushed(before: Int32Array): void {
    for (let i = 0; i < BLOCKS; i++) this.keep(i, before[i] as number);
  }

  keep(block: number, version: number): void {
    if (version <= (this.durable[block] as number)) return;
    this.durable[block] = version;
    this.promised++;
  }
}

function contents(block: number, version: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK);
  if (version === 0) return bytes;
  return bytes
    .fill((block * 31 + version * 7) & 0xff)
    .fill(version >>> 8, 4, 8)
    .fill(version, 0, 4);
}

/** Writes until the server is gone: DEPTH writers, each on its own blocks, and one that flushes. */
async function writeUntilGone(
  client: NbdClient,
  promises: Promises,
  random: Random,
): Promise<void> {
  const writer = async (first: number): Promise<void> => {
    for (;;) {
      const block = first + DEPTH * random(BLOCKS / DEPTH);
      const version = (promises.sent[block] as number) + 1;
      const flags = random(8) === 0 ? NbdCommandFlag.fua : 0;
      promises.sent[block] = version;
      const payload = contents(block, version);
      const fields = { command: NbdCommand.write, offset: block * BLOCK, flags, payload };
      const reply = await client.ask(fields);
      if (reply === null) return;
      if (reply.error !== 0) throw new Error(`errno ${reply.error} for a write`);
      promises.acknowledged[block] = version;
      if (flags !== 0) promises.keep(block, version);
    }
  };
  const flusher = async (): Promise<void> => {
    for (;;) {
      const before = promises.acknowledged.slice();
      const reply = await client.ask({ command: NbdCommand.flush });
      if (reply === null) return;
      if (reply.error !== 0) throw new Error(`errno ${reply.error} for a flush`);
      promises.flushed(before);
      await sleep(5);
    }
  };
  await Promise.all([...Array.from({ length: DEPTH }, (_, i) => writer(i)), flusher()]);
}

/** Looks at every block; it is then known what it holds. */
async function verify(client: NbdClient, promises: Promises): Promise<void> {
  for (let block = 0; block < BLOCKS; block++) {
    const fields = { command: NbdCommand.read, offset: block * BLOCK, length: BLOCK };
    const data = (await client.ask(fields))?.data;
    const [least, most] = [promises.durable[block] as number, promises.sent[block] as number];
    let version = least;
    while (
      version <= most &&
      Buffer.compare(contents(block, version), data ?? contents(0, 0)) !== 0
    )
      version++;
    if (version > most) {
      throw new Error(`block ${block} is none of its versions ${least} to ${most}`);
    }
    // A later version may not be given again: what is there counts as sent and durable.
    promises.durable[block] = version;
    promises.acknowledged[block] = version;
  }
}

/** Kills a server so many times; returns how many writes were promised and found. */
export async function killLoop(
  folder: string,
  kills: number,
  seed: number,
  sabotages: readonly string[] = [],
): Promise<number> {
  const [image, unix] = [`${folder}/disk.img`, `${folder}/s`];
  const random = randomFrom(seed);
  const promises = new Promises();
  createImage(image, BLOCKS * BLOCK);
  for (let i = 0; i <= kills; i++) {
    const server = await startServer(image, unix, sabotages);
    const ended = once(server, 'exit');
    const client = new NbdClient(unix);
    try {
      await verify(client, promises);
    } catch (error) {
      server.kill('SIGKILL');
      throw error;
    }
    if (i === kills) {
      await client.end();
      server.stdin?.end();
      await ended;
      return promises.promised;
    }
    const writing = writeUntilGone(client, promises, random);
    await sleep(20 + random(100));
    server.kill('SIGKILL');
    await Promise.all([ended, writing, client.closed]);
  }
  return 0;
}
