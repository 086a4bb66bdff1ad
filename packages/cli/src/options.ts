// SPDX-License-Identifier: MIT
// How every command takes its options: a specification as data, typed values out.

import { parseArgs } from 'node:util';
import { nearest } from './nearest.ts';

/** Where a command writes. Results go to stdout, everything about the run to stderr. */
export interface Io {
  stdout(text: string): void;
  stderr(text: string): void;
}

/** A command: its arguments without its name; the result is the status to exit with. */
export type Command = (args: string[], io: Io) => Promise<number> | number;

/**
 * One option.
 *
 * `integer` takes decimal or 0x…; `size` takes bytes with an optional K, M or G; `list` takes values between
 * commas and may be given more than once.
 */
interface OptionSpec {
  readonly type: 'boolean' | 'string' | 'integer' | 'size' | 'list';
  readonly help: string;
  /** How help names the value, e.g. `N`. */
  readonly value?: string;
  readonly default?: string | number;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
}

interface PositionalSpec {
  readonly name: string;
  readonly help: string;
  /** Default `one`. */
  readonly count?: 'one' | 'optional' | 'any';
}

export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
  readonly positionals?: readonly PositionalSpec[];
  /** Lines after the options. */
  readonly notes?: readonly string[];
  readonly examples?: readonly string[];
}

type BaseValue<S extends OptionSpec> = S['type'] extends 'integer' | 'size' ? number : string;

/** What an option's value is: booleans and lists always have one, the rest if there is a default. */
type OptionValue<S extends OptionSpec> = S['type'] extends 'boolean'
  ? boolean
  : S['type'] extends 'list'
    ? readonly string[]
    : S extends { readonly default: string | number }
      ? BaseValue<S>
      : BaseValue<S> | undefined;

export interface Arguments<S extends CommandSpec> {
  readonly options: { readonly [K in keyof S['options']]: OptionValue<S['options'][K]> };
  readonly positionals: readonly string[];
}

/** What was typed is not what the command takes: exit 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The command cannot do what it was asked: the message says why, exit 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/**
 * Parses arguments by a specification.
 *
 * @throws {UsageError} for an unknown option, a bad value, too few or too many arguments.
 * @example
 * const spec = { name: 'walk', summary: '', options: { cpu: { type: 'integer', help: '', default: 0 } } } as const;
 * parseCommand(spec, ['--cpu', '1']).options.cpu; // => 1
 */
export function parseCommand<const S extends CommandSpec>(spec: S, args: string[]): Arguments<S> {
  const known = Object.entries(spec.options);
  const { tokens } = parseArgs({
    args,
    options: Object.fromEntries(
      known.map(([name, { type }]) => [
        name,
        { type: type === 'boolean' ? ('boolean' as const) : ('string' as const) },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const options: Record<string, unknown> = {};
  for (const [name, option] of known) options[name] = emptyValue(option);
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    else if (token.kind === 'option') take(spec, options, token);
  }
  checkPositionals(spec, positionals);
  return { options: options as Arguments<S>['options'], positionals };
}

/**
 * What every command's function is made of: `--help`, parsing, and errors turned into messages and statuses.
 *
 * @example
 * export const walk: Command = (args, io) =>
 *   runCommand(spec, args, io, ({ options, positionals }) => 0);
 */
export async function runCommand<const S extends CommandSpec>(
  spec: S,
  args: string[],
  io: Io,
  body: (args: Arguments<S>) => Promise<number> | number,
): Promise<number> {
  const end = args.indexOf('--');
  const before = end < 0 ? args : args.slice(0, end);
  if (before.includes('--help') || before.includes('-h')) {
    io.stdout(helpText(spec));
    return 0;
  }
  try {
    return await body(parseCommand(spec, args));
  } catch (error) {
    if (error instanceof UsageError) {
      io.stderr(`pkslab ${spec.name}: ${error.message}\n`);
      io.stderr(`Try: pkslab ${spec.name} --help\n`);
      return 2;
    }
    if (!(error instanceof CommandError)) throw error;
    io.stderr(`pkslab ${spec.name}: ${error.message}\n`);
    return 1;
  }
}

/** ` Did you mean …?`, or nothing where no name is near. */
export function suggestion(word: string, names: readonly string[], prefix = ''): string {
  const name = nearest(word, names);
  return name === null ? '' : ` Did you mean ${prefix}${name}?`;
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

function take(spec: CommandSpec, options: Record<string, unknown>, token: OptionToken): void {
  const { name, rawName, value, inlineValue } = token;
  const option = Object.hasOwn(spec.options, name) ? spec.options[name] : undefined;
  if (option === undefined || rawName !== `--${name}`) {
    const hint = suggestion(name, [...Object.keys(spec.options), 'help'], '--');
    throw new UsageError(`unknown option ${rawName}.${hint}`);
  }
  if (option.type === 'boolean') {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value`);
    options[name] = true;
    return;
  }
  if (value === undefined || (inlineValue !== true && value.startsWith('--'))) {
    throw new UsageError(`${rawName} needs a value: ${rawName} ${option.value ?? 'VALUE'}`);
  }
  options[name] =
    option.type === 'list'
      ? [...(options[name] as string[]), ...listOf(option, rawName, value)]
      : parsedValue(option, rawName, value);
}

function emptyValue(option: OptionSpec): unknown {
  if (option.type === 'boolean') return false;
  return option.type === 'list' ? [] : option.default;
}

function listOf(option: OptionSpec, rawName: string, value: string): string[] {
  const parts = value.split(',').filter((part) => part !== '');
  for (const part of parts) checkChoice(option, rawName, part);
  return parts;
}

function parsedValue(option: OptionSpec, rawName: string, value: string): string | number {
  if (option.type === 'integer') return integerOf(option, rawName, value);
  if (option.type === 'size') return integerOf(option, rawName, value, sizeOf(value));
  checkChoice(option, rawName, value);
  if (value === '') throw new UsageError(`${rawName} needs a value: ${rawName} ${option.value}`);
  return value;
}

function checkChoice({ choices }: OptionSpec, rawName: string, value: string): void {
  if (choices === undefined || choices.includes(value)) return;
  const hint = suggestion(value, choices);
  throw new UsageError(`${rawName} ${value}: there is ${choices.join(', ')}.${hint}`);
}

function integerOf(
  option: OptionSpec,
  rawName: string,
  text: string,
  value: number = numberOf(text),
): number {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = option;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const what = option.type === 'size' ? 'a size such as 4096, 64K, 16M or 1G' : 'a whole number';
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  throw new UsageError(`${rawName} ${text}: expected ${what} ${range}`);
}

function numberOf(text: string): number {
  return /^(-?\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : Number.NaN;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

function sizeOf(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([kmg]?)(?:i?b)?$/i.exec(text) ?? [];
  return digits === '' ? Number.NaN : Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN);
}

function checkPositionals({ positionals = [] }: CommandSpec, given: readonly string[]): void {
  const required = positionals.filter(({ count = 'one' }) => count === 'one');
  const missing = required[given.length];
  if (missing !== undefined) throw new UsageError(`${missing.name} is missing: ${missing.help}`);
  // What a shell makes of "$IMAGE" where the variable is not set.
  const empty = given.indexOf('');
  if (empty >= 0) throw new UsageError(`${positionals[empty]?.name ?? 'an argument'} is empty`);
  const most = positionals.some(({ count }) => count === 'any')
    ? Number.POSITIVE_INFINITY
    : positionals.length;
  if (given.length > most) throw new UsageError(`unexpected argument ${given[most]}`);
}

/** What `--help` prints. */
export function helpText(spec: CommandSpec): string {
  const { positionals = [], notes = [], examples = [] } = spec;
  const options = Object.entries(spec.options);
  const places = positionals.map(({ name, count = 'one' }) =>
    count === 'one' ? ` ${name}` : ` [${name}${count === 'any' ? ' …' : ''}]`,
  );
  const rows: [string, string][] = [
    ...positionals.map(({ name, help }): [string, string] => [name, help]),
    ...options.map(([name, option]): [string, string] => [optionName(name, option), text(option)]),
    ['--help', 'Print this'],
  ];
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = [
    `Usage: pkslab ${spec.name}${places.join('')} [options]`,
    '',
    spec.summary,
    '',
    ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`),
  ];
  if (notes.length > 0) lines.push('', ...notes);
  if (examples.length > 0) lines.push('', 'Examples:', ...examples.map((line) => `  ${line}`));
  return `${lines.join('\n')}\n`;
}

function optionName(name: string, { type, value }: OptionSpec): string {
  return type === 'boolean' ? `--${name}` : `--${name} ${value ?? 'VALUE'}`;
}

function text(option: OptionSpec): string {
  const choices = option.choices === undefined ? '' : ` (${option.choices.join(', ')})`;
  const initial = option.default === undefined ? '' : ` [default: ${option.default}]`;
  return `${option.help}${choices}${initial}`;
}
