import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HashSet, mix, mixValue } from '../src/hash.ts';

const half = fc.oneof(fc.integer(), fc.integer({ min: -2, max: 2 }));

describe('HashSet', () => {
  it('knows what was added, as a Set does', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(half, half), { maxLength: 300 }), (hashes) => {
        const set = new HashSet(2);
        const model = new Set<string>();
        for (const [low, high] of hashes) {
          // 0, 0 stands for a free slot: it counts as 1, 0.
          const key = low === 0 && high === 0 ? '1 0' : `${low} ${high}`;
          expect(set.add(low, high)).toBe(!model.has(key));
          model.add(key);
          expect(set.size).toBe(model.size);
        }
      }),
    );
  });

  it('keeps everything while it grows', () => {
    const set = new HashSet(1);
    for (let i = 1; i <= 5000; i++) expect(set.add(i, mix(i, i))).toBe(true);
    for (let i = 1; i <= 5000; i++) expect(set.add(i, mix(i, i))).toBe(false);
    expect(set.size).toBe(5000);
  });

  it('is empty after clear()', () => {
    const set = new HashSet(2);
    for (let i = 1; i <= 100; i++) set.add(i, i);
    set.clear();
    expect(set.size).toBe(0);
    expect(set.add(7, 7)).toBe(true);
  });
});

describe('mixValue', () => {
  const value = fc.oneof(
    fc.integer(),
    fc.maxSafeInteger(),
    fc.constantFrom(-1, 0xffff_ffff, 0x8000_0000, -0x8000_0000),
  );

  it('tells the values of a cell apart, over the whole range of safe integers', () => {
    fc.assert(
      fc.property(fc.integer(), value, value, (cell, one, other) => {
        if (one === other) return;
        const same =
          mixValue(cell, one) === mixValue(cell, other) &&
          mixValue(~cell, one) === mixValue(~cell, other);
        expect(same).toBe(false);
      }),
    );
  });

  it('tells -1 from 0xffffffff, which have the same low half', () => {
    expect(mixValue(5, -1)).not.toBe(mixValue(5, 0xffff_ffff));
  });
});
