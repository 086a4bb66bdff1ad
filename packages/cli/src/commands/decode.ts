// SPDX-License-Identifier: MIT
// pkslab decode: what the bits of a value mean.

import { type Decoded, decodeErrorCode, decodePkrs, decodePte } from '../decode.ts';
import { hexValue } from '../hex.ts';
import {
  type Arguments,
  type Command,
  type CommandSpec,
  runCommand,
  suggestion,
  UsageError,
} from '../options.ts';

const KINDS: Readonly<Record<string, (value: bigint) => Decoded>> = {
  pkrs: decodePkrs,
  pte: decodePte,
  'error-code': decodeErrorCode,
};

const spec = {
  name: 'decode',
  summary: 'Explains a value bit by bit.',
  options: { json: { type: 'boolean', help: 'Print one JSON document on stdout' } },
  positionals: [
    { name: 'WHAT', help: 'pkrs, pte or error-code' },
    { name: 'VALUE', help: 'The value, in hex, with or without 0x' },
  ],
  examples: [
    'pkslab decode pkrs 0x55555550',
    'pkslab decode pte 8800000100000063',
    'pkslab decode error-code 0x23',
  ],
} as const satisfies CommandSpec;

/** `pkslab decode WHAT VALUE` */
export const decode: Command = (args, io) =>
  runCommand(spec, args, io, (parsed) => {
    const { value, result } = decoded(parsed);
    io.stdout(parsed.options.json ? json(value, result) : text(value, result));
    return 0;
  });

function decoded({ positionals }: Arguments<typeof spec>): { value: bigint; result: Decoded } {
  const [what = '', given = ''] = positionals;
  const kind = Object.hasOwn(KINDS, what) ? KINDS[what] : undefined;
  if (kind === undefined) {
    const names = Object.keys(KINDS);
    const hint = suggestion(what, names);
    throw new UsageError(`cannot decode ${what}: there is ${names.join(', ')}.${hint}`);
  }
  const value = hexValue(what, given);
  try {
    return { value, result: kind(value) };
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`${what} ${given}: ${error.message}`);
    throw error;
  }
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function text(value: bigint, { what, fields, summary }: Decoded): string {
  const places = Math.max(...fields.map(({ bits }) => bits.length));
  const names = Math.max(...fields.map(({ name }) => name.length));
  const rows = fields.map(
    ({ bits, name, value: field, meaning }) =>
      `  ${bits.padStart(places)}  ${name.padEnd(names)}  ${hex(field).padStart(4)}  ${meaning}`,
  );
  return `${what} ${hex(value)}: ${summary}\n${rows.join('\n')}\n`;
}

function json(value: bigint, { what, fields, summary }: Decoded): string {
  const document = {
    what,
    value: hex(value),
    summary,
    fields: fields.map((field) => ({ ...field, value: hex(field.value) })),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
