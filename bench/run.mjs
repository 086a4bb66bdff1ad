// Runs the benchmarks and prints one table: `pnpm bench [--only NAME] [--json]`.
//
// Each module runs in a process of its own, so that what one teaches the compiler is not the next one's.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { printTable } from './table.mjs';

/**
 * Modules in this folder: the function of each that returns its rows, and in how many processes it runs. Calls of
 * some ten nanoseconds depend on what V8 happened to inline by the time it compiled them, so those run in several.
 */
const MODULES = {
  kernel: { rows: 'kernelBenchmarks', processes: 9 },
  pmem: { rows: 'pmemBenchmarks', processes: 3 },
  memremap: { rows: 'memremapBenchmarks', processes: 1 },
  'x86-cpu': { rows: 'x86Benchmarks', processes: 1 },
  explore: { rows: 'exploreBenchmarks', processes: 1 },
  protection: { rows: 'protectionBenchmarks', processes: 5 },
  sqlite: { rows: 'sqliteBenchmarks', processes: 3 },
  nbd: { rows: 'nbdBenchmarks', processes: 1 },
};

const HELP = `Usage: pnpm bench [--only NAME] [--json]

Measures ratios in one run, the two sides of each in turn, and prints the medians.

  --only NAME  only this one, may be repeated: ${Object.keys(MODULES).join(', ')}
  --json       one JSON document on standard output
  --help       this text

A target that is missed is reported, and is no error: the exit status is 0.
`;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
        rows: { type: 'string' },
      },
    });
    for (const name of values.only ?? []) {
      if (!Object.hasOwn(MODULES, name)) {
        throw new Error(`no benchmark ${name}; there are: ${Object.keys(MODULES).join(', ')}`);
      }
    }
    return values;
  } catch (error) {
    process.stderr.write(`bench: ${error.message}\n`);
    process.exit(2);
  }
}

/** In the process of a module: measures, and sends the rows to the parent. */
async function measure(name) {
  const module = await import(`./${name}.mjs`);
  process.send(await module[MODULES[name].rows]());
}

/** Rows of a module, measured in a new process; a row that says so, where it failed. */
function rowsOf(name) {
  return new Promise((resolve) => {
    const args = ['--expose-gc', fileURLToPath(import.meta.url), '--rows', name];
    // Whatever a module prints is progress.
    const child = spawn(process.execPath, args, { stdio: ['ignore', 2, 2, 'ipc'] });
    let rows = [{ name, note: 'failed: see above' }];
    child.on('message', (message) => {
      rows = message;
    });
    child.on('close', () => resolve(rows.map((row) => ({ benchmark: name, ...row }))));
  });
}

/** The row of the process whose ratio is the middle one, with the range of them all. */
function middleOf(samples) {
  const measured = samples.filter((row) => row?.ratio !== undefined);
  if (measured.length < 2) return samples[0];
  measured.sort((x, y) => x.ratio - y.ratio);
  const range = [measured[0].ratio, measured[measured.length - 1].ratio];
  return { ...measured[measured.length >> 1], range };
}

async function main() {
  const { only, json, help, rows: child } = options();
  if (help) return process.stdout.write(HELP);
  if (child !== undefined) return measure(child);
  const rows = [];
  for (const name of only ?? Object.keys(MODULES)) {
    if (!existsSync(new URL(`./${name}.mjs`, import.meta.url))) continue;
    process.stderr.write(`bench: ${name} …\n`);
    const samples = [];
    for (let i = 0; i < MODULES[name].processes; i++) samples.push(await rowsOf(name));
    rows.push(...samples[0].map((_, at) => middleOf(samples.map((sample) => sample[at]))));
  }
  const host = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cpus: cpus().length };
  if (json) process.stdout.write(`${JSON.stringify({ version: 1, host, rows }, null, 2)}\n`);
  else printTable(rows, host);
}

await main();
