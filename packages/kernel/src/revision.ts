// SPDX-License-Identifier: MIT
// Revisions: named records of design choices, one slice for each package.

import { EINVAL } from './errno.ts';
import { KernelError } from './kernel-error.ts';

/**
 * Names for `boot({ revision })`.
 *
 * The posted revisions that run, and `reference`: RFC V2's features with its reported defects repaired.
 */
export type RevisionName = 'reference' | 'rfc-v2' | 'rfc-v3' | 'v7' | 'v10';

/** Every revision: the repaired one, then those that were posted, oldest first. */
export const revisionNames: readonly RevisionName[] = Object.freeze([
  'reference',
  'rfc-v2',
  'rfc-v3',
  'v7',
  'v10',
] as const);

/** Design choices, by name: of one package, or of a boot. */
export type Choices = Readonly<Record<string, string>>;

/** What `boot({ config })` asks for, by Kconfig option. */
export type ConfigRequest = Readonly<Record<string, boolean>>;

/** What a package contributes to revisions. */
export interface ChoiceSlice {
  /** Its choices in each revision. */
  readonly revisions: Readonly<Record<RevisionName, Choices>>;
  /** What each choice is about: a line for lists of them. */
  readonly texts?: Readonly<Record<string, string>>;
  /** Values that a choice may take, the same names as in `revisions`. */
  readonly values: Readonly<Record<string, readonly string[]>>;
  /** What repairs a reported defect (D-01 …): the choices to replace. */
  readonly repairs: Readonly<Record<string, Choices>>;
  /** What breaks a protection on purpose, by name. */
  readonly sabotages?: Readonly<Record<string, Choices>>;
}

/** The slice of a module that has no choices: the same in every revision. */
export const noChoices: ChoiceSlice = Object.freeze({
  revisions: Object.fromEntries(revisionNames.map((name) => [name, {}])) as Readonly<
    Record<RevisionName, Choices>
  >,
  values: {},
  repairs: {},
});

/** How a boot departs from a revision as posted. */
export interface RevisionRequest {
  readonly revision: RevisionName;
  readonly repairs: readonly string[];
  readonly sabotages: readonly string[];
  readonly with: Choices;
  /** Kconfig options to turn on or off. */
  readonly config?: ConfigRequest;
}

/**
 * The choices of one package under a request; names that no loaded package knows are refused.
 *
 * Boot does this for its modules; use it to ask what a revision would be without booting it. Later wins:
 * revision, repairs, sabotages, single values.
 *
 * @throws {KernelError} EINVAL with the names that exist.
 * @example
 * const request = { revision: 'rfc-v2', repairs: ['D-01'], sabotages: [], with: {} } as const;
 * resolveChoices([kernelChoices], request)['statePassing']; // => 'byReference'
 */
export function resolveChoices(slices: readonly ChoiceSlice[], request: RevisionRequest): Choices {
  const resolved: Record<string, string> = {};
  for (const slice of slices) {
    const base = slice.revisions[request.revision];
    if (base === undefined) throw unknown('revision', request.revision, revisionNames);
    Object.assign(resolved, base);
  }
  for (const id of request.repairs) apply(resolved, slices, id, 'repair', (slice) => slice.repairs);
  for (const name of request.sabotages) {
    apply(resolved, slices, name, 'sabotage', (slice) => slice.sabotages ?? {});
  }
  for (const [name, value] of Object.entries(request.with)) {
    const values = slices.map((slice) => slice.values[name]).find((found) => found !== undefined);
    if (values === undefined) throw unknown('choice', name, Object.keys(resolved));
    if (!values.includes(value)) throw unknown(`value of ${name}`, value, values);
    resolved[name] = value;
  }
  return resolved;
}

function apply(
  resolved: Record<string, string>,
  slices: readonly ChoiceSlice[],
  name: string,
  what: string,
  table: (slice: ChoiceSlice) => Readonly<Record<string, Choices>>,
): void {
  const found = slices
    .map((slice) => table(slice)[name])
    .filter((choices) => choices !== undefined);
  if (found.length === 0) {
    throw unknown(
      what,
      name,
      slices.flatMap((slice) => Object.keys(table(slice))),
    );
  }
  for (const choices of found) Object.assign(resolved, choices);
}

function unknown(what: string, name: string, known: readonly string[]): KernelError {
  return new KernelError(
    EINVAL,
    `unknown ${what} ${name}: there is ${[...new Set(known)].join(', ')}`,
  );
}
