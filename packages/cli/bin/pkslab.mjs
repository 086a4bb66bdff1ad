#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// Runs the built command line. In a clone, `npm run build` makes it.

import { existsSync } from 'node:fs';

const entry = new URL('../dist/main.js', import.meta.url);

if (existsSync(entry)) {
  const { main } = await import(entry.href);
  process.exitCode = await main(process.argv.slice(2));
} else {
  process.stderr.write(
    'pkslab: not built yet. Run `npm run build` at the root of the repository.\n',
  );
  process.exitCode = 1;
}
