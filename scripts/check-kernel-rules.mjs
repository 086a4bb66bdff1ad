// SPDX-License-Identifier: MIT
// Holds the kernel packages to the rules in kernel-rules.mjs.
// Usage: node scripts/check-kernel-rules.mjs [files]   (all kernel packages, without files)

import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkKernelRules, TASK_BOUNDARY } from './kernel-rules.mjs';
import { place, typescriptFiles } from './source-files.mjs';

const PACKAGES = ['kernel', 'pks-core', 'memremap', 'kmap', 'dax', 'pmem'];

const root = fileURLToPath(new URL('..', import.meta.url));
const named = process.argv.slice(2).map((file) => resolve(file));
// src/node holds host files and sockets: not kernel code.
const files =
  named.length > 0
    ? named
    : PACKAGES.flatMap((name) => typescriptFiles(join(root, 'packages', name, 'src'), ['node']));

const { problems, boundaries } = checkKernelRules(files);

for (const { file, line } of boundaries) {
  console.log(`${place(root, file, line)} allowed: ${TASK_BOUNDARY.slice(3)}`);
}
for (const { file, line, rule, what, remedy } of problems) {
  console.error(`${place(root, file, line)} ${rule}: ${what}\n    ${remedy}`);
}
console.log(`kernel rules: ${files.length} files, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
