// SPDX-License-Identifier: MIT
// The examples of the README and of the documentation comments, run against the build.

import * as cpu from '@pkslab/x86-cpu';
import { testExamples } from '../../../scripts/testing/examples.ts';

const built = new URL('../dist/index.js', import.meta.url).href;

testExamples(new URL('..', import.meta.url), {
  '@pkslab/x86-cpu': cpu,
  '@pkslab/kernel': await import(built),
});
