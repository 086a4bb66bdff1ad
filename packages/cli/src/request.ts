// SPDX-License-Identifier: MIT
// Which kernel a command runs: the options that say so, and what they come to.

import {
  type ChoiceSlice,
  type Choices,
  type RevisionName,
  type RevisionRequest,
  revisionNames,
} from '@pkslab/kernel';
import { stackSlices } from '@pkslab/selftests';
import { suggestion, UsageError } from './options.ts';

/** For the options of a command. */
export const requestOptions = {
  revision: {
    type: 'string',
    value: 'R',
    help: 'The revision of the series',
    choices: revisionNames as readonly string[],
    default: 'reference',
  },
  repair: { type: 'list', value: 'LIST', help: 'Reported defects to repair, e.g. D-01,D-08' },
  sabotage: { type: 'list', value: 'LIST', help: 'Protections to break' },
  with: { type: 'list', value: 'CHOICE=VALUE', help: 'Single design choices to replace' },
} as const;

interface RequestValues {
  readonly revision: string;
  readonly repair: readonly string[];
  readonly sabotage: readonly string[];
  readonly with: readonly string[];
}

/** Every repair and sabotage that a module of the stack knows. */
const repairNames = namesOf((slice) => slice.repairs);
export const sabotageNames: readonly string[] = namesOf((slice) => slice.sabotages ?? {});

/**
 * The kernel that the options ask for.
 *
 * @throws {UsageError} for a name that no module of the stack knows, with the nearest that one does.
 */
export function requestOf(options: RequestValues): RevisionRequest {
  for (const name of options.repair) known('repair', name, repairNames);
  for (const name of options.sabotage) known('sabotage', name, sabotageNames);
  return {
    revision: options.revision as RevisionName,
    repairs: options.repair,
    sabotages: options.sabotage,
    with: choicesOf(options.with),
  };
}

/** `reference with D-01 repaired`: a request in words. */
export function requestText({
  revision,
  repairs,
  sabotages,
  with: choices,
}: RevisionRequest): string {
  const pairs = Object.entries(choices).map(([name, value]) => `${name}=${value}`);
  const parts: string[] = [revision];
  if (repairs.length > 0) parts.push(`with ${repairs.join(', ')} repaired`);
  if (sabotages.length > 0) parts.push(`broken by ${sabotages.join(', ')}`);
  if (pairs.length > 0) parts.push(`with ${pairs.join(', ')}`);
  return parts.join(' ');
}

function namesOf(table: (slice: ChoiceSlice) => Readonly<Record<string, Choices>>): string[] {
  return [...new Set(stackSlices.flatMap((slice) => Object.keys(table(slice))))].sort();
}

function known(what: string, name: string, names: readonly string[]): void {
  if (names.includes(name)) return;
  throw new UsageError(
    `unknown ${what} ${name}: there is ${names.join(', ')}.${suggestion(name, names)}`,
  );
}

function choicesOf(pairs: readonly string[]): Choices {
  const values: Record<string, readonly string[]> = Object.assign(
    {},
    ...stackSlices.map((slice) => slice.values),
  );
  const choices: Record<string, string> = {};
  for (const pair of pairs) {
    const [name = '', value, ...rest] = pair.split('=');
    if (name === '' || value === undefined || rest.length > 0) {
      throw new UsageError(`--with ${pair}: expected CHOICE=VALUE`);
    }
    known('choice', name, Object.keys(values));
    known(`value of ${name}`, value, values[name] ?? []);
    choices[name] = value;
  }
  return choices;
}
