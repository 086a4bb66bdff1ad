// SPDX-License-Identifier: MIT
// Runs the first js block of a package's README as a user does: in a process of its own, against the build.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/**
 * Declares a test that the first js block prints what the first text block says, and nothing else.
 *
 * @param root the package's folder, as `new URL('..', import.meta.url)` of a test
 */
export function testReadmeProgram(root: URL): void {
  const readme = readFileSync(new URL('README.md', root), 'utf8');
  describe('the example in README.md', () => {
    it('prints what stands under it', () => {
      const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module'], {
        cwd: fileURLToPath(root),
        input: block(readme, 'js'),
        encoding: 'utf8',
      });
      expect(stderr).toBe('');
      expect(stdout).toBe(block(readme, 'text'));
    });
  });
}

function block(readme: string, language: string): string {
  const found = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1];
  if (found === undefined) throw new Error(`README.md has no ${language} block`);
  return found;
}
