// SPDX-License-Identifier: MIT
// Adds up the vitest reports of the last `npm test`. One line for each project on stderr, and the
// sums on stdout, as `<passed> <failed>`. A project that has tests but left no report counts as one
// failure.

import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @returns {{ passed: number, failed: number }} */
export function countTests(project) {
  const report = join(project, '.reports', 'tests.json');
  if (!existsSync(report)) return { passed: 0, failed: hasTests(join(project, 'test')) ? 1 : 0 };
  const result = JSON.parse(readFileSync(report, 'utf8'));
  const passed = result.numPassedTests;
  // A file that does not load fails as a suite, without a failed test.
  const failed = result.success ? 0 : Math.max(1, result.numFailedTests);
  return { passed, failed };
}

function hasTests(folder) {
  if (!existsSync(folder)) return false;
  return readdirSync(folder, { recursive: true }).some((name) =>
    /\.test\.(ts|mjs)$/.test(`${name}`),
  );
}

function countAll(root) {
  const packages = readdirSync(join(root, 'packages')).sort();
  const sum = { passed: 0, failed: 0 };
  for (const name of [...packages.map((one) => `packages/${one}`), 'scripts']) {
    const { passed, failed } = countTests(join(root, name));
    process.stderr.write(`${name}: ${passed} passed, ${failed} failed\n`);
    sum.passed += passed;
    sum.failed += failed;
  }
  return sum;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { passed, failed } = countAll(fileURLToPath(new URL('..', import.meta.url)));
  console.log(`${passed} ${failed}`);
}
