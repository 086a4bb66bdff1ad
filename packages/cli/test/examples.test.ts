// SPDX-License-Identifier: MIT
// The examples of the README and of the documentation comments, run against the build.

import { testExamples } from '../../../scripts/testing/examples.ts';
import * as decode from '../src/decode.ts';
import * as options from '../src/options.ts';

const built = new URL('../dist/index.js', import.meta.url).href;

testExamples(new URL('..', import.meta.url), {
  pkslab: { ...(await import(built)), ...decode, ...options },
});
