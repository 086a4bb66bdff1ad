// SPDX-License-Identifier: MIT
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  decodeInfoBlock,
  encodeInfoBlock,
  INFO_BLOCK_OFFSET,
  type InfoBlock,
  InfoBlockError,
  infoBlockFor,
  memoryMedia,
  openNamespace,
} from '../src/index.ts';
import { createImage } from '../src/node/index.ts';
import { fuzzInfoBlocks, rechecked } from './info-block-fuzz.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const uuid = '01234567-89ab-cdef-0123-456789abcdef';
const fsdax = (size: number): InfoBlock => infoBlockFor({ size, mode: 'fsdax', uuid });

describe('the info block of a new namespace', () => {
  it('has every field of nd_pfn_sb where Linux has it', () => {
    const bytes = Buffer.from(encodeInfoBlock(fsdax(GIB)));
    expect(bytes.length).toBe(4096);
    expect(bytes.toString('latin1', 0, 16)).toBe('NVDIMM_PFN_INFO\0');
    expect(bytes.toString('hex', 16, 32)).toBe(uuid.replaceAll('-', ''));
    expect(bytes.toString('hex', 32, 48)).toBe('0'.repeat(32));
    expect(bytes.readUInt32LE(48)).toBe(0); // flags
    expect([bytes.readUInt16LE(52), bytes.readUInt16LE(54)]).toEqual([1, 4]);
    expect(bytes.readBigUInt64LE(56)).toBe(BigInt(18 * MIB)); // dataoff
    expect(bytes.readBigUInt64LE(64)).toBe(BigInt((GIB - 18 * MIB) / 4096)); // npfns
    expect(bytes.readUInt32LE(72)).toBe(2); // PFN_MODE_PMEM
    expect([bytes.readUInt32LE(76), bytes.readUInt32LE(80)]).toEqual([0, 0]); // start_pad, end_trunc
    expect(bytes.readUInt32LE(84)).toBe(2 * MIB);
    expect([bytes.readUInt32LE(88), bytes.readUInt16LE(92)]).toEqual([4096, 64]);
    expect(bytes.subarray(94, 4088).every((byte) => byte === 0)).toBe(true);
  });

  it.each([
    ['dev', 4096, 130 * MIB, 4 * MIB, 0],
    ['mem', 4096, 66 * MIB, 2 * MIB, 0],
    ['mem', GIB, 3 * GIB + 4096, GIB, 4096],
    ['dev', GIB, 3 * GIB, GIB, 0],
  ] as const)(
    'map %s, pages of %i, %i bytes: data from %i, %i at the end unused',
    (map, align, size, dataoff, endTrunc) => {
      const block = infoBlockFor({ size, mode: 'devdax', uuid, align, map });
      expect(block).toMatchObject({ map, align, dataoff, endTrunc });
      expect(block.dataoff + block.npfns * 4096 + block.endTrunc).toBe(size);
      expect(decodeInfoBlock(encodeInfoBlock(block), size)).toEqual(block);
    },
  );

  it('is refused where nothing would be left, and for what is no alignment or uuid', () => {
    expect(() => fsdax(2 * MIB)).toThrow('unable to satisfy requested alignment');
    expect(() => fsdax(4096)).toThrow('unable to satisfy requested alignment');
    expect(() => infoBlockFor({ size: GIB, mode: 'fsdax', uuid, align: 8192 })).toThrow(
      'give 4096',
    );
    expect(() => infoBlockFor({ size: GIB, mode: 'fsdax', uuid: 'x' })).toThrow('8-4-4-4-12');
  });
});

describe('a damaged info block', () => {
  const size = 64 * MIB;

  /** The code with which a block is refused whose bytes were changed, its checksum being right again. */
  function refused(change: (view: DataView) => void, length = size): string {
    const bytes = encodeInfoBlock(fsdax(size));
    change(new DataView(bytes.buffer));
    return codeOf(rechecked(bytes), length);
  }

  function codeOf(bytes: Uint8Array, length: number): string {
    try {
      return decodeInfoBlock(bytes, length) === null ? 'none' : 'good';
    } catch (error) {
      if (!(error instanceof InfoBlockError)) throw error;
      return error.code;
    }
  }

  it('is told by its checksum, wherever a bit is wrong', () => {
    const good = encodeInfoBlock(fsdax(size));
    for (const at of [16, 40, 56, 84, 93, 94, 2000, 4087, 4088, 4095]) {
      const bytes = good.slice();
      bytes[at] = (bytes[at] as number) ^ 0x10;
      expect([at, codeOf(bytes, size)]).toEqual([at, 'checksum']);
    }
    const bytes = good.slice();
    bytes[3] = 0;
    expect(codeOf(bytes, size)).toBe('none');
  });

  it.each<[string, string, (view: DataView) => void]>([
    ['an unknown mode', 'mode', (view) => view.setUint32(72, 3, true)],
    ['mode 0', 'mode', (view) => view.setUint32(72, 0, true)],
    ['another page size', 'pageSize', (view) => view.setUint32(88, 65_536, true)],
    ['small struct pages', 'structPage', (view) => view.setUint16(92, 32, true)],
    ['a large alignment', 'align', (view) => view.setUint32(84, GIB, true)],
    ['a misaligned start of the data', 'offset', (view) => view.setBigUint64(56, 0x30_1000n, true)],
    ['data over the block itself', 'offset', (view) => view.setBigUint64(56, 0n, true)],
    ['data beyond the end', 'size', (view) => view.setBigUint64(56, 2n ** 63n, true)],
    ['too many pages', 'size', (view) => view.setBigUint64(64, 2n ** 52n, true)],
    ['no pages', 'size', (view) => view.setBigUint64(64, 0n, true)],
  ])('%s is an error of its %s', (_what, code, change) => {
    expect(refused(change)).toBe(code);
    expect(refused(() => {})).toBe('good');
  });

  it('is one of an image that was cut or grew', () => {
    expect(refused(() => {}, size - 4096)).toBe('size');
    expect(refused(() => {}, 2 * size)).toBe('size');
    expect(refused(() => {}, 3 * MIB)).toBe('size');
  });

  it('has what its version did not have yet as it was then', () => {
    const old = (view: DataView): void => {
      view.setUint16(54, 1, true);
      for (const at of [84, 88, 92]) view.setUint16(at, 0xffff, true);
    };
    // Without the field the data's own alignment counts: 4 MiB.
    expect(refused(old)).toBe('good');
  });
});

describe('openNamespace', () => {
  it('takes media without an info block for a raw namespace', () => {
    const media = memoryMedia(MIB);
    expect(openNamespace(media)).toEqual({ mode: 'raw', block: null, data: media });
    expect(openNamespace(memoryMedia(4096)).mode).toBe('raw');
  });

  it('gives the data alone: what is written there does not reach the block', () => {
    const media = memoryMedia(16 * MIB);
    const block = fsdax(16 * MIB);
    media.write(INFO_BLOCK_OFFSET, encodeInfoBlock(block));
    const { mode, data } = openNamespace(media);
    expect([mode, data.size]).toEqual(['fsdax', block.npfns * 4096]);
    data.write(0, new Uint8Array(data.size).fill(7));
    data.flush();
    expect(openNamespace(media).block).toEqual(block);
    const seen = new Uint8Array(2);
    media.read(block.dataoff - 1, seen);
    expect([...seen]).toEqual([0, 7]);
  });
});

describe('an image with an info block', () => {
  it('is there as a whole, or not at all', () => {
    const folder = mkdtempSync(join(tmpdir(), 'pkslab-test-'));
    const path = join(folder, 'disk.img');
    const block = encodeInfoBlock(fsdax(16 * MIB));
    createImage(path, 16 * MIB, block);
    expect(statSync(path).size).toBe(16 * MIB);
    expect(readFileSync(path).subarray(4096, 8192).equals(block)).toBe(true);
    expect(() => createImage(path, 32 * MIB, block)).toThrow('is there already');
    expect(statSync(path).size).toBe(16 * MIB);
    // More than any file may have: the block was written before, and goes with the file.
    expect(() => createImage(join(folder, 'large.img'), 2 ** 53 - 4096, block)).toThrow('cannot');
    expect(readdirSync(folder)).toEqual(['disk.img']);
    rmSync(folder, { recursive: true });
  });
});

const seed = Number(process.env['PKSLAB_SEED'] ?? 1);

describe(`info blocks, fuzzed (seed: ${seed})`, () => {
  it('are none, good or refused with an InfoBlockError, 10,000 times', () => {
    const { none, good, refused } = fuzzInfoBlocks(seed, 10_000);
    for (const count of [none, good, refused]) expect(count).toBeGreaterThan(500);
  });
});
