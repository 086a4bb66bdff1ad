// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { pkslab } from './pkslab.ts';

const TWO = ['irq-in-section', 'kmap-handover'];

describe('pkslab explore --matrix', () => {
  it('prints a row for each scenario, totals, and what each violation is', async () => {
    const args = ['explore', '--matrix', ...TWO, '--revision', 'reference,rfc-v2'];
    const { status, out } = await pkslab(...args);
    expect(status).toBe(1);
    const lines = out.split('\n');
    expect(lines[0]).toMatch(/^scenario +reference +rfc-v2$/);
    expect(lines[1]).toMatch(/^irq-in-section +holds +I4 D-01$/);
    expect(lines[2]).toMatch(/^kmap-handover +holds +I2 D-08 \+2$/);
    expect(lines[3]).toMatch(/^ +2\+0\+0 +0\+2\+0$/);
    expect(out).toMatch(/\nrfc-v2 D-01: by-value state: the save is lost \(I4\)\n/);
    expect(out).toMatch(/\n {2}I4: a handler was entered .+ \(1 event, 10 operations\)\n/);
  });

  it('looks behind what is violated first', async () => {
    const args = ['explore', '--matrix', 'irq-in-section', '--revision', 'v7'];
    const { out } = await pkslab(...args);
    expect(out.split('\n')[1]).toMatch(/^irq-in-section +I12 D-17 \+2$/);
    expect(out).toContain('\n  pkslab explore irq-in-section --revision v7 --repair D-17\n');
    const { cells } = JSON.parse((await pkslab(...args, '--json')).out) as {
      cells: { repairs: string[]; behind: { repairs: string[]; verdict: string }[] }[];
    };
    expect(cells[0]?.repairs).toEqual([]);
    expect(cells[0]?.behind.map(({ repairs }) => repairs.length)).toEqual([1, 2, 3]);
    expect(cells[0]?.behind.at(-1)?.verdict).toBe('holds');
  });

  it('prints the tables of docs/matrix.md', async () => {
    const args = ['explore', '--matrix', 'irq-in-section', '--revision', 'v7'];
    const { out } = await pkslab(...args, '--format', 'markdown');
    const lines = out.split('\n');
    expect(lines[0]).toMatch(/^\| scenario +\| v7 +\|$/);
    expect(lines[1]).toMatch(/^\| -+ \| -+ \|$/);
    expect(lines[2]).toMatch(
      /^\| irq-in-section +\| I12 D-17, I4 D-02 \(1\), I3 compared-write \(1\) \|$/,
    );
    expect(out).toMatch(/\n\| v7 +\| \[compared-write\]\(findings.md\) +\| .+ \| I3 +\| 1 +\|/);
  });

  it('gives one JSON document with every search in it', async () => {
    const args = ['explore', '--matrix', ...TWO, '--revision', 'reference', '--json'];
    const { status, out } = await pkslab(...args);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      revisions: ['reference'],
      scenarios: TWO,
      totals: { reference: { holds: 2, violated: 0, incomplete: 0, skipped: 0, failed: 0 } },
      missing: 0,
      cells: [{ verdict: 'holds' }, { verdict: 'holds' }],
    });
  });

  it('exits with 3 if a search did not finish, and never calls that holds', async () => {
    const args = ['explore', '--matrix', ...TWO, '--revision', 'reference', '--max-states', '20'];
    const { status, out } = await pkslab(...args);
    expect(status).toBe(3);
    expect(out).toMatch(/\nirq-in-section +incomplete\n/);
  });

  it('says which scenarios do not take what was asked', async () => {
    const args = [
      'explore',
      '--matrix',
      'irq-in-section',
      'preempt-in-section',
      '--cpus',
      '2',
      '--revision',
      'reference',
    ];
    const { out } = await pkslab(...args);
    expect(out).toMatch(/\nirq-in-section +skipped\n/);
    expect(out).toMatch(/\npreempt-in-section +holds\n/);
    expect(out).toMatch(/irq-in-section: skipped: scenario irq-in-section cannot run on 2 CPUs/);
  });

  it.each([
    [['--matrix', 'irq-in-section', '--cpus', '7'], 'no scenario takes this on any revision'],
    [['--matrix', '--sabotage', 'all'], '--matrix or --sabotage all, not both'],
    [['--matrix', '--all', 'irq-in-section'], '--all is every scenario'],
    [['--matrix', '--trace', 'x'], '--trace is for one scenario'],
    [['--matrix', '--format', 'chrome'], '--format is for one scenario'],
    [['irq-in-section', '--format', 'markdown'], '--format markdown is for --matrix'],
    [['--all', '--revision', 'v7,v10'], 'several revisions: say --matrix'],
    [['--matrix', '--revision', 'v9'], '--revision v9: there is reference'],
  ])('refuses %j', async (args, message) => {
    const { status, err } = await pkslab('explore', ...args);
    expect(status).toBe(2);
    expect(err).toContain(message);
  });
});

describe('pkslab explore --sabotage all', () => {
  it('tries each sabotage until a scenario finds it, and lists what was not found', async () => {
    const { status, out } = await pkslab('explore', 'irq-in-section', '--sabotage', 'all');
    expect(status).toBe(1);
    const lines = out.trimEnd().split('\n');
    expect(lines).toContainEqual(
      expect.stringMatching(/^state-by-value: found by irq-in-section \(I\d+, 1 event, /),
    );
    // No NMI comes in this scenario, and nothing is flushed.
    expect(lines).toContainEqual('nmi-uncovered: NOT FOUND in 1 scenario (0 do not load it)');
    expect(lines).toContainEqual('flush-without-fence: NOT FOUND in 1 scenario (0 do not load it)');
    expect(lines.at(-1)).toMatch(/^\d+ of \d+ sabotages found, \d+ not$/);
  });

  it('gives one JSON document', async () => {
    const args = ['explore', 'irq-in-section', '--sabotage', 'all', '--json'];
    const document = JSON.parse((await pkslab(...args)).out) as Record<string, unknown>;
    expect(document['results']).toContainEqual(
      expect.objectContaining({ sabotage: 'state-by-value', found: true, events: 1 }),
    );
    expect(document['results']).toHaveLength(document['sabotages'] as number);
  });

  it('takes no credit for what is violated anyway, nor for what changes nothing', async () => {
    const args = ['explore', 'irq-in-section', '--sabotage', 'all', '--revision', 'rfc-v2'];
    const { status, out } = await pkslab(...args);
    expect(status).toBe(1);
    expect(out).toContain('state-by-value: changes nothing, the kernel is so anyway\n');
    expect(out).toContain(
      'entry-saves-nothing: NOT FOUND in 1 scenario (0 do not load it, violated without it too: irq-in-section)\n',
    );
    expect(out).toMatch(/^0 of \d+ sabotages found/m);
  });
});
