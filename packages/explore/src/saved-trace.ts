// SPDX-License-Identifier: MIT
// A trace that can be kept: the events of a schedule by where they came, and what kernel it was found on.

import {
  type Choices,
  type RevisionName,
  type RevisionRequest,
  revisionNames,
} from '@pkslab/kernel';
import { type Budget, EVENT_KINDS } from './budget.ts';
import type { Violation } from './checker.ts';
import { ExploreError } from './explore-error.ts';
import type { Guide, GuidePoint } from './guide.ts';
import type { Scenario } from './scenario.ts';

const FORMAT = 'pkslab-trace';

/** Raised when a key goes away or changes its meaning. */
const VERSION = 1;

/** A violating schedule: what a trace file holds. */
export interface SavedTrace extends Guide {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  readonly scenario: string;
  /** Null where it is the scenario's own. */
  readonly cpus: number | null;
  readonly revision: RevisionName;
  readonly repairs: readonly string[];
  readonly sabotages: readonly string[];
  readonly with: Choices;
  readonly budget: Budget;
  readonly violation: Violation;
  /** What the violated invariant remembered of other schedules, where it does. */
  readonly memory?: readonly number[];
}

/** What a trace is saved from. */
interface Found {
  readonly scenario: Scenario;
  readonly request: RevisionRequest;
  readonly budget: Budget;
  readonly guide: Guide;
  readonly violation: Violation;
  readonly memory: readonly number[] | null;
}

export function savedTrace(found: Found): SavedTrace {
  const { scenario, request, budget, guide, violation, memory } = found;
  const { start, points } = guide;
  const [cpus = null] = scenario.cpus ?? [];
  const head = { format: FORMAT, version: VERSION, scenario: scenario.name, cpus } as const;
  const remembered = memory === null ? {} : { memory };
  return { ...head, ...request, budget, violation, ...remembered, start, points };
}

/**
 * Reads a saved trace.
 *
 * @throws {ExploreError} for text that is no JSON, another format or version, and for keys that are missing or
 * hold something else.
 */
export function parseTrace(text: string): SavedTrace {
  const value = jsonOf(text);
  if (!isRecord(value)) throw new ExploreError('not a pkslab trace: expected a JSON object');
  if (value['format'] !== FORMAT) {
    throw new ExploreError(`not a pkslab trace: format is ${shown(value['format'])}`);
  }
  if (value['version'] !== VERSION) {
    const version = shown(value['version']);
    throw new ExploreError(`trace version ${version} cannot be read: this pkslab reads ${VERSION}`);
  }
  check(value, TRACE_SHAPE, '');
  for (const [i, point] of (value['points'] as unknown[]).entries()) {
    check(point, POINT_SHAPE, `points[${i}].`);
  }
  return value as unknown as SavedTrace;
}

type Test = (value: unknown) => boolean;

const isText: Test = (value) => typeof value === 'string';
const isCount: Test = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isInteger: Test = (value) => Number.isSafeInteger(value);
const isTexts: Test = (value) => Array.isArray(value) && value.every(isText);

/** A number for each kind, and maybe for each kind on a CPU. */
const isBudget: Test = (value) =>
  isRecord(value) && Object.values(value).every((count) => isCount(count) || isBudget(count));

const TRACE_SHAPE: Readonly<Record<string, Test>> = {
  scenario: isText,
  cpus: (value) => value === null || isCount(value),
  revision: (value) => (revisionNames as readonly unknown[]).includes(value),
  repairs: isTexts,
  sabotages: isTexts,
  with: (value) => isRecord(value) && Object.values(value).every(isText),
  budget: isBudget,
  violation: (value) => isRecord(value) && isText(value['invariant']) && isText(value['message']),
  memory: (value) => value === undefined || (Array.isArray(value) && value.every(isInteger)),
  start: isCount,
  points: Array.isArray,
};

const POINT_SHAPE: Readonly<Record<keyof GuidePoint, Test>> = {
  cpu: isCount,
  routine: isText,
  site: isText,
  operation: isText,
  occurrence: isCount,
  event: (value) => value === null || (EVENT_KINDS as readonly unknown[]).includes(value),
  choice: isInteger,
  to: isCount,
};

function check(value: unknown, shape: Readonly<Record<string, Test>>, where: string): void {
  const record = isRecord(value) ? value : {};
  for (const [key, test] of Object.entries(shape)) {
    if (test(record[key])) continue;
    throw new ExploreError(`not a whole pkslab trace: ${where}${key} is ${shown(record[key])}`);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ExploreError(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value);
}
