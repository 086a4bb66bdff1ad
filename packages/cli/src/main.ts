// SPDX-License-Identifier: MIT
// The pkslab command: finds the command by its name and hands it the rest.

import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { type Command, type Io, suggestion } from './options.ts';
import { processOutput } from './output.ts';

interface Entry {
  readonly summary: string;
  /** Only the command that was asked for is loaded. */
  load(): Promise<Command>;
}

const commands: Readonly<Record<string, Entry>> = {
  demo: {
    summary: 'Run SQLite on protected persistent memory while a buggy driver fires stray writes',
    load: async () => (await import('./commands/demo.ts')).demo,
  },
  explore: {
    summary: 'Run scenarios under every interleaving and print the shortest one that breaks them',
    load: async () => (await import('./commands/explore.ts')).explore,
  },
  replay: {
    summary: 'Run a trace that explore saved again, step by step or on another kernel',
    load: async () => (await import('./commands/replay.ts')).replay,
  },
  scenarios: {
    summary: 'List the scenarios that explore searches',
    load: async () => (await import('./commands/scenarios.ts')).scenarios,
  },
  selftests: {
    summary: 'Run the test programme of the series and ours, or see whether it notices sabotage',
    load: async () => (await import('./commands/selftests.ts')).selftests,
  },
  revisions: {
    summary: 'List the revisions of the series, or show some side by side',
    load: async () => (await import('./commands/revisions.ts')).revisions,
  },
  pmem: {
    summary:
      'Make, check and serve images of persistent memory, over NBD through the protected path',
    load: async () => (await import('./commands/pmem.ts')).pmem,
  },
  decode: {
    summary: 'Explain a PKRS value, a page-table entry or a page-fault error code',
    load: async () => (await import('./commands/decode.ts')).decode,
  },
  walk: {
    summary: 'Walk the page tables of the booted stack, level by level',
    load: async () => (await import('./commands/walk.ts')).walk,
  },
  conformance: {
    summary: 'Check the access-rights model against recorded answers of other implementations',
    load: async () => (await import('./commands/conformance.ts')).conformance,
  },
};

/** Runs the command line and gives the status to exit with: 141 where a reader of its output is gone. */
export async function main(args: readonly string[], io?: Io): Promise<number> {
  if (io !== undefined) return dispatch(args, io);
  const output = processOutput();
  const status = await dispatch(args, output.io);
  // What a stream still has to report arrives before this.
  await setImmediate();
  return output.statusOf(status);
}

async function dispatch(args: readonly string[], io: Io): Promise<number> {
  const [name = '', ...rest] = args;
  if (name === '--version' || name === '-v') {
    io.stdout(`pkslab ${version()}\n`);
    return 0;
  }
  const help = name === '--help' || name === '-h' || name === 'help';
  if (help) return printHelp(rest[0], io);
  if (name === '') {
    io.stderr(overview());
    return 2;
  }
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined) return unknown(name, io);
  try {
    return await (await entry.load())(rest, io);
  } catch (error) {
    // Commands report what they expect; what is left is ours to explain, or a bug.
    const known = error instanceof Error && 'errno' in error;
    const text = error instanceof Error && !known ? (error.stack ?? error.message) : String(error);
    io.stderr(`pkslab ${name}: ${text}\n`);
    return 1;
  }
}

/** `pkslab help demo` is `pkslab demo --help`. */
async function printHelp(name: string | undefined, io: Io): Promise<number> {
  if (name === undefined || name.startsWith('-')) {
    io.stdout(overview());
    return 0;
  }
  return dispatch([name, '--help'], io);
}

function unknown(name: string, io: Io): number {
  const what = name.startsWith('-') ? 'option' : 'command';
  const names = what === 'option' ? ['--help', '--version'] : Object.keys(commands);
  io.stderr(`pkslab: unknown ${what} ${name}.${suggestion(name, names)}\nTry: pkslab --help\n`);
  return 2;
}

function overview(): string {
  const names = Object.keys(commands);
  const width = Math.max(...names.map((name) => name.length));
  const rows = names.map((name) => `  ${name.padEnd(width)}  ${commands[name]?.summary}`);
  return [
    'Usage: pkslab COMMAND [arguments]',
    '',
    'The Linux supervisor-protection-key series on a simulated machine.',
    '',
    ...rows,
    '',
    '  pkslab COMMAND --help   Arguments and options of a command',
    '  pkslab --version        The version',
    '',
  ].join('\n');
}

/** The version in package.json, which is one folder up from src and from dist alike. */
function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
