// SPDX-License-Identifier: MIT
// Holds the source of every package to the lengths in tidy.mjs.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { place, typescriptFiles } from './source-files.mjs';
import { checkTidy } from './tidy.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const packages = readdirSync(join(root, 'packages')).sort();
const files = packages.flatMap((name) => typescriptFiles(join(root, 'packages', name, 'src')));

const findings = checkTidy(files);
for (const { file, line, severity, what } of findings) {
  console.error(`${place(root, file, line)} ${severity}: ${what}`);
}
const errors = findings.filter(({ severity }) => severity === 'error').length;
console.log(`tidy: ${files.length} files, ${errors} errors, ${findings.length - errors} warnings`);
process.exitCode = errors > 0 ? 1 : 0;
