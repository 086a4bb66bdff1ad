// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { type CommandSpec, helpText, parseCommand, runCommand } from '../src/options.ts';
import { type Captured, captured } from './captured.ts';

const spec = {
  name: 'try',
  summary: 'A command for these tests.',
  options: {
    json: { type: 'boolean', help: 'Print JSON' },
    seed: { type: 'integer', value: 'N', help: 'Seed', default: 7 },
    limit: { type: 'size', help: 'Bytes' },
    repair: { type: 'list', help: 'Repairs', choices: ['D-01', 'D-03', 'D-08'] },
    revision: { type: 'string', help: 'Revision', choices: ['reference', 'rfc-v2'] },
  },
  positionals: [{ name: 'IMAGE', help: 'An image', count: 'optional' }],
} as const satisfies CommandSpec;

const run = (args: string[]): Promise<Captured> =>
  captured((io) => runCommand(spec, args, io, () => 0));

describe('options of a command', () => {
  it('have their defaults when nothing is given', () => {
    const { options, positionals } = parseCommand(spec, []);
    expect(options).toEqual({
      json: false,
      seed: 7,
      limit: undefined,
      repair: [],
      revision: undefined,
    });
    expect(positionals).toEqual([]);
  });

  it('take decimal, hex and sizes, with = or without', () => {
    const { options } = parseCommand(spec, ['--seed=0x10', '--limit', '64M', 'disk.img']);
    expect([options.seed, options.limit]).toEqual([16, 64 * 1024 * 1024]);
  });

  it('collect lists over commas and repeats', () => {
    const { options } = parseCommand(spec, ['--repair', 'D-01,D-03', '--repair', 'D-08']);
    expect(options.repair).toEqual(['D-01', 'D-03', 'D-08']);
  });

  it.each([
    [['--sed', '1'], 'unknown option --sed. Did you mean --seed?'],
    [['--seed'], '--seed needs a value: --seed N'],
    [['--seed', '--json'], '--seed needs a value: --seed N'],
    [['--seed', 'x'], '--seed x: expected a whole number from 0'],
    [['--limit', '1T'], '--limit 1T: expected a size such as 4096, 64K, 16M or 1G from 0'],
    [['--json=yes'], '--json takes no value'],
    [['--revision', 'rfc-v'], '--revision rfc-v: there is reference, rfc-v2. Did you mean rfc-v2?'],
    [['a', 'b'], 'unexpected argument b'],
    [['-x'], 'unknown option -x.'],
  ])('refuse %j and exit 2', async (args, message) => {
    const { status, out, err } = await run(args);
    expect([status, out, err]).toEqual([2, '', `pkslab try: ${message}\nTry: pkslab try --help\n`]);
  });

  it('are all in the help text', async () => {
    const { status, out } = await run(['--help', '--nonsense']);
    expect(status).toBe(0);
    expect(out).toBe(helpText(spec));
    expect(out).toContain('Usage: pkslab try [IMAGE] [options]');
    expect(out).toContain('--seed N');
    expect(out).toContain('[default: 7]');
  });
});
