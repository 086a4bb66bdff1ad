// SPDX-License-Identifier: MIT
// pkslab pmem: images of persistent memory, made, looked at, checked and served.

import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { createImage, MediaError, ServeError } from '@pkslab/pmem/node';
import {
  type Command,
  type CommandSpec,
  type Io,
  runCommand,
  suggestion,
  UsageError,
} from '../options.ts';
import { check, info } from '../pmem/image.ts';
import { serve } from '../pmem/serve.ts';

const createSpec = {
  name: 'pmem create',
  summary: 'Makes an image of a persistent-memory device: a sparse file, all zero.',
  positionals: [{ name: 'IMAGE', help: 'The file to make' }],
  options: {
    size: { type: 'size', value: 'BYTES', help: 'Its size, a multiple of 4096', min: 4096 },
  },
  examples: ['pkslab pmem create disk.img --size 1G'],
} as const satisfies CommandSpec;

const create: Command = (args, io) =>
  runCommand(createSpec, args, io, ({ options, positionals }) => {
    const [image = ''] = positionals;
    const { size } = options;
    if (size === undefined) throw new UsageError('--size is missing: give --size 64M, say');
    createImage(image, size);
    io.stdout(`${image}: ${size} bytes\n`);
    return 0;
  });

const subcommands: Readonly<Record<string, { summary: string; run: Command }>> = {
  create: { summary: 'Make an image', run: create },
  info: { summary: 'Say what an image is, and who uses it', run: info },
  check: { summary: 'Read an image through the protected path and compare it', run: check },
  serve: { summary: 'Serve an image over NBD, to programs and to the kernel', run: serve },
};

/** `pkslab pmem create|info|check|serve` */
export const pmem: Command = async (args, io) => {
  const [name = '', ...rest] = args;
  if (name === '--help' || name === '-h') {
    io.stdout(overview());
    return 0;
  }
  const entry = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (entry === undefined) return unknown(name, io);
  try {
    return await entry.run(rest, io);
  } catch (error) {
    // These say what to do: no stack is wanted.
    if (!(error instanceof MediaError || error instanceof ServeError)) throw error;
    io.stderr(`pkslab pmem ${name}: ${hint(error)}\n`);
    return 1;
  }
};

/** The library's remedy, in the words of the command line. */
function hint(error: MediaError | ServeError): string {
  if (!(error instanceof MediaError)) return error.message;
  const { code, path, message } = error;
  if (code === 'missing' && existsSync(dirname(path))) {
    return `image ${path}: there is no such file; make it with pkslab pmem create ${path} --size 64M`;
  }
  if (code === 'missing') {
    return `image ${path}: there is no folder ${dirname(path)}; make it first`;
  }
  if (code === 'readOnly') return message.replace('{ readOnly: true }', '--read-only');
  return message;
}

function unknown(name: string, io: Io): number {
  const what = name === '' ? 'give a command' : `unknown command ${name}.`;
  const near = name === '' ? '' : suggestion(name, Object.keys(subcommands));
  io.stderr(`pkslab pmem: ${what}${near}\n${overview()}`);
  return 2;
}

function overview(): string {
  const rows = Object.entries(subcommands).map(
    ([name, { summary }]) => `  ${name.padEnd(8)}${summary}`,
  );
  return [
    'Usage: pkslab pmem COMMAND IMAGE [options]',
    '',
    ...rows,
    '',
    '  pkslab pmem COMMAND --help   Arguments and options of a command',
    '',
  ].join('\n');
}
