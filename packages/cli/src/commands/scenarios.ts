// SPDX-License-Identifier: MIT
// pkslab scenarios

import type { Budget, Scenario } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import { scenarios as catalogue } from '@pkslab/selftests';
import { type Command, runCommand } from '../options.ts';

const spec = {
  name: 'scenarios',
  summary: 'Lists the scenarios that pkslab explore searches.',
  options: { json: { type: 'boolean', help: 'One JSON document on stdout' } },
  examples: ['pkslab scenarios', "pkslab scenarios --json | jq '.[].name'"],
} as const;

const REFERENCE: RevisionRequest = { revision: 'reference', repairs: [], sabotages: [], with: {} };

interface Listed {
  readonly name: string;
  readonly title: string;
  readonly budget: Budget;
  /** Numbers of CPUs that it runs on, the default first. */
  readonly cpus: readonly number[];
  readonly invariants: readonly { readonly id: string; readonly text: string }[];
}

/** Lists the catalogue. */
export const scenarios: Command = (args, io) =>
  runCommand(spec, args, io, ({ options }) => {
    const all = catalogue.map(listed);
    io.stdout(options.json ? `${JSON.stringify(all, null, 2)}\n` : all.map(text).join(''));
    return 0;
  });

function listed(scenario: Scenario): Listed {
  const { name, title, budget } = scenario;
  const { kernel, invariants } = scenario.setup(REFERENCE);
  const cpus = scenario.cpus ?? [kernel.machine.cpus.length];
  return {
    name,
    title,
    budget,
    cpus,
    invariants: invariants.map(({ id, text }) => ({ id, text })),
  };
}

function text({ name, title, budget, cpus }: Listed): string {
  const events = Object.entries(budget)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${kind} ${count}`);
  const on = `${cpus.join(' or ')} CPU${cpus.at(-1) === 1 ? '' : 's'}`;
  return `${name}\n  ${title}\n  ${[on, ...events].join(', ')}\n`;
}
