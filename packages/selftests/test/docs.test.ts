// SPDX-License-Identifier: MIT
// The traces in the documentation are what the tool prints.

import { readFileSync } from 'node:fs';
import { explore } from '@pkslab/explore';
import type { RevisionName } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

/** A comment says what the text block behind it shows. */
const TRACE =
  /<!-- explore: trace of (\S+) on (\S+?)(?:, repaired (\S+))? -->\n\n```text\n([\s\S]*?)```/g;

describe.each(['explore.md', 'reference-design.md'])('docs/%s', (page) => {
  const text = readFileSync(new URL(`../../../docs/${page}`, import.meta.url), 'utf8');
  const shown = [...text.matchAll(TRACE)];

  it('shows traces', () => {
    expect(shown.length).toBeGreaterThan(0);
    expect(text.match(/<!-- explore: trace/g)).toHaveLength(shown.length);
  });

  it.each(shown.map((match) => match.slice(1)))('%s on %s with %s repaired', (...match) => {
    const [name, revision, repairs = '', block] = match;
    const scenario = scenarios.find((one) => one.name === name);
    if (scenario === undefined) throw new Error(`no scenario ${name}`);
    const { trace } = explore(scenario, {
      revision: revision as RevisionName,
      repairs: repairs.split(',').filter((id) => id !== ''),
    });
    expect(plain(block)).toBe(plain(trace));
  });
});

/** Without the padding of lanes; hosts differ in whether a private method has its class before it. */
function plain(trace = ''): string {
  const lines = trace.split('\n').map((line) => line.trimEnd());
  return lines.map((line) => line.replace(/^ {2}\w+\./, '  ')).join('\n');
}
