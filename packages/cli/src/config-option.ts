// SPDX-License-Identifier: MIT
// --config: Kconfig options of the kernel that a command boots.

import {
  type ConfigOption,
  type ConfigRequest,
  Kconfig,
  KernelError,
  kernelConfig,
  type RevisionName,
} from '@pkslab/kernel';
import { pksTest } from '@pkslab/pks-core';
import { stackModules } from '@pkslab/selftests';
import { suggestion, UsageError } from './options.ts';

/** For the options of a command. */
export const configOption = {
  type: 'list',
  value: 'NAME=y|n',
  help: 'Kconfig options to turn on or off, e.g. X86_5LEVEL=y',
} as const;

/** Every option of the kernel and its modules; in some revisions only, some of them. */
const options: readonly ConfigOption[] = [
  ...kernelConfig,
  ...[pksTest, ...stackModules].flatMap(({ config = [] }) => config),
];

/** A line of help: what may be asked for. */
export const configNote: string = `Kconfig options: ${namesOf(options).join(', ')}.`;

/**
 * What the option asks for.
 *
 * @throws {UsageError} for what is not NAME=y or NAME=n, for a name that the revision does not have, with the nearest
 * that it has, and for what dependencies do not allow.
 */
export function configOf(pairs: readonly string[], revision: RevisionName): ConfigRequest {
  const own = options.filter(({ revisions }) => revisions?.includes(revision) ?? true);
  const request: Record<string, boolean> = {};
  for (const pair of pairs) {
    const [, name = '', value] = /^(?:CONFIG_)?(\w+)=([yn])$/.exec(pair) ?? [];
    if (value === undefined) throw new UsageError(`--config ${pair}: expected NAME=y or NAME=n`);
    if (!own.some((option) => option.name === name)) {
      const hint = suggestion(name, namesOf(own));
      throw new UsageError(`--config ${pair}: ${revision} has no option ${name}.${hint}`);
    }
    request[name] = value === 'y';
  }
  try {
    new Kconfig(options, revision, request);
  } catch (error) {
    if (error instanceof KernelError) throw new UsageError(`--config: ${error.message}`);
    throw error;
  }
  return request;
}

function namesOf(all: readonly ConfigOption[]): string[] {
  const asked = all.filter(({ prompt }) => prompt !== false);
  return [...new Set(asked.map(({ name }) => name))].sort();
}
