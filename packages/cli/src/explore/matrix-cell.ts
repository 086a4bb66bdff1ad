// SPDX-License-Identifier: MIT
// What a matrix is asked for, and what a cell of it has.

import type { Exploration } from '@pkslab/explore';
import type { RevisionName } from '@pkslab/kernel';
import type { Job } from './job.ts';

/** What a matrix is made of. */
export interface MatrixRequest {
  readonly scenarios: readonly string[];
  readonly revisions: readonly RevisionName[];
  /** Of every search; its revision is replaced. */
  readonly options: Job['options'];
  readonly format: 'text' | 'markdown' | 'json';
}

/** One scenario on one revision: what was found, or why there is nothing. */
export interface Cell {
  readonly scenario: string;
  readonly revision: RevisionName;
  /** The search of the revision as it is, and those behind each violation; empty where there is none. */
  readonly searches: readonly Exploration[];
  /** `skipped` where the scenario does not take the request, `failed` where a search broke off. */
  readonly without: 'skipped' | 'failed' | null;
  readonly message: string | null;
}
