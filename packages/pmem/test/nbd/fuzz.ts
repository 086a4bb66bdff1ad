// SPDX-License-Identifier: MIT
// Sessions with clients that say anything: nothing may throw, grow, hang or answer the wrong request.

import { NbdCommand, PAYLOAD_MAX } from '../../src/nbd/constants.ts';
import { BLOCKS_MAX, BlockPool } from '../../src/nbd/reply-output.ts';
import {
  exportQuery,
  hello,
  metaQuery,
  option,
  type RequestFields,
  request,
  takeReply,
} from './messages.ts';
import { ArrayExport, SessionRig } from './session-rig.ts';

const SIZE = 16 * 1024;
const ERRNOS: ReadonlySet<number> = new Set([0, 1, 5, 22, 28]);
/** A client's bytes come in about so many chunks at most, 2 to the power of this. */
const CHUNKS_LOG2 = 6;
/** What is written. */
const PAYLOAD: Uint8Array = new Uint8Array(SIZE + 1).fill(0x5a);
/** Sizes and offsets at which something changes. */
const EDGES = [
  0,
  1,
  511,
  512,
  4095,
  4096,
  4097,
  SIZE - 1,
  SIZE,
  SIZE + 1,
  PAYLOAD_MAX,
  2 ** 32 - 1,
];

export type Random = (below: number) => number;

/** xorshift: the same seed, the same inputs. */
export function randomFrom(seed: number): Random {
  let x = seed | 0 || 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return Math.floor(((x >>> 0) / 2 ** 32) * below);
  };
}

/** What all inputs share, as the clients of one server do. */
export interface FuzzTarget {
  readonly disk: ArrayExport;
  readonly blocks: BlockPool;
}

export function fuzzTarget(): FuzzTarget {
  return { disk: new ArrayExport(SIZE), blocks: new BlockPool() };
}

/** Runs one input; throws if anything is wrong, or was kept. */
export function fuzzOnce(seed: number, target: FuzzTarget): void {
  const random = randomFrom(seed * 2_654_435_761);
  for (let i = 0; i < 4; i++) random(1);
  const { disk, blocks } = target;
  const rig = new SessionRig(SIZE, disk, blocks);
  rig.slow = random(3) === 0;
  if (random(2) === 0) orderly(random, rig);
  else disorderly(random, rig);
  rig.session.close();
  disk.writes.length = 0;
  if (blocks.taken > 0) throw new Error(`${blocks.taken} blocks were not given back`);
  if (rig.session.pendingBytes > 0) throw new Error('bytes were kept');
}

/** Requests that are well formed, with any values: each gets its reply, in order. */
function orderly(random: Random, rig: SessionRig): void {
  drive(rig, random, [hello({ structured: random(2) === 0, blockStatus: true })]);
  const asked = Array.from({ length: 1 + random(8) }, (_, cookie) => anyRequest(random, cookie));
  let out = drive(rig, random, asked.map(request));
  for (const fields of asked) {
    const reply = takeReply(out, fields);
    if (reply === null) throw new Error(`no reply to ${JSON.stringify(fields)}`);
    if (reply.cookie !== fields.cookie) throw new Error(`cookie ${reply.cookie}`);
    if (!ERRNOS.has(reply.error)) throw new Error(`errno ${reply.error}`);
    out = out.subarray(reply.size);
  }
  if (out.length > 0) throw new Error(`${out.length} bytes that nobody asked for`);
  if (rig.progress !== 'input') throw new Error(`it ended in ${rig.progress}`);
}

/** Bytes that were a session before something happened to them. */
function disorderly(random: Random, rig: SessionRig): void {
  const options = Array.from({ length: random(4) }, () => anyOption(random));
  const greeting = hello({ structured: random(2) === 0, blockStatus: random(2) === 0 });
  const requests = Array.from({ length: random(6) }, (_, i) => request(anyRequest(random, i)));
  const bytes = Buffer.concat([
    greeting.subarray(0, 4),
    ...options,
    greeting.subarray(4),
    ...requests,
  ]);
  for (let i = random(8); i > 0; i--) bytes[random(bytes.length)] = random(256);
  drive(rig, random, [bytes.subarray(0, random(10) === 0 ? random(bytes.length) : bytes.length)]);
}

function anyOption(random: Random): Uint8Array {
  const numbers = [2, 3, 5, 6, 8, 9, 10, 11, 99];
  const data = [
    new Uint8Array(random(64)).map(() => random(256)),
    exportQuery(['', 'disk', 'x'.repeat(random(300))][random(3)] ?? '', [random(9), 3]),
    metaQuery('', ['base:allocation', 'base:', 'q'].slice(random(4))),
    new Uint8Array(0),
  ];
  return option(numbers[1 + random(8)] ?? 3, data[random(4)]);
}

function anyRequest(random: Random, cookie: number): RequestFields {
  const edge = (): number =>
    random(2) === 0 ? random(SIZE) : (EDGES[random(EDGES.length)] as number);
  const command = [0, 0, 1, 1, 3, 4, 5, 6, 7, 8 + random(60_000)][random(10)] as number;
  const flags = random(3) === 0 ? random(32) : 0;
  const common = { command, flags, cookie, offset: edge() };
  if (command !== NbdCommand.write) return { ...common, length: edge() };
  return { ...common, payload: PAYLOAD.subarray(0, Math.min(edge(), SIZE + 1)) };
}

/** Hands bytes in as chunks of any size, takes the output when it likes, and returns all of it. */
function drive(rig: SessionRig, random: Random, parts: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.concat(parts);
  const most = [1, 40, 5000, 65_536][random(4)] as number;
  let at = 0;
  for (let steps = 0; ; steps++) {
    if (steps > 2_000_000) throw new Error('it does not end');
    if (rig.unsent > BLOCKS_MAX) throw new Error(`${rig.unsent} blocks`);
    if (rig.progress === 'later') rig.pump();
    else if (rig.progress === 'output') rig.take();
    else if (rig.progress === 'closed' || at === bytes.length) break;
    else {
      // A byte at a time is for what is read in parts, not for long payloads.
      const left = bytes.length - at;
      const length = Math.min(left, Math.max(1 + random(most), left >>> CHUNKS_LOG2));
      rig.receive(bytes.subarray(at, at + length));
      at += length;
    }
  }
  while (rig.unsent > 0) rig.take();
  return rig.output();
}
