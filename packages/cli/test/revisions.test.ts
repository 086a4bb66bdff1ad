// SPDX-License-Identifier: MIT
import { readFileSync, writeFileSync } from 'node:fs';
import { revisionInfo, revisionNames } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { revisions } from '../src/commands/revisions.ts';
import { captured } from './captured.ts';

const run = (...args: string[]) => captured((io) => revisions(args, io));

describe('pkslab revisions', () => {
  it('lists every revision with its date, its message and what it changed', async () => {
    const { status, out } = await run();
    expect(status).toBe(0);
    for (const name of revisionNames) {
      const { title, date, messageIds, changes } = revisionInfo[name];
      expect(out).toContain(`${name}: ${title}\n`);
      if (date !== null) expect(out).toContain(`  ${date}, `);
      for (const id of messageIds) expect(out).toContain(`  <${id}>\n`);
      for (const change of changes) expect(out).toContain(`  - ${change}\n`);
    }
  });

  it('shows two side by side and marks what differs', async () => {
    const { out } = await run('rfc-v2', 'v10');
    const lines = out.split('\n');
    expect(lines[0]).toMatch(/^rfc-v2: RFC V2.*, 2020-07-17$/);
    const rowOf = (choice: string): string[] =>
      lines.find((line) => line.slice(3).startsWith(`${choice} `))?.split(/ {2,}/) ?? [];
    expect(rowOf('statePassing').slice(0, 4)).toEqual([
      '*',
      'statePassing',
      'byValue',
      'byReference',
    ]);
    expect(rowOf('forkPolicy').slice(1, 4)).toEqual(['forkPolicy', 'copy', 'copy']);
    expect(rowOf('forkPolicy')[0]).toBe('');
  });

  it('shows one alone, and nothing is marked then', async () => {
    const { out } = await run('v7');
    expect(out).toMatch(/keyAlloc +static/);
    expect(out).not.toMatch(/^\*/m);
  });

  it('as JSON: the list, or the choices', async () => {
    const list = JSON.parse((await run('--json')).out) as { revisions: { name: string }[] };
    expect(list.revisions.map(({ name }) => name)).toEqual(revisionNames);
    const both = JSON.parse((await run('rfc-v2', 'reference', '--json')).out);
    expect(Object.keys(both.revisions)).toEqual(['rfc-v2', 'reference']);
    expect(both.choices).toContainEqual({
      choice: 'nmiCovered',
      text: 'which of #NMI, #MC, #DB, #BP and #DF save and restore, as ordinary entries do',
      values: ['no', 'yes'],
      differs: true,
    });
  });

  it('refuses a name that is none, and says which one was meant', async () => {
    const { status, err } = await run('rfc-v4');
    expect(status).toBe(2);
    expect(err).toContain('no revision rfc-v4: there is reference, rfc-v2, rfc-v3, v7, v10.');
  });
});

describe('docs/revisions.md', () => {
  const path = new URL('../../../docs/revisions.md', import.meta.url);
  const BLOCK = /(<!-- pkslab: revisions(.*) -->\n\n```text\n)([\s\S]*?)```/g;

  it('shows what the command prints', async () => {
    const text = readFileSync(path, 'utf8');
    let now = text;
    for (const [whole, head = '', names = ''] of text.matchAll(BLOCK)) {
      const { out } = await run(...names.split(' ').filter((name) => name !== ''));
      now = now.replace(whole, () => `${head}${out}\`\`\``);
    }
    if (process.env['PKSLAB_UPDATE_DOCS'] === '1') writeFileSync(path, now);
    else expect(text).toBe(now);
  });
});
