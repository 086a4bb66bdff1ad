// SPDX-License-Identifier: MIT
// A scenario on a revision, and what stands behind its first violation: the cells of the matrix.

import type { Exploration, ExploreOptions } from '@pkslab/explore';
import type { RevisionName } from '@pkslab/kernel';
import { defects, findings } from './defects.ts';

/** Violations that are looked behind: more than any revision has in one scenario. */
const LAYERS_MAX = 16;

/** How a kernel departs from its revision. */
type Departure = Required<Pick<ExploreOptions, 'repairs' | 'with'>>;

/**
 * Searches, repairs what the violation is attributed to, and searches again, until nothing is violated or nothing that
 * was tried ends it. So a defect that shows in the first step of everything hides none behind it.
 *
 * @param search makes one search of the scenario on the revision, departing from it so
 * @returns the searches, in order: all but the last are violated, and the last says how it ends
 */
export async function searchBehind(
  search: (departure: Departure) => Promise<Exploration>,
  start: Partial<Departure> = {},
): Promise<Exploration[]> {
  const found: Exploration[] = [];
  let departure: Departure = { repairs: start.repairs ?? [], with: start.with ?? {} };
  while (found.length < LAYERS_MAX) {
    const result = await search(departure);
    found.push(result);
    const changes = repairsOf(result);
    if (changes.length === 0) break;
    departure = repaired(departure, changes);
  }
  return found;
}

/**
 * What ends a violation: the one change that does so by itself, whatever else the same events then break, or else
 * all that are needed together; none unless violated, and where nothing that was tried helps.
 */
export function repairsOf({ explanation }: Exploration): readonly string[] {
  const attribution = explanation?.attribution ?? null;
  if (attribution === null) return [];
  return attribution.single === null ? attribution.changes : [attribution.single];
}

/** @param changes repairs (`D-01`) and choices (`schedHook=switchEnd`) */
function repaired(departure: Departure, changes: readonly string[]): Departure {
  const repairs = changes.filter((change) => !change.includes('='));
  const choices = changes.filter((change) => change.includes('='));
  const pairs = choices.map((choice) => choice.split('=', 2) as [string, string]);
  return {
    repairs: [...departure.repairs, ...repairs],
    with: { ...departure.with, ...Object.fromEntries(pairs) },
  };
}

/** A violation as the matrix has it: `I4 D-01`, the invariant and what ends it; `?` where nothing that was tried does. */
export function violationText(result: Exploration): string {
  return `${result.invariant} ${repairsOf(result).join('+') || '?'}`;
}

/** What a repair's defect is called; null for a single choice, which is no repair. */
export function defectName(repair: string): string | null {
  return [...defects, ...findings].find(({ id }) => id === repair)?.name ?? null;
}

/** One defect of one revision, as the matrix shows it. */
export interface ShownDefect {
  readonly revision: RevisionName;
  /** What ends it; `?` where nothing that was tried does. */
  readonly repair: string;
  /** Ids of the invariants that it breaks, and the scenarios in which it does. */
  readonly invariants: readonly string[];
  readonly scenarios: readonly string[];
  /** The violation behind the fewest others; among those with the fewest events, and then operations. */
  readonly example: Exploration;
}

/** The distinct violations of some searches: each defect of a revision once. */
export function shownDefects(searches: readonly Exploration[]): ShownDefect[] {
  const groups = new Map<string, Exploration[]>();
  for (const result of searches) {
    if (result.verdict !== 'violated') continue;
    const repair = repairsOf(result).join('+') || '?';
    const key = `${result.revision} ${repair}`;
    groups.set(key, [...(groups.get(key) ?? []), result]);
  }
  return [...groups.values()].map((group) => {
    const [first] = group as [Exploration];
    return {
      revision: first.revision,
      repair: repairsOf(first).join('+') || '?',
      invariants: distinct(group.map(({ invariant }) => invariant ?? '')),
      scenarios: distinct(group.map(({ scenario }) => scenario)),
      example: group.reduce((best, one) => (isSimpler(one, best) ? one : best)),
    };
  });
}

function isSimpler(one: Exploration, best: Exploration): boolean {
  const depth = changesIn(one) - changesIn(best);
  if (depth !== 0) return depth < 0;
  if (one.events !== best.events) return one.events < best.events;
  return one.operations < best.operations;
}

function changesIn(result: Exploration): number {
  return result.repairs.length + Object.keys(result.with).length;
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}
