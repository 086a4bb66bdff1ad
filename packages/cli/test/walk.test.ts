// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { walk } from '../src/commands/walk.ts';

async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const status = await walk(args, {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
  });
  return { status, out, err };
}

describe('pkslab walk', () => {
  it('explains the entries of an oops under given registers', async () => {
    const entries = ['--entries', '1003063,1004063,a8000000000001e3'];
    const { status, out } = await run('0xffff888000000000', ...entries, '--pkrs', '0x800');
    expect(status).toBe(0);
    expect(out).toContain('PDE     a8000000000001e3  P R/W A D PS G NX  key 5');
    expect(out).toContain('supervisor write  #PF 0x23: key 5: PKRS.WD5=1');
  });

  it('walks the direct map of a booted kernel, as one JSON document', async () => {
    const { status, out } = await run('--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      address: 'ffff888000000000',
      canonical: true,
      register: 'PKRS',
    });
  });

  it('shows the key of persistent memory, and what PKRS makes of it', async () => {
    const closed = await run('0xffff888100000000');
    expect(closed.out).toContain('key 1\nphysical  0000000100000000');
    expect(closed.out).toContain('supervisor write  #PF 0x23: key 1: PKRS.AD1=1');
    const open = await run('0xffff888100000000', '--pkrs', '0x55555550');
    expect(open.out).toContain('supervisor write  ok');
    const beside = await run('0xffff888101000000');
    expect(beside.out).not.toContain('key 1');
  });

  it('exits with 2 where it is used wrongly', async () => {
    expect((await run('kernel')).err).toContain('expected up to 16 hex digits');
    expect((await run('0', '--pkrs', '100000000')).status).toBe(2);
    expect((await run('0', '--entries', '1,1,1,1,1')).status).toBe(2);
  });

  it.each([
    ['1003063', 'PML4E 0000000001003063 points to a table, and the PDPTE is missing'],
    ['1003063,1004063,1005063', 'PDE 0000000001005063 points to a table, and the PTE is missing'],
  ])('says which entry is missing after %s', async (entries, message) => {
    const { status, out, err } = await run('0xffff888000000000', '--entries', entries);
    expect([status, out]).toEqual([2, '']);
    expect(err).toContain(message);
  });

  it('takes an entry that is not present as the end of a walk', async () => {
    const { status, out } = await run('0xffff888000000000', '--entries', '1003063,0');
    expect(status).toBe(0);
    expect(out).toContain('PDPTE: P=0, no translation');
  });

  it.each([
    ['--cr0', '0x10000', 'CR0.PE=0: no protected mode, and CR0.PG=0: paging is off; so'],
    ['--cr0', '80000000', '0x80000000: CR0.PE=0: no protected mode; so'],
    ['--cr0', '0x10001', 'CR0.PG=0'],
    ['--cr4', '0', 'CR4.PAE=0'],
    ['--efer', '0', 'IA32_EFER.LMA=0'],
  ])('refuses %s %s, booted or not', async (option, value, message) => {
    const entries = ['--entries', '1003063,1004063,a8000000000001e3'];
    for (const more of [[], entries]) {
      const { status, out, err } = await run('0xffff888000000000', option, value, ...more);
      expect([status, out]).toEqual([2, '']);
      expect(err).toContain(message);
    }
  });

  it('starts from the PKRS of Linux, and prints the registers it used', async () => {
    const entries = ['--entries', '1003063,1004063,a8000000000001e3'];
    const { out } = await run('0xffff888000000000', ...entries);
    expect(out).toContain('supervisor read   #PF 0x21: key 5: PKRS.AD5=1');
    expect(out).toMatch(/^under {5}CR0 0x80010001, CR4 .*, PKRS 0x55555554, PKRU 0x0, AC 0$/m);
    const json = await run('0xffff888000000000', ...entries, '--pkrs', '800', '--json');
    expect(JSON.parse(json.out)).toMatchObject({ registers: { pkrs: '0x800' } });
    expect((await run('--cr4', '20')).out).toContain('CR4 0x20,');
  });

  it('refuses --maxphyaddr where nothing would look at it', async () => {
    const { status, err } = await run('--maxphyaddr', '40');
    expect(status).toBe(2);
    expect(err).toContain('goes with --entries');
  });
});
