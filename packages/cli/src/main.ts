// SPDX-License-Identifier: MIT
// The pkslab command.

import { readFileSync } from 'node:fs';
import { cac } from 'cac';

/** The version in package.json, which is one folder up from src and from dist alike. */
function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Runs the command line and gives the status to exit with. */
export async function main(args: readonly string[]): Promise<number> {
  const cli = cac('pkslab');
  cli
    .command('demo', 'Show what the laboratory does')
    .option('--seed <number>', 'What the choices are made from', { default: 0 })
    .action(({ seed }: { seed: number }) => {
      process.stdout.write(`pkslab: there is no demo yet (seed ${seed})\n`);
    });
  cli.help();
  cli.version(version());
  cli.parse(['node', 'pkslab', ...args]);
  return 0;
}
