// SPDX-License-Identifier: MIT
// What is known of a defect.

import type { Choices, RevisionName } from '@pkslab/kernel';

/** A reported defect that is no behaviour of the kernel's code, and why it is none. */
interface Matter {
  readonly id: string;
  readonly name: string;
  readonly reason: string;
}

/** A reported defect that a test of a package shows, since nothing has to interleave for it. */
interface Tested {
  readonly id: string;
  readonly name: string;
  /** The test file, from the root of the repository; it names the defect. */
  readonly test: string;
}

/** A defect that a scenario finds. */
interface Found {
  readonly id: string;
  readonly name: string;
  readonly scenario: string;
  /** The invariant that breaks (or one of them, where revisions differ), and the events that it takes. */
  readonly invariant: string | readonly string[];
  readonly events: number;
}

/** One that posted code has. */
export interface Behaviour extends Found {
  /** The revisions that have it. */
  readonly had: readonly RevisionName[];
  /** The repair that ends it; more than one where it takes them all. */
  readonly repair: string | readonly string[];
  /** Revisions in which it cannot be asked alone, and what is there in its place. */
  readonly instead?: Readonly<Partial<Record<RevisionName, string>>>;
}

/** One that no revision here has, but an earlier posting or a proposal: the choices of `reference` that do. */
export interface WhatIf extends Found {
  readonly whatIf: Choices;
}

export type Defect = Matter | Tested | Behaviour | WhatIf;
