// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { CHUNK_SIZE, PhysicalMemory } from '../src/index.ts';

const BASE = 2 ** 32;

describe('a resident limit', () => {
  it('leaves no byte of an evicted chunk where the backing writes none', () => {
    const memory = new PhysicalMemory(CHUNK_SIZE);
    memory.residentLimit = 1;
    // Every third chunk is full, the others are holes.
    const read = (offset: number, into: Uint8Array): void => {
      if ((offset / CHUNK_SIZE) % 3 === 0) into.fill(0xaa);
    };
    memory.addRegion(BASE, 16 * CHUNK_SIZE, { read, write() {} });
    for (let i = 0; i < 16; i++) {
      const { bytes } = memory.chunkAt(BASE + i * CHUNK_SIZE);
      const expected = i % 3 === 0 ? 0xaa : 0;
      expect([bytes[0], bytes[CHUNK_SIZE - 1]]).toEqual([expected, expected]);
    }
  });
});
