// SPDX-License-Identifier: MIT
// The defects that reviewers and authors reported, each with what shows it; and how that is asked.

import { type Exploration, explore, type Scenario } from '@pkslab/explore';
import { type Choices, type RevisionName, revisionNames } from '@pkslab/kernel';
import type { Behaviour, Defect, WhatIf } from './defects/defect.ts';
import { findingRows } from './defects/findings.ts';
import { rows } from './defects/rows.ts';
import { scenarios } from './scenarios/index.ts';
import { stackSlices } from './stack.ts';

/** Every row of the reported defects. */
export const defects: readonly Defect[] = Object.freeze(rows);

/** What no reviewer reported: their ids are the names of their repairs. */
export const findings: readonly Behaviour[] = Object.freeze(findingRows);

export function isBehaviour(defect: Defect): defect is Behaviour {
  return 'had' in defect;
}

export function isWhatIf(defect: Defect): defect is WhatIf {
  return 'whatIf' in defect;
}

/** What a defect's scenario says of a revision in which nothing else is wrong. */
export interface DefectVerdict {
  readonly revision: RevisionName;
  /** `shown`: the scenario is violated; `absent`: it holds. */
  readonly verdict: 'shown' | 'absent' | 'incomplete';
  readonly found: Exploration;
  /** The same with the defect repaired; null where it is absent anyway. */
  readonly repaired: Exploration | null;
}

/** Every repair that a module knows. */
const repairNames: readonly string[] = [
  ...new Set(stackSlices.flatMap((slice) => Object.keys(slice.repairs))),
].sort();

/** Choices that a repair sets, in any package. */
function choicesOf(repair: string): string[] {
  return stackSlices.flatMap((slice) => Object.keys(slice.repairs[repair] ?? {}));
}

/** Every repair but those that touch what these repair. */
function otherRepairs(repairs: readonly string[]): string[] {
  const own = new Set(repairs.flatMap(choicesOf));
  return repairNames.filter((name) => !choicesOf(name).some((choice) => own.has(choice)));
}

/**
 * Whether a defect shows in a revision: every other defect is repaired, so that what is found is this one.
 *
 * @example
 * const [first] = defects.filter(isBehaviour);
 * showDefect(first, 'rfc-v2').verdict; // => 'shown'
 */
export function showDefect(defect: Behaviour, revision: RevisionName): DefectVerdict {
  const scenario = scenarioOf(defect);
  const own = typeof defect.repair === 'string' ? [defect.repair] : defect.repair;
  const repairs = otherRepairs(own);
  const found = explore(scenario, { revision, repairs });
  if (found.verdict !== 'violated') {
    const verdict = found.verdict === 'holds' ? 'absent' : 'incomplete';
    return { revision, verdict, found, repaired: null };
  }
  const repaired = explore(scenario, { revision, repairs: [...repairs, ...own] });
  return { revision, verdict: 'shown', found, repaired };
}

/** The same for a defect that no revision here has: on `reference` with its choices, alone. */
export function showWhatIf(defect: WhatIf): Exploration {
  return explore(scenarioOf(defect), { with: defect.whatIf });
}

export function scenarioOf(defect: Behaviour | WhatIf): Scenario {
  const scenario = scenarios.find(({ name }) => name === defect.scenario);
  if (scenario === undefined) throw new Error(`${defect.id}: no scenario ${defect.scenario}`);
  return scenario;
}

/**
 * The table as text: a row a defect, a column a revision.
 *
 * @param show how a defect is asked for; for whoever has the answers already
 */
export function defectsTable(show: typeof showDefect = showDefect): string {
  const revisions = revisionNames.filter((name) => name !== 'reference');
  const head = `| defect | ${[...revisions, 'reference'].join(' | ')} | shown by |`;
  const lines = [head, `|${' --- |'.repeat(revisions.length + 3)}`];
  for (const defect of [...defects, ...findings]) {
    const cells = [...revisions, 'reference' as const].map((revision) =>
      isBehaviour(defect) ? cellOf(defect, revision, show) : '–',
    );
    lines.push(`| ${defect.id} ${defect.name} | ${cells.join(' | ')} | ${shownBy(defect)} |`);
  }
  return lines.join('\n');
}

function cellOf(defect: Behaviour, revision: RevisionName, show: typeof showDefect): string {
  const instead = defect.instead?.[revision];
  if (instead !== undefined) return instead;
  const { verdict, found, repaired } = show(defect, revision);
  if (verdict !== 'shown') return verdict;
  const plural = found.events === 1 ? 'event' : 'events';
  const gone = repaired?.verdict === 'holds' ? '' : ', and more behind it';
  return `${found.invariant}, ${found.events} ${plural}${gone}`;
}

function shownBy(defect: Defect): string {
  if (isWhatIf(defect)) return `\`${defect.scenario}\`, with ${choicesText(defect.whatIf)}`;
  if (isBehaviour(defect)) return `\`${defect.scenario}\``;
  return 'test' in defect
    ? `[${defect.test.split('/').at(-1)}](../${defect.test})`
    : `no behaviour: ${defect.reason}`;
}

function choicesText(choices: Choices): string {
  return Object.entries(choices)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
}
