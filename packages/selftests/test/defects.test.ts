// SPDX-License-Identifier: MIT
// Revision by defect: each one shows in the revisions that had it, and in no other, with the fewest events.

import { existsSync, readFileSync } from 'node:fs';
import { type RevisionName, revisionNames } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import {
  type Behaviour,
  type DefectVerdict,
  defects,
  defectsTable,
  findings,
  isBehaviour,
  isWhatIf,
  showDefect,
  showWhatIf,
} from '../src/index.ts';

/** Schedules within which a reported defect is found; one that nobody reported may take more. */
const EXECUTIONS = 2000;
const EXECUTIONS_OF_FINDING = 4000;

/** The rows of the catalogue of reported defects. */
const REPORTED =
  '01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 22 24 25 33 41 45 46 47 48 49 50 51 52 53 54 55 56 58 59 60 61';

const shown = [...defects.filter(isBehaviour), ...findings];
const cases = shown
  .flatMap((defect) => revisionNames.map((revision) => ({ defect, revision })))
  .filter(({ defect, revision }) => defect.instead?.[revision] === undefined);

const answers = new Map<string, DefectVerdict>();

/** Asked once, for its own test and for the table. */
function ask(defect: Behaviour, revision: RevisionName): DefectVerdict {
  const key = `${defect.id} ${defect.scenario} ${revision}`;
  const answer = answers.get(key) ?? showDefect(defect, revision);
  answers.set(key, answer);
  return answer;
}

describe('the table', () => {
  it('has a row for each reported defect, in order', () => {
    expect(defects.map(({ id }) => id)).toEqual(REPORTED.split(' ').map((id) => `D-${id}`));
  });

  it('names tests that exist and speak of the defect', () => {
    for (const defect of defects) {
      if (!('test' in defect)) continue;
      const file = new URL(`../../../${defect.test}`, import.meta.url);
      expect(existsSync(file), defect.test).toBe(true);
      expect(readFileSync(file, 'utf8')).toContain(defect.id);
    }
  });
});

describe.each(cases)('$defect.id ($defect.scenario) in $revision', ({ defect, revision }) => {
  const { verdict, found, repaired } = ask(defect, revision);
  const { had, invariant, events } = defect;

  it(had.includes(revision) ? `shows: ${[invariant].flat().join(', ')}` : 'does not show', () => {
    expect(verdict).toBe(had.includes(revision) ? 'shown' : 'absent');
    if (verdict !== 'shown') return;
    expect([invariant].flat()).toContain(found.invariant);
    expect(found.events).toBe(events);
    const limit = findings.includes(defect) ? EXECUTIONS_OF_FINDING : EXECUTIONS;
    expect(found.executions).toBeLessThanOrEqual(limit);
    expect(repaired).toMatchObject({ verdict: 'holds', message: null });
  });
});

describe.each(defects.filter(isWhatIf))('$id, which no revision here has', (defect) => {
  it(`shows in ${defect.scenario} once the reference is changed so`, () => {
    const found = showWhatIf(defect);
    expect(found.verdict).toBe('violated');
    expect([defect.invariant].flat()).toContain(found.invariant);
    expect(found.events).toBe(defect.events);
    expect(found.executions).toBeLessThanOrEqual(EXECUTIONS);
  });
});

it('a behaviour names the revisions that have it', () => {
  for (const { id, had } of shown) expect(had, id).not.toEqual([]);
});

it('the table is printed', () => {
  const table = defectsTable(ask);
  process.stdout.write(`\n${table}\n`);
  expect(table.split('\n')).toHaveLength(defects.length + findings.length + 2);
});
