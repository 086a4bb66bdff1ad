// SPDX-License-Identifier: MIT

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { countTests } from '../count-tests.mjs';

let project = '';
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'count-tests-'));
});
afterEach(() => rmSync(project, { recursive: true, force: true }));

function report(content) {
  mkdirSync(join(project, '.reports'));
  writeFileSync(join(project, '.reports', 'tests.json'), JSON.stringify(content));
}

it('counts the tests of a report', () => {
  report({ success: false, numPassedTests: 7, numFailedTests: 2 });
  expect(countTests(project)).toEqual({ passed: 7, failed: 2 });
});

it('counts a file that does not load as one failure', () => {
  report({ success: false, numPassedTests: 7, numFailedTests: 0 });
  expect(countTests(project)).toEqual({ passed: 7, failed: 1 });
});

it('counts tests without a report as one failure', () => {
  mkdirSync(join(project, 'test'));
  writeFileSync(join(project, 'test', 'a.test.ts'), '');
  expect(countTests(project)).toEqual({ passed: 0, failed: 1 });
});

it('counts nothing where there are no tests', () => {
  expect(countTests(project)).toEqual({ passed: 0, failed: 0 });
});
