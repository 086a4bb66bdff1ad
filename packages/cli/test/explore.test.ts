// SPDX-License-Identifier: MIT
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pkslab, startPkslab, temporaryFolder } from './pkslab.ts';

const KEYS = [
  'scenario',
  'revision',
  'repairs',
  'verdict',
  'invariant',
  'attributedTo',
  'events',
  'operations',
  'executions',
  'states',
  'seconds',
  'seed',
  'schedules',
  'depth',
  'bound',
];

describe('pkslab explore', () => {
  it('finds D-01 in rfc-v2, prints its schedule and exits with 1', async () => {
    const { status, out } = await pkslab('explore', 'irq-in-section', '--revision', 'rfc-v2');
    expect(status).toBe(1);
    expect(out).toContain('irq-in-section on rfc-v2: violated');
    expect(out).toContain('1 event, 10 operations; attributed to D-01');
    expect(out).toContain('>>> irq, vector 0x20');
    expect(out).toContain('wrmsr 0x6e1 := 0');
  });

  it('names both repairs where it takes two, at the head of the report as in the why', async () => {
    const args = ['nmi-in-irq', '--revision', 'rfc-v2', '--repair', 'D-01'];
    const { out } = await pkslab('explore', ...args);
    expect(out).toContain('; attributed to D-02 and D-03 together; none has fewer');
    expect(out).toMatch(/; with D-02 and D-03 the same events break nothing\./);
    const { out: json } = await pkslab('explore', ...args, '--json');
    const [{ attributedTo, explanation }] = JSON.parse(json);
    expect(explanation.attribution).toMatchObject({ changes: ['D-02', 'D-03'], complete: true });
    expect(attributedTo).toBe(explanation.attribution.single);
  });

  it.each([
    ['random', null],
    ['pct', 4],
  ])('can repeat a %s search from its JSON alone', async (strategy, depth) => {
    const search = async (options: Readonly<Record<string, unknown>>) => {
      const given = Object.entries(options).filter(([, value]) => value !== null);
      const args = given.flatMap(([name, value]) => [`--${name}`, String(value)]);
      const scenario = ['kmap-handover', '--revision', 'rfc-v2', '--json'];
      const { out } = await pkslab('explore', ...scenario, ...args);
      const [{ seconds: _, ...rest }] = JSON.parse(out);
      return rest;
    };
    const first = await search({ strategy, seed: 77, schedules: 40, depth });
    expect(first).toMatchObject({ strategy, seed: 77, schedules: 40, depth });
    const { seed, schedules } = first;
    expect(await search({ strategy: first.strategy, seed, schedules, depth: first.depth })).toEqual(
      first,
    );
    expect(await search({})).toMatchObject({ seed: null, schedules: null, depth: null });
  });

  it('says that the repaired revision holds, what was searched, and exits with 0', async () => {
    const args = ['irq-in-section', '--revision', 'rfc-v2', '--repair', 'D-01'];
    const { status, out } = await pkslab('explore', ...args);
    expect(status).toBe(0);
    expect(out).toContain('irq-in-section on rfc-v2 with D-01 repaired: holds');
    expect(out).toContain('space: 1 CPU(s), irq 1, nmi 0, preempt 0, pageFault 0,');
    expect(out).toMatch(/\d+ operation sites reached, 0 \(site, event\) pairs undelivered/);
  });

  it('never says holds of a search that did not finish: it is incomplete, exit 3', async () => {
    const { status, out } = await pkslab('explore', 'everything', '--max-states', '1000', '--json');
    expect(status).toBe(3);
    expect(JSON.parse(out)).toMatchObject([{ scenario: 'everything', verdict: 'incomplete' }]);
  });

  it('writes one JSON document with every key of the format', async () => {
    const { status, out } = await pkslab('explore', 'nmi-in-section', 'kmap-handover', '--json');
    expect(status).toBe(0);
    const results = JSON.parse(out) as Record<string, unknown>[];
    expect(results.map(({ scenario }) => scenario)).toEqual(['nmi-in-section', 'kmap-handover']);
    for (const result of results) expect(Object.keys(result)).toEqual(expect.arrayContaining(KEYS));
  });

  it('takes a budget of events, and a sabotage that must be found', async () => {
    const args = ['nmi-in-section', '--sabotage', 'nmi-uncovered', '--json'];
    const { out } = await pkslab('explore', ...args);
    expect(JSON.parse(out)).toMatchObject([{ verdict: 'violated', invariant: 'I3', events: 1 }]);
    const none = await pkslab('explore', ...args, '--nmi', '0');
    expect(JSON.parse(none.out)).toMatchObject([{ verdict: 'holds', bound: { nmi: 0 } }]);
  });

  it('replaces single choices, as the report says', async () => {
    const args = ['preempt-in-section', '--with', 'schedHook=xtraOnly'];
    const { status, out } = await pkslab('explore', ...args);
    expect(status).toBe(1);
    expect(out).toContain('preempt-in-section on reference with schedHook=xtraOnly: violated');
  });

  it('searches by another strategy, and says so', async () => {
    const args = ['nmi-in-section', '--revision', 'rfc-v2'];
    const random = await pkslab('explore', ...args, '--strategy', 'random', '--seed', '3');
    expect(random.out).toMatch(
      /^nmi-in-section on rfc-v2: violated .*\n {2}search: random, seed 3, at most 10000 schedules, events /,
    );
    expect(random.out).toContain('; others may have fewer');
    const { out } = await pkslab('explore', ...args, '--strategy', 'stateful', '--json');
    expect(JSON.parse(out)).toMatchObject([{ strategy: 'stateful', minimal: { events: false } }]);
    const fewest = await pkslab('explore', ...args, '--exact', '--json');
    expect(JSON.parse(fewest.out)).toMatchObject([
      { strategy: 'exhaustive', collisionOdds: 0, minimal: { events: true, operations: true } },
    ]);
  });

  it('says how states were told apart, how sure that is, and what was left out', async () => {
    const args = ['preempt-in-section', '--cpus', '2', '--strategy', 'stateful'];
    const { out } = await pkslab('explore', ...args, '--deliver', 'conflict');
    expect(out).toMatch(
      /search: stateful, events where they conflict, reduced by ample sets, 64-bit hashes \(1 in \d+ \w+illion/,
    );
    const exact = await pkslab('explore', 'nmi-in-section', '--exact');
    expect(exact.out).toContain(
      'search: exhaustive, events before every operation, whole states\n',
    );
  });

  it('goes on from a saved trace', async () => {
    const file = join(temporaryFolder(), 'nmi.json');
    await pkslab('explore', 'nmi-in-section', '--sabotage', 'nmi-uncovered', '--trace', file);
    const guided = ['--strategy', 'guided', '--guide', file, '--nmi', '2'];
    const { status, out } = await pkslab('explore', 'nmi-in-section', ...guided, '--json');
    expect(status).toBe(0);
    const [result] = JSON.parse(out) as { guidedSteps: number }[];
    expect(result).toMatchObject({ strategy: 'guided', verdict: 'holds', exact: false });
    expect(result?.guidedSteps).toBeGreaterThan(1);
    const text = await pkslab('explore', 'nmi-in-section', ...guided);
    expect(text.out).toContain(`search: guided, ${result?.guidedSteps} steps of the trace first,`);
  });

  it('refuses to go on from a trace that does not fit', async () => {
    const file = join(temporaryFolder(), 'nmi.json');
    await pkslab('explore', 'nmi-in-section', '--revision', 'rfc-v2', '--trace', file);
    const guided = ['--strategy', 'guided', '--guide', file];
    const { status, err } = await pkslab('explore', 'nmi-in-section', ...guided);
    expect(status).toBe(2);
    expect(err).toContain('the trace diverged at ');
  });

  it('takes machine checks, migrations, and where events are delivered', async () => {
    const events = ['--machine-check', '1', '--migrate', '1', '--deliver', 'conflict'];
    const args = ['nmi-in-section', '--nmi', '0', ...events, '--json'];
    const [result] = JSON.parse((await pkslab('explore', ...args)).out) as object[];
    expect(result).toMatchObject({
      deliver: 'conflict',
      bound: { nmi: 0, machineCheck: 1, migrate: 1 },
    });
  });

  it('takes a number of CPUs where the scenario has it', async () => {
    const { out } = await pkslab('explore', 'preempt-in-section', '--cpus', '2', '--json');
    expect(JSON.parse(out)).toMatchObject([{ verdict: 'holds', bound: { cpus: 2 } }]);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('on %s prints what was covered and exits with %i', async (signal, wanted) => {
    const { process, says, finished } = startPkslab(['explore', 'everything', 'irq-in-section']);
    await says('states');
    process.kill(signal);
    const { status, out } = await finished;
    expect(status).toBe(wanted);
    expect(out).toMatch(/^everything on reference: incomplete/);
    expect(out).toMatch(/\d+ operation sites reached/);
    expect(out).not.toContain('irq-in-section');
  });

  it.each([
    [['irq-in-sectoin'], 'Did you mean irq-in-section?'],
    [['irq-in-section', '--repair', 'D-99'], 'unknown repair D-99: there is'],
    [['irq-in-section', '--repair', 'D-1'], 'Did you mean D-01?'],
    [['irq-in-section', '--sabotage', 'nmi-uncoverd'], 'Did you mean nmi-uncovered?'],
    [['irq-in-section', '--with', 'schedHok=xtraOnly'], 'Did you mean schedHook?'],
    [['irq-in-section', '--with', 'schedHook=xtraonly'], 'Did you mean xtraOnly?'],
    [['irq-in-section', '--with', 'schedHook'], '--with schedHook: expected CHOICE=VALUE'],
    [['irq-in-section', '--all'], '--all is every scenario: leave out irq-in-section'],
    [['irq-in-section', '--cpus', '2'], 'irq-in-section cannot run on 2 CPUs: it has one number'],
    [['stray-store', '--cpus', '3'], 'stray-store cannot run on 3 CPUs: it runs on 1 or 2'],
    [['irq-in-section', '--revision', 'v9'], '--revision v9: there is reference, rfc-v2'],
    [['irq-in-section', '--irk', '1'], 'Did you mean --irq?'],
    [[], 'name a scenario, or say --all'],
    [['irq-in-section', '--strategy', 'depth'], '--strategy depth: there is exhaustive'],
    [['irq-in-section', '--strategy', 'guided'], '--guide FILE belong together'],
    [['irq-in-section', '--guide', 'x.json'], '--guide FILE belong together'],
  ])('exits with 2 and says what to do: %j', async (args, message) => {
    const { status, out, err } = await pkslab('explore', ...args);
    expect(status).toBe(2);
    expect(out).toBe('');
    expect(err).toContain(message);
  });
});
