// SPDX-License-Identifier: MIT
// The shipped vectors, for tests.

import type { VectorSuite } from '../src/index.ts';
import { readIndexOf, readSuiteFile, shippedVectors } from '../src/node/index.ts';

/** Paging mode and name of every shipped suite. */
export function shippedSuites(): { folder: string; paging: string; suite: string }[] {
  return shippedVectors().flatMap((folder) => {
    const { paging, suites } = readIndexOf(folder);
    return suites.map(({ suite }) => ({ folder, paging, suite }));
  });
}

/** Reads one shipped suite. */
export function shippedSuite(paging: string, name: string): VectorSuite {
  for (const folder of shippedVectors()) {
    const index = readIndexOf(folder);
    const suite = index.suites.find((candidate) => candidate.suite === name);
    if (index.paging === paging && suite !== undefined) return readSuiteFile(folder, index, suite);
  }
  throw new Error(`no suite ${name} for ${paging} paging`);
}
