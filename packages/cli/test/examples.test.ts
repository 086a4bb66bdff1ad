// SPDX-License-Identifier: MIT
// The examples of the README and of the documentation comments, run against the build.

import { readdirSync } from 'node:fs';
import { testExamples } from '../../../scripts/testing/examples.ts';

const built = new URL('../dist/index.js', import.meta.url).href;
const source = new URL('../src/', import.meta.url);

// What the one import does not export is documented for whoever works on the commands.
const own: object[] = [];
for (const file of readdirSync(source)) {
  if (!file.endsWith('.ts') || file === 'main.ts') continue;
  own.push((await import(new URL(file, source).href)) as object);
}

testExamples(new URL('..', import.meta.url), {
  pkslab: Object.assign({}, ...own, await import(built)),
});
