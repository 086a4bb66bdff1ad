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

/** A reported defect that a scenario finds. */
export interface Behaviour {
  readonly id: string;
  readonly name: string;
  readonly scenario: string;
  /** Revisions whose posted code has it. */
  readonly had: readonly RevisionName[];
  /** The invariant that breaks (or one of them, where revisions differ), and the events that it takes. */
  readonly invariant: string | readonly string[];
  readonly events: number;
  /** The repair that ends it; more than one where it takes them all. */
  readonly repair: string | readonly string[];
  /** Revisions in which it cannot be asked alone, and what is there in its place. */
  readonly instead?: Readonly<Partial<Record<RevisionName, string>>>;
  /** Where no revision here has it (an earlier posting had, or a proposal): the choices of `reference` that do. */
  readonly whatIf?: Choices;
}

export type Defect = Matter | Tested | Behaviour;
