// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pkslab } from './pkslab.ts';

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

describe('pkslab', { timeout: 30_000 }, () => {
  it('prints its version', async () => {
    expect(await pkslab('--version')).toEqual({ status: 0, out: `pkslab ${version}\n`, err: '' });
  });

  it('lists its commands, on stdout if asked and on stderr if not', async () => {
    const asked = await pkslab('--help');
    expect(asked).toMatchObject({ status: 0, err: '' });
    for (const name of ['demo', 'explore', 'decode', 'walk', 'conformance']) {
      expect(asked.out).toMatch(new RegExp(`^  ${name} `, 'm'));
    }
    expect(await pkslab()).toEqual({ status: 2, out: '', err: asked.out });
  });

  it.each(['demo', 'decode', 'explore', 'walk', 'conformance'])('explains %s', async (name) => {
    const asked = await pkslab(name, '--help');
    expect(asked).toMatchObject({ status: 0, err: '' });
    expect(asked.out).toContain(`Usage: pkslab ${name}`);
    expect(await pkslab('help', name)).toEqual(asked);
  });

  it.each([
    [['dmo'], 'pkslab: unknown command dmo. Did you mean demo?'],
    [['frobnicate-everything'], 'pkslab: unknown command frobnicate-everything.'],
    [['--versoin'], 'pkslab: unknown option --versoin. Did you mean --version?'],
    [['constructor'], 'pkslab: unknown command constructor.'],
    [['demo', '--sed', '1'], 'pkslab demo: unknown option --sed. Did you mean --seed?'],
    [['demo', '--strays', 'many'], 'pkslab demo: --strays many: expected a whole number from 20'],
    [['demo', 'a.img', 'b.img'], 'pkslab demo: unexpected argument b.img'],
    [['decode'], 'pkslab decode: WHAT is missing: pkrs, pte or error-code'],
    [['decode', 'pks', '1'], 'pkslab decode: cannot decode pks: there is pkrs, pte, error-code.'],
    [['decode', 'pkrs', '5g'], 'pkslab decode: pkrs 5g: expected up to 16 hex digits'],
    [['decode', 'pkrs', '0x100000000'], 'bits 63:32 are reserved: WRMSR raises #GP'],
    [['decode', 'error-code', '0x100'], 'bits 0x100 are reserved'],
  ])('refuses %j with a message, and exits 2', async (args, message) => {
    const { status, out, err } = await pkslab(...args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toContain(message);
    expect(err).toMatch(/^Try: pkslab .*--help$/m);
  });
});

describe('pkslab decode', { timeout: 30_000 }, () => {
  it('explains PKRS', async () => {
    const { status, out } = await pkslab('decode', 'pkrs', '0x55555550');
    expect(status).toBe(0);
    expect(out).toContain('pkrs 0x55555550: open keys: 0, 1; read-only keys: none');
    expect(out).toMatch(/3:2 +key 1 +0x0 +AD=0 WD=0: reads and writes/);
    expect(out).toMatch(/31:30 +key 15 +0x1 +AD=1 WD=0: no access/);
  });

  it('explains a page-table entry', async () => {
    const { out } = await pkslab('decode', 'pte', '0x8800000100000063');
    expect(out).toContain('writable supervisor page at 0x100000000, key 1');
  });

  it.each([
    ['pkrs', '55555554'],
    ['pte', '8800000100000063'],
    ['error-code', '15'],
  ])('takes the hex of a %s with or without 0x', async (what, digits) => {
    const bare = await pkslab('decode', what, digits);
    expect(bare.out).toContain(`${what} 0x${digits}: `);
    expect(await pkslab('decode', what, `0x${digits}`)).toEqual(bare);
  });

  it('keeps the PAT bit of a large page out of its frame', async () => {
    const { out } = await pkslab('decode', 'pte', '88000001002011e3');
    expect(out).toContain(
      'writable supervisor page, key 1: a large page at 0x100200000 with PAT=1, or in a page table a 4 KiB page at 0x100201000 with PAT=1',
    );
    expect(out).toMatch(/51:13 +frame +0x100200000/);
    expect(out).toMatch(/12 +PAT +0x1/);
    const small = await pkslab('decode', 'pte', '80000001002031e3');
    expect(small.out).toContain(
      'writable supervisor page, key 0: in a page table a 4 KiB page at 0x100203000 with PAT=1 (as a large page bits 20:13 are reserved and must be 0)',
    );
  });

  it('explains an error code in the words of Linux', async () => {
    const { out } = await pkslab('decode', 'error-code', '23');
    expect(out).toContain('error-code 0x23: supervisor write: protection keys violation');
  });

  it('prints JSON', async () => {
    const { out } = await pkslab('decode', 'pkrs', '0x55555554', '--json');
    const document = JSON.parse(out) as { value: string; fields: { meaning: string }[] };
    expect(document.value).toBe('0x55555554');
    expect(document.fields).toHaveLength(16);
    expect(document.fields[1]?.meaning).toBe('AD=1 WD=0: no access');
  });
});
