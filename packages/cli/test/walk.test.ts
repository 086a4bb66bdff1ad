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

  it('exits with 2 where it is used wrongly', async () => {
    expect((await run('kernel')).err).toContain('expected up to 16 hex digits');
    expect((await run('0', '--pkrs', '100000000')).status).toBe(2);
    expect((await run('0', '--entries', '1,1,1,1,1')).status).toBe(2);
  });
});
