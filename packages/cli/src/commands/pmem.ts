// SPDX-License-Identifier: MIT
// pkslab pmem: images of persistent memory, made, looked at, checked and served.

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { KernelError } from '@pkslab/kernel';
import {
  encodeInfoBlock,
  type InfoBlock,
  type InfoBlockMap,
  type InfoBlockMode,
  infoBlockFor,
} from '@pkslab/pmem';
import { createImage, MediaError, ServeError } from '@pkslab/pmem/node';
import {
  type Arguments,
  type Command,
  type CommandSpec,
  type Io,
  runCommand,
  suggestion,
  UsageError,
} from '../options.ts';
import { check } from '../pmem/check.ts';
import { info } from '../pmem/image.ts';
import { serve } from '../pmem/serve.ts';

const createSpec = {
  name: 'pmem create',
  summary: `Makes an image of a persistent-memory device: a sparse file, all zero but for the info block of the namespace
that it is to be (struct nd_pfn_sb, as ndctl create-namespace leaves it), if any.`,
  positionals: [{ name: 'IMAGE', help: 'The file to make' }],
  options: {
    size: { type: 'size', value: 'BYTES', help: 'Its size, a multiple of 4096', min: 4096 },
    mode: {
      type: 'string',
      value: 'MODE',
      help: 'raw: no info block; fsdax: a block device; devdax: programs map it',
      choices: ['raw', 'fsdax', 'devdax'],
      default: 'raw',
    },
    align: { type: 'size', value: 'BYTES', help: 'Its pages: 4K, 2M (default) or 1G', min: 4096 },
    map: {
      type: 'string',
      value: 'WHERE',
      help: 'Room for struct pages: on the device (dev, default) or in RAM (mem)',
      choices: ['mem', 'dev'],
    },
    uuid: { type: 'string', value: 'UUID', help: 'Its uuid; default: a new one' },
  },
  examples: [
    'pkslab pmem create disk.img --size 1G',
    'pkslab pmem create disk.img --size 1G --mode devdax --align 1G',
  ],
} as const satisfies CommandSpec;

const create: Command = (args, io) =>
  runCommand(createSpec, args, io, ({ options, positionals }) => {
    const [image = ''] = positionals;
    const { size } = options;
    if (size === undefined) throw new UsageError('--size is missing: give --size 64M, say');
    const block = infoBlockOf(size, options);
    if (block === null) {
      createImage(image, size);
      io.stdout(`${image}: ${size} bytes\n`);
    } else {
      createImage(image, size, encodeInfoBlock(block));
      const { mode, npfns, dataoff, uuid } = block;
      io.stdout(
        `${image}: ${size} bytes, ${mode}, ${npfns * 4096} bytes of data from byte ${dataoff}, uuid ${uuid}\n`,
      );
    }
    return 0;
  });

function infoBlockOf(
  size: number,
  options: Arguments<typeof createSpec>['options'],
): InfoBlock | null {
  const { mode, align, map, uuid = randomUUID() } = options;
  if (mode === 'raw') {
    const given = (['align', 'map', 'uuid'] as const).find((name) => options[name] !== undefined);
    if (given !== undefined) throw new UsageError(`--${given}: only with --mode fsdax or devdax`);
    return null;
  }
  return infoBlockFor({
    ...{ size, mode: mode as InfoBlockMode, uuid },
    ...(align === undefined ? {} : { align }),
    ...(map === undefined ? {} : { map: map as InfoBlockMap }),
  });
}

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
    if (!(error instanceof KernelError || error instanceof ServeError)) throw error;
    io.stderr(`pkslab pmem ${name}: ${hint(error)}\n`);
    return 1;
  }
};

/** The library's remedy, in the words of the command line. */
function hint(error: KernelError | ServeError): string {
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
