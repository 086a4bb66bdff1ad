// SPDX-License-Identifier: MIT
// Info blocks that hold anything: each is none, good, or refused, and a good one lies within its namespace.

import { fletcher64 } from '../src/fletcher64.ts';
import { decodeInfoBlock, encodeInfoBlock, InfoBlockError, infoBlockFor } from '../src/index.ts';
import { type Random, randomFrom } from './nbd/fuzz.ts';

const MIB = 2 ** 20;
const SIZES = [4 * MIB, 64 * MIB, 64 * MIB + 4096, 2 ** 30, 3 * 2 ** 30, 2 ** 40];
const VALUES = [0n, 1n, 4095n, 4096n, 2n ** 21n, 2n ** 30n, 2n ** 31n, 2n ** 53n, 2n ** 64n - 1n];
const FIELDS = [48, 52, 56, 64, 72, 76, 80, 84, 88, 92];

export interface InfoBlockCounts {
  none: number;
  good: number;
  refused: number;
}

/** Gives a block the checksum that its bytes call for. */
export function rechecked(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setBigUint64(4088, 0n, true);
  view.setBigUint64(4088, fletcher64(bytes), true);
  return bytes;
}

/** Decodes so many blocks; throws if anything is wrong. */
export function fuzzInfoBlocks(seed: number, inputs: number): InfoBlockCounts {
  const random = randomFrom(seed);
  const counts = { none: 0, good: 0, refused: 0 };
  for (let i = 0; i < inputs; i++) {
    const size = SIZES[random(SIZES.length)] as number;
    const bytes = anyBlock(random, size);
    // Media may have been cut or have grown.
    counts[decoded(bytes, random(8) === 0 ? size + 4096 : size)]++;
  }
  return counts;
}

function decoded(bytes: Uint8Array, size: number): keyof InfoBlockCounts {
  const before = bytes.slice();
  const result = resultOf(bytes, size);
  if (Buffer.compare(before, bytes) !== 0) throw new Error('it was changed');
  return result;
}

function resultOf(bytes: Uint8Array, size: number): keyof InfoBlockCounts {
  try {
    const block = decodeInfoBlock(bytes, size);
    if (block === null) return 'none';
    const { startPad, dataoff, npfns, align } = block;
    const end = startPad + dataoff + npfns * 4096;
    const inside = dataoff >= 8192 && npfns > 0 && end <= size && Number.isSafeInteger(end);
    if (inside && (startPad + dataoff) % align === 0) return 'good';
    throw new Error(`a block that does not fit: ${JSON.stringify(block)}`);
  } catch (error) {
    if (!(error instanceof InfoBlockError)) throw error;
    return 'refused';
  }
}

/** A good block, torn, with bytes or fields changed, and mostly with its checksum right all the same. */
function anyBlock(random: Random, size: number): Uint8Array {
  const align = [4096, 2 * MIB, 2 ** 30][random(size > 2 ** 30 ? 3 : 2)] as number;
  const mode = random(2) === 0 ? 'fsdax' : 'devdax';
  const map = random(2) === 0 ? 'mem' : 'dev';
  const uuid = '00112233-4455-6677-8899-aabbccddeeff';
  const whole = size > 4 * MIB ? size : 64 * MIB;
  const bytes = encodeInfoBlock(infoBlockFor({ size: whole, mode, uuid, align, map }));
  if (random(8) === 0) bytes.fill(0, 64 * random(64));
  const view = new DataView(bytes.buffer);
  for (let left = random(3); left > 0; left--) {
    const at = FIELDS[random(FIELDS.length)] as number;
    view.setBigUint64(at, VALUES[random(VALUES.length)] as bigint, true);
  }
  for (let left = random(3); left > 0; left--) {
    bytes[random(random(4) === 0 ? 4096 : 96)] = random(256);
  }
  return random(4) === 0 ? bytes : rechecked(bytes);
}
