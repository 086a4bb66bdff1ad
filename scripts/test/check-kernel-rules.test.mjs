// SPDX-License-Identifier: MIT

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const command = fileURLToPath(new URL('../check-kernel-rules.mjs', import.meta.url));

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'check-kernel-rules-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(code) {
  const file = join(folder, 'code.ts');
  writeFileSync(file, code);
  return spawnSync(process.execPath, [command, file], { encoding: 'utf8' });
}

it('names file, line and rule, and fails', () => {
  const { status, stderr, stdout } = run('const a = 1;\nlet b = 2;\n');
  expect(status).toBe(1);
  expect(stderr).toMatch(/code\.ts:2 module-state: module-level let or var b\n {4}\S/);
  expect(stdout).toContain('kernel rules: 1 files, 1 problems');
});

it('lists the task boundaries that it allowed', () => {
  const { status, stdout } = run('// kernel-rules: task boundary\ntry {} finally {}\n');
  expect(status).toBe(0);
  expect(stdout).toMatch(/code\.ts:2 allowed: kernel-rules: task boundary/);
});
