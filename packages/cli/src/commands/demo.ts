// SPDX-License-Identifier: MIT
// pkslab demo: SQLite on protected persistent memory, and a driver that writes where it should not.

import { defaultPmemLimit, MediaError } from '@pkslab/pmem/node';
import { complaints, ImageError, loadSqlite, type PhaseResult } from '@pkslab/selftests';
import { DemoImages } from '../demo/images.ts';
import { onInterrupt } from '../demo/interrupt.ts';
import { ProgressLine } from '../demo/progress.ts';
import { demoJson, demoReport, oopsReport } from '../demo/report.ts';
import { type PhaseOutcome, runOnImage } from '../demo/run.ts';
import {
  type Arguments,
  type Command,
  CommandError,
  type CommandSpec,
  type Io,
  runCommand,
} from '../options.ts';

const spec = {
  name: 'demo',
  summary: `Runs SQLite on a protected persistent-memory device while a buggy driver fires stray writes at it,
then the same without protection, and says what reached the data.`,
  positionals: [
    {
      name: 'IMAGE',
      help: 'The image of the device, made if there is none; default: in a temporary folder',
      count: 'optional',
    },
  ],
  options: {
    seed: { type: 'integer', value: 'N', help: 'What every choice is made from', default: 1 },
    transactions: { type: 'integer', value: 'N', help: 'Transactions', default: 8000, min: 1 },
    strays: { type: 'integer', value: 'N', help: 'Stray writes', default: 80_000, min: 20 },
    size: { type: 'size', value: 'BYTES', help: 'Size of a new image', default: 16 * 2 ** 20 },
    'pmem-limit': {
      type: 'size',
      value: 'BYTES',
      help: 'Device memory kept in host memory; default: half of it',
      min: 4 * 2 ** 20,
    },
    json: { type: 'boolean', help: 'Print one JSON document on stdout' },
    keep: { type: 'boolean', help: 'Keep the write log, the copies and a temporary image' },
  },
  notes: [
    'Exit status: 0 if with protection nothing else reached the media and all data is right, and without it',
    'at least one stray write landed; 1 if not; 130 after Ctrl-C, which leaves an image that opens.',
  ],
  examples: [
    'pkslab demo',
    'pkslab demo disk.img --seed 7 --json',
    'pkslab demo --transactions 500',
  ],
} as const satisfies CommandSpec;

type Options = Arguments<typeof spec>['options'];

/** `pkslab demo [IMAGE]` */
export const demo: Command = (args, io) =>
  runCommand(spec, args, io, async ({ options, positionals }) => {
    const images = openImages(positionals[0], options);
    const interrupt = onInterrupt();
    try {
      return await runDemo(images, options, io, interrupt);
    } catch (error) {
      if (error instanceof ImageError)
        throw new CommandError(`image ${images.path}: ${error.message}; choose another file`);
      throw expected(error);
    } finally {
      interrupt.dispose();
      images.remove(options.keep);
      if (options.keep) io.stderr(`kept: ${images.kept}\n`);
    }
  });

function openImages(path: string | undefined, options: Options): DemoImages {
  try {
    return new DemoImages(path, options.size);
  } catch (error) {
    throw expected(error);
  }
}

/** What a user can do something about, without a stack. */
function expected(error: unknown): unknown {
  const known = error instanceof MediaError || error instanceof RangeError;
  return known ? new CommandError(error.message) : error;
}

async function runDemo(
  images: DemoImages,
  options: Options,
  io: Io,
  interrupt: ReturnType<typeof onInterrupt>,
): Promise<number> {
  const { seed, transactions, strays } = options;
  io.stderr(`image: ${images.path}\n`);
  io.stderr(`seed ${seed}, ${transactions} transactions, ${strays} stray writes, 2 CPUs\n`);
  const sqlite3 = await loadSqlite();
  const run = async (isProtected: boolean): Promise<PhaseOutcome> => {
    const line = new ProgressLine(io, isProtected ? 'protected' : 'unprotected', transactions);
    const outcome = await runOnImage(images, {
      sqlite3,
      protected: isProtected,
      seed,
      transactions,
      strays,
      pmemLimit: options['pmem-limit'] ?? defaultPmemLimit(),
      progress: (progress) => line.show(progress, interrupt),
    });
    line.end();
    return outcome;
  };
  const on = await run(true);
  if (on.result.oops !== null) io.stderr(oopsReport(on.result.oops));
  if (on.result.interrupted) return interrupted(io, on.result);
  const off = await run(false);
  if (off.result.interrupted) return interrupted(io, on.result);
  const problems = complaints(on.result, on.difference);
  const landed = off.result.landed.length;
  if (landed === 0) problems.push('without protection no stray write landed: this proves nothing');
  const ok = problems.length === 0;
  const report = { ok, seed, on, off, problems };
  if (options.json) {
    io.stderr(demoReport(report));
    io.stdout(demoJson(report));
  } else {
    io.stdout(demoReport(report));
  }
  return ok ? 0 : 1;
}

function interrupted(io: Io, { transactions }: PhaseResult): number {
  io.stderr(
    `interrupted after ${transactions} transactions; the image is closed and opens again\n`,
  );
  return 130;
}
