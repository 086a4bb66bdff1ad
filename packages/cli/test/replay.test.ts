// SPDX-License-Identifier: MIT
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pkslab, temporaryFolder } from './pkslab.ts';

const FOUND = ['explore', 'nmi-in-section', '--revision', 'rfc-v2', '--repair', 'D-01'];

async function savedTrace(): Promise<{ folder: string; file: string }> {
  const folder = temporaryFolder();
  const file = join(folder, 'nmi.json');
  await pkslab(...FOUND, '--trace', file);
  return { folder, file };
}

describe('pkslab explore --trace', () => {
  it('writes the events of the schedule, and leaves nothing else', async () => {
    const { folder, file } = await savedTrace();
    expect(readdirSync(folder)).toEqual(['nmi.json']);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      format: 'pkslab-trace',
      version: 1,
      scenario: 'nmi-in-section',
      revision: 'rfc-v2',
      repairs: ['D-01'],
      violation: { invariant: 'I3' },
      points: [{ event: 'nmi', routine: 'A:0' }],
    });
  });

  it('writes nothing where nothing is violated, and says so', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'none.json');
    const { status, err } = await pkslab('explore', 'nmi-in-section', '--trace', file);
    expect(status).toBe(0);
    expect(err).toContain(`nothing is violated: ${file} is not written`);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('refuses a file that cannot be written, and leaves no temporary one', async () => {
    const folder = temporaryFolder();
    const missing = join(folder, 'missing', 'x.json');
    const first = await pkslab(...FOUND, '--trace', missing);
    expect([first.status, first.out]).toEqual([1, '']);
    expect(first.err).toContain(`cannot write ${missing}: no such folder`);
    // A folder of that name is there already.
    mkdirSync(join(folder, 'taken'));
    const second = await pkslab(...FOUND, '--trace', join(folder, 'taken'));
    expect(second.status).toBe(1);
    expect(second.err).toContain(`cannot write ${join(folder, 'taken')}`);
    expect(readdirSync(folder)).toEqual(['taken']);
  });

  it.each([
    [['--all', '--trace', 'x'], '--trace is for one scenario'],
    [['irq-in-section', 'nmi-in-section', '--format', 'chrome'], '--format is for one scenario'],
    [['irq-in-section', '--format', 'svg'], 'there is text, mermaid, chrome'],
    [['irq-in-section', '--format', 'chrome', '--json'], '--json or --format, not both'],
  ])('refuses %j', async (args, message) => {
    const { status, err } = await pkslab('explore', ...args);
    expect(status).toBe(2);
    expect(err).toContain(message);
  });
});

describe('pkslab explore --format', () => {
  it('prints a document of the Trace Event Format alone on stdout', async () => {
    const { status, out, err } = await pkslab(...FOUND, '--format', 'chrome');
    expect(status).toBe(1);
    const { traceEvents } = JSON.parse(out) as { traceEvents: { ph: string; name: string }[] };
    expect(traceEvents.find(({ name }) => name === 'A nmi')).toMatchObject({ ph: 'X' });
    expect(err).toContain('violated');
  });

  it('prints a Mermaid diagram alone on stdout', async () => {
    const { out } = await pkslab(...FOUND, '--format', 'mermaid');
    expect(out).toMatch(/^sequenceDiagram\n {2}participant p0 as CPU 0, A\n/);
  });
});

describe('pkslab replay', () => {
  it('breaks the same invariant on the same kernel: exit 1', async () => {
    const { file } = await savedTrace();
    const { status, out } = await pkslab('replay', file);
    expect(status).toBe(1);
    expect(out).toMatch(/^nmi-in-section on rfc-v2 with D-01 repaired\n/);
    expect(out).toContain('>>> nmi');
    expect(out).toMatch(/\nviolated: I3 \(as in the trace\)\n$/);
  });

  it('breaks nothing with one more repair: exit 0', async () => {
    const { file } = await savedTrace();
    const { status, out } = await pkslab('replay', file, '--repair', 'D-03');
    expect(status).toBe(0);
    expect(out).toMatch(/^nmi-in-section on rfc-v2 with D-01, D-03 repaired\n/);
    expect(out).toMatch(/the events break nothing here \(the trace broke I3\)\n$/);
  });

  it('starts from another revision as posted where one is given', async () => {
    const { file } = await savedTrace();
    const { out } = await pkslab('replay', file, '--revision', 'reference', '--json');
    expect(JSON.parse(out)).toMatchObject({
      revision: 'reference',
      repairs: [],
      outcome: 'diverged',
    });
  });

  it('says where it diverged: exit 3', async () => {
    const { file } = await savedTrace();
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"occurrence": \d/, '"occurrence": 9'));
    const { status, out } = await pkslab('replay', file);
    expect(status).toBe(3);
    expect(out).toMatch(/\ndiverged at nmi on CPU 0: before .+ passed 9 times before\)\n$/);
  });

  it('numbers the steps where there is no terminal', async () => {
    const { file } = await savedTrace();
    const { status, out } = await pkslab('replay', file, '--step');
    expect(status).toBe(1);
    expect(out).toMatch(/\n 1 {2}A .+\n 2 {2}A /);
    expect(out).toContain('violated: I3');
    expect(out).not.toContain('Enter');
  });

  it('gives one JSON document', async () => {
    const { file } = await savedTrace();
    const { status, out } = await pkslab('replay', file, '--json');
    expect(status).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      scenario: 'nmi-in-section',
      outcome: 'violated',
      reproduced: true,
      divergedAt: null,
      recording: { cpus: 1, backtrace: expect.arrayContaining(['exc_nmi']) },
    });
  });

  it.each([
    ['{', 'not JSON'],
    ['{"format": "pkslab-trace", "version": 7}', 'trace version 7 cannot be read'],
    ['{"a": 1}', 'not a pkslab trace: format is missing'],
  ])('refuses a file that holds %s', async (text, message) => {
    const file = join(temporaryFolder(), 'bad.json');
    writeFileSync(file, text);
    const { status, out, err } = await pkslab('replay', file);
    expect([status, out]).toEqual([1, '']);
    expect(err).toContain(`${file}: ${message}`);
  });

  it('refuses a scenario that there is not, a missing file, and options that do not fit', async () => {
    const { file } = await savedTrace();
    writeFileSync(file, readFileSync(file, 'utf8').replace('nmi-in-section', 'nmi-in-secton'));
    const unknown = await pkslab('replay', file);
    expect(unknown.status).toBe(1);
    expect(unknown.err).toContain('no scenario nmi-in-secton here. Did you mean nmi-in-section?');
    expect((await pkslab('replay', `${file}x`)).err).toContain(
      `cannot read ${file}x: no such file`,
    );
    expect((await pkslab('replay')).status).toBe(2);
    expect((await pkslab('replay', file, '--step', '--json')).err).toContain('--step is for text');
  });
});

describe('--engine live', () => {
  it('replays a trace on the code itself, and says that both engines did the same', async () => {
    const { file } = await savedTrace();
    const { status, out } = await pkslab('replay', file, '--engine', 'live');
    expect(status).toBe(1);
    expect(out).toContain(
      'violated: I3 (as in the trace)\nthe live engine did the same at each step',
    );
    const json = await pkslab('replay', file, '--engine', 'live', '--json');
    expect(JSON.parse(json.out)).toMatchObject({ engine: 'live', outcome: 'violated' });
  });

  it('walks random schedules on both engines, and refuses a search', async () => {
    const walk = ['--strategy', 'random', '--schedules', '5', '--engine', 'live'];
    const walked = await pkslab('explore', 'irq-in-section', ...walk, '--json');
    expect(JSON.parse(walked.out)).toMatchObject([{ engine: 'live', executions: 5 }]);
    const { status, err } = await pkslab('explore', 'irq-in-section', '--engine', 'live');
    expect(status).toBe(2);
    expect(err).toContain('the live engine runs single schedules');
  });
});
