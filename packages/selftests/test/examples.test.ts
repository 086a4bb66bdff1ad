// SPDX-License-Identifier: MIT
// The examples of the README and of the documentation comments, run against the build.

import * as kernel from '@pkslab/kernel';
import * as pksCore from '@pkslab/pks-core';
import * as pmem from '@pkslab/pmem';
import { testExamples } from '../../../scripts/testing/examples.ts';

const built = new URL('../dist/index.js', import.meta.url).href;

testExamples(new URL('..', import.meta.url), {
  '@pkslab/kernel': kernel,
  '@pkslab/pks-core': pksCore,
  '@pkslab/pmem': pmem,
  '@pkslab/selftests': await import(built),
});
