// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const folder = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

function block(language: string): string {
  const found = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1];
  if (found === undefined) throw new Error(`README.md has no ${language} block`);
  return found;
}

describe('the example in README.md', () => {
  it('prints what stands under it', () => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module'], {
      cwd: folder,
      input: block('js'),
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(stdout).toBe(block('text'));
  });
});
