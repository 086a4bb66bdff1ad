// SPDX-License-Identifier: MIT
// The traces in the documentation are what the tool prints. With PKSLAB_UPDATE_DOCS=1 they are written anew.

import { readFileSync, writeFileSync } from 'node:fs';
import { type Exploration, type ExploreOptions, explore } from '@pkslab/explore';
import type { RevisionName } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

/** A comment says what the text block behind it shows: `trace of SCENARIO on REVISION, OPTION LIST, …`. */
const TRACE =
  /<!-- explore: trace of (\S+) on ([^\s,]+)((?:, \w+ \S+)*) -->\n\n```text\n([\s\S]*?)```/g;

/** And a comment says what the text claims to hold. */
const HOLDS = /<!-- explore: (\S+) on ([^\s,]+) holds((?:, \w+ \S+)*) -->/g;

const pages = ['explore.md', 'reference-design.md', 'open-questions.md', 'findings.md'];

describe.each(pages)('docs/%s', (page) => {
  const path = new URL(`../../../docs/${page}`, import.meta.url);
  const text = readFileSync(path, 'utf8');
  const shown = [...text.matchAll(TRACE)];

  it('shows traces', () => {
    expect(shown.length).toBeGreaterThan(0);
    expect(text.match(/<!-- explore: trace/g)).toHaveLength(shown.length);
  });

  it.each(shown.map((match) => match.slice(1)))('%s on %s%s', (...match) => {
    const [name, revision, options = '', block = ''] = match;
    const { trace } = exploration(name, revision, options);
    if (process.env['PKSLAB_UPDATE_DOCS'] === '1' && trace !== '') {
      const now = readFileSync(path, 'utf8');
      const title = `trace of ${name} on ${revision}${options} -->\n\n\`\`\`text\n`;
      writeFileSync(
        path,
        now.replace(title + block, () => title + unpadded(trace)),
      );
    } else {
      expect(plain(block)).toBe(plain(trace));
    }
  });
});

describe('claims', () => {
  const claims = pages.flatMap((page) => {
    const text = readFileSync(new URL(`../../../docs/${page}`, import.meta.url), 'utf8');
    return [...text.matchAll(HOLDS)].map((match) => match.slice(1));
  });

  it.each(claims)('%s on %s holds%s', (...match) => {
    const [name, revision, options = ''] = match;
    expect(exploration(name, revision, options).verdict).toBe('holds');
  });
});

function exploration(name = '', revision = '', options = ''): Exploration {
  const scenario = scenarios.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  return explore(scenario, { revision: revision as RevisionName, ...exploreOptions(options) });
}

/** `, repaired D-01,D-03, sabotaged NAME, with choice=value, budget irq=1,nmi=0`. */
function exploreOptions(text: string): ExploreOptions {
  const lists = new Map(
    text
      .split(', ')
      .slice(1)
      .map((option) => option.split(' ', 2) as [string, string]),
  );
  const list = (name: string): string[] => lists.get(name)?.split(',') ?? [];
  const pairs = (name: string): [string, string][] =>
    list(name).map((pair) => pair.split('=', 2) as [string, string]);
  return {
    repairs: list('repaired'),
    sabotages: list('sabotaged'),
    with: Object.fromEntries(pairs('with')),
    budget: Object.fromEntries(pairs('budget').map(([kind, count]) => [kind, Number(count)])),
  };
}

/**
 * Hosts differ in whether a private method has its class before it; the number of the field that a task sleeps on
 * depends on how many there are.
 */
function plain(trace: string): string {
  return unpadded(trace)
    .replace(/^ {2}\w+\./gm, '  ')
    .replace(/(task\.wait_on\[\d+\] := )0x[0-9a-f]+/g, '$1field');
}

/** Without the padding of lanes. */
function unpadded(trace: string): string {
  return trace.replace(/ +$/gm, '');
}
