// SPDX-License-Identifier: MIT
// What a search thread is asked, and what it answers.

import type { Exploration, ExploreOptions, Progress, SavedTrace } from '@pkslab/explore';

/** One scenario to be searched. */
export interface Job {
  readonly scenario: string;
  readonly options: Omit<ExploreOptions, 'clock' | 'onProgress' | 'shouldStop' | 'guide'> & {
    /** Of the strategy `guided`. */
    readonly trace?: SavedTrace;
  };
}

export type SearchProgress = Progress & { readonly seconds: number };

/** What a thread says of its job: progress now and then, and one of the others at the end. */
export type Answer =
  | { readonly kind: 'progress'; readonly progress: SearchProgress }
  | { readonly kind: 'done'; readonly result: Exploration }
  /** The request is not one that the scenario can take. */
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string };

/** What a thread is started with. */
export interface ThreadData {
  /** One cell: 1 once every search has to end. */
  readonly stop: Int32Array;
}
