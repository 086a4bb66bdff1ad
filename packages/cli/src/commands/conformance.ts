// SPDX-License-Identifier: MIT
// pkslab conformance: replays recorded answers of QEMU and Bochs on the simulated machine.

import { conformanceReport, formatConformance, runSuite, VectorError } from '@pkslab/x86-cpu';
import { readVectorFolder, shippedVectors } from '@pkslab/x86-cpu/node';
import { type Command, CommandError, runCommand, UsageError } from '../options.ts';

const spec = {
  name: 'conformance',
  summary: 'Replays recorded answers of QEMU and Bochs on the machine, every case of every suite.',
  options: { json: { type: 'boolean', help: 'Print one JSON document on stdout' } },
  positionals: [
    {
      name: 'FOLDER',
      help: 'Folders with an index.json; default the vectors that come with pkslab',
      count: 'any',
    },
  ],
  notes: [
    'Exits with 1 if the machine disagrees with a case; byClass counts deviations of QEMU and Bochs.',
  ],
  examples: ['pkslab conformance', 'pkslab conformance ./my-vectors --json'],
} as const;

/** `pkslab conformance [FOLDER …]` */
export const conformance: Command = (args, io) =>
  runCommand(spec, args, io, ({ options, positionals }) => {
    const folders = positionals.length > 0 ? positionals : shippedVectors();
    const results = reported(() => {
      const found = [];
      for (const folder of folders) {
        for (const suite of readVectorFolder(folder)) {
          if (options.json) io.stderr(`${suite.paging} ${suite.suite}\n`);
          found.push(runSuite(suite));
        }
      }
      return found;
    });
    const report = conformanceReport(results);
    io.stdout(options.json ? `${JSON.stringify(report, null, 2)}\n` : formatConformance(results));
    return report.ok ? 0 : 1;
  });

/** Runs, with what is wrong with a file or folder as an error of the command. */
function reported<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof VectorError) throw new CommandError(error.message);
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw new UsageError(error.message);
  }
}
