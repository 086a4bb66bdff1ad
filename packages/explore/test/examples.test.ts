// SPDX-License-Identifier: MIT
// The example of the README, run against the build.

import * as kernel from '@pkslab/kernel';
import * as cpu from '@pkslab/x86-cpu';
import { testExamples } from '../../../scripts/testing/examples.ts';

const built = new URL('../dist/index.js', import.meta.url).href;

testExamples(new URL('..', import.meta.url), {
  '@pkslab/x86-cpu': cpu,
  '@pkslab/kernel': kernel,
  '@pkslab/explore': await import(built),
});
