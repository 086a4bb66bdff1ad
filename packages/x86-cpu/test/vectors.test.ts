// SPDX-License-Identifier: MIT
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  CaseReader,
  outcomeByRules,
  readVectorIndex,
  readVectors,
  runSuite,
  VectorError,
  vectorCase,
} from '../src/index.ts';
import { readVectorFolder, shippedVectors } from '../src/node/index.ts';
import { shippedSuite } from './vectors.ts';

const text = readFileSync(join(shippedVectors()[0] as string, 'index.json'), 'utf8');

/** The error that reading gives. */
function errorOf(read: () => unknown): VectorError {
  try {
    read();
  } catch (error) {
    if (error instanceof VectorError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('readVectorIndex', () => {
  it('reads paging, MAXPHYADDR, classes, suites and dimensions', () => {
    const index = readVectorIndex(text);
    expect(index).toMatchObject({ paging: '4-level', maxphyaddr: 40 });
    expect(index.classes.get(3)).toMatch(/SMAP/);
    expect(index.suites.map(({ suite }) => suite)).toContain('levels2m');
    expect(index.suites[0]?.dims[9]).toEqual({ name: 'flags', count: 16 });
  });

  it('names the offset at which a file is not what it should be', () => {
    expect(errorOf(() => readVectorIndex('{"format": }')).offset).toBeGreaterThan(0);
    expect(errorOf(() => readVectorIndex('[]')).message).toContain('offset 0');
    const foreign = text.replace('pkslab-vectors/1', 'pkslab-vectors/9');
    expect(errorOf(() => readVectorIndex(foreign)).message).toMatch(/offset 4: format/);
    const wrong = text.replace('"cases": 1944', '"cases": 1945');
    expect(errorOf(() => readVectorIndex(wrong)).message).toMatch(/dimensions make 1944/);
    const outside = text.replace('"cross.bin.gz"', '"../cross.bin.gz"');
    expect(errorOf(() => readVectorIndex(outside)).message).toMatch(/beside the index/);
  });
});

describe('readVectors', () => {
  const index = readVectorIndex(text);
  const suite = index.suites.find(({ suite: name }) => name === 'cross');
  if (suite === undefined) throw new Error('no suite called cross');
  const bytes = shippedSuite('4-level', 'cross').records;

  it('refuses truncated, overlong and foreign bytes, naming the offset', () => {
    expect(errorOf(() => readVectors(index, suite, bytes.subarray(0, 100))).offset).toBe(100);
    const long = new Uint8Array(bytes.length + 2);
    expect(errorOf(() => readVectors(index, suite, long)).offset).toBe(bytes.length);
    const foreign = bytes.slice();
    foreign[300] = 0x11;
    expect(errorOf(() => readVectors(index, suite, foreign)).message).toMatch(/offset 300: 0x11/);
    const unnamed = bytes.slice();
    unnamed[299] = 0xe0;
    expect(errorOf(() => readVectors(index, suite, unnamed)).offset).toBe(299);
  });

  it('refuses a suite or a dimension that it does not know', () => {
    const cross = shippedSuite('4-level', 'cross');
    expect(errorOf(() => new CaseReader({ ...cross, suite: 'other' })).message).toMatch(
      /not known/,
    );
    const dims = [{ name: 'moon', count: 1944 }];
    expect(errorOf(() => new CaseReader({ ...cross, dims })).message).toMatch(/moon/);
  });
});

describe('readVectorFolder', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vectors-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('names the file that cannot be unpacked', () => {
    const one = JSON.parse(text);
    one.suites = one.suites.filter(({ suite }: { suite: string }) => suite === 'cross');
    writeFileSync(join(folder, 'index.json'), JSON.stringify(one));
    const file = join(folder, 'cross.bin.gz');
    writeFileSync(file, 'plain text');
    expect(errorOf(() => [...readVectorFolder(folder)]).message).toBe(
      `${file}, offset 0: not a gzip file`,
    );
    const packed = gzipSync(shippedSuite('4-level', 'cross').records);
    writeFileSync(file, packed.subarray(0, 200));
    expect(errorOf(() => [...readVectorFolder(folder)]).offset).toBe(200);
    writeFileSync(file, packed);
    expect([...readVectorFolder(folder)]).toHaveLength(1);
  });
});

describe('the sources themselves', () => {
  it.each(['ad4k', 'cross', 'implicit'])('agree with every case of %s', (name) => {
    expect(runSuite(shippedSuite('4-level', name)).disagree).toBe(0);
  });
});

describe('another emulator', () => {
  it('can run the vectors on itself: it gets each case as data', () => {
    // The emulator under test: here the pure rules, with a flaw that the vectors find.
    const emulator = (test: ReturnType<typeof vectorCase>): number =>
      test.access.kind === 'fetch' ? 0 : outcomeByRules(test);
    const suite = shippedSuite('4-level', 'ad4k');
    const wrong: string[] = [];
    for (let index = 0; index < suite.cases && wrong.length === 0; index++) {
      const test = vectorCase(suite, index);
      const expected = suite.records[index * 3];
      if (emulator(test) !== expected) wrong.push(`case ${index}, ${test.access.name}`);
    }
    expect(wrong).toEqual(['case 5, user fetch'].slice(0, wrong.length));
  });
});
