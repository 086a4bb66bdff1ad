// SPDX-License-Identifier: MIT
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { readIndexOf, readSuiteFile, shippedVectors } from '@pkslab/x86-cpu/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { conformance } from '../src/commands/conformance.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vectors-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Writes a set with the shipped suite `cross`, its records changed. */
function writeSet(change: (records: Uint8Array) => Uint8Array): void {
  const [shipped = ''] = shippedVectors();
  const index = readIndexOf(shipped);
  const cross = index.suites.find(({ suite }) => suite === 'cross');
  if (cross === undefined) throw new Error('no suite called cross');
  const { records } = readSuiteFile(shipped, index, cross);
  writeFileSync(join(folder, 'cross.bin.gz'), gzipSync(change(records.slice())));
  const { paging, maxphyaddr, classes } = index;
  const document = {
    format: 'pkslab-vectors/1',
    paging,
    maxphyaddr,
    classes: Object.fromEntries(classes),
    suites: [{ ...cross, recordBytes: 3 }],
  };
  writeFileSync(join(folder, 'index.json'), JSON.stringify(document));
}

async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const status = await conformance(args, {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
  });
  return { status, out, err };
}

describe('pkslab conformance', () => {
  it('prints one JSON document and exits with 0 where everything agrees', async () => {
    writeSet((records) => records);
    const { status, out } = await run(folder, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      suites: [{ suite: 'cross', paging: '4-level', cases: 1944, agree: 1944, disagree: 0 }],
    });
  });

  it('shows the first failing case in full and exits with 1', async () => {
    writeSet((records) => records.fill(0x63, 9, 10));
    const { status, out } = await run(folder);
    expect(status).toBe(1);
    expect(out).toContain('1943 agree  1 disagree');
    expect(out).toContain('expected   #PF error code 0x23');
  });

  it('names file and offset of what it cannot read, and exits with 1', async () => {
    writeSet((records) => records.subarray(0, 100));
    const { status, err } = await run(folder);
    expect(status).toBe(1);
    expect(err).toContain(`${join(folder, 'cross.bin.gz')}, offset 100: ends here`);
  });

  it('exits with 2 where it is used wrongly', async () => {
    expect((await run('--jsn')).status).toBe(2);
    expect((await run(join(folder, 'nowhere'))).status).toBe(2);
  });
});
