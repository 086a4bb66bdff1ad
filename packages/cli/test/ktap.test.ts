// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { junitXml } from '../src/junit.ts';
import { ktapDiagnostic, ktapHeader, ktapPoint } from '../src/ktap.ts';

describe('KTAP', () => {
  it('starts with its version and the plan', () => {
    expect(ktapHeader(3)).toBe('KTAP version 1\n1..3\n');
  });

  it('has diagnostics before the result that they belong to', () => {
    const diagnostics = ['why: 1\n2', 'not ok 9 no result'];
    expect(ktapPoint(2, { name: 'exec', status: 'not ok', diagnostics })).toBe(
      '# why: 1\n# 2\n# not ok 9 no result\nnot ok 2 exec\n',
    );
  });

  it('says why something was skipped, in the same line', () => {
    expect(ktapPoint(1, { name: 'exec', status: 'skip', reason: 'no\n such  thing' })).toBe(
      'ok 1 exec # SKIP no such thing\n',
    );
  });

  it('makes every line of a text a comment', () => {
    expect(ktapDiagnostic('a\n\nb')).toBe('# a\n# \n# b\n');
  });
});

describe('JUnit XML', () => {
  it('counts, and says what failed or was skipped', () => {
    const text = junitXml('s', [
      { name: 'a', className: 'ours', seconds: 0.5 },
      { name: 'b', className: 'ours', seconds: 0.25, failure: 'first\nsecond' },
      { name: 'c', className: 'posted', seconds: 0, skipped: 'why' },
    ]);
    expect(text).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1" errors="0" skipped="1" time="0.750">
  <testsuite name="s" tests="3" failures="1" errors="0" skipped="1" time="0.750">
    <testcase name="a" classname="ours" time="0.500"/>
    <testcase name="b" classname="ours" time="0.250"><failure message="first">first
second</failure></testcase>
    <testcase name="c" classname="posted" time="0.000"><skipped message="why"/></testcase>
  </testsuite>
</testsuites>
`);
  });

  it('escapes markup, and replaces what XML cannot write', () => {
    const failure = `<a b="c">&${String.fromCharCode(7)}\u{ffff}\u{1f600}`;
    const text = junitXml('s', [{ name: '"<', className: 'x', seconds: 0, failure }]);
    expect(text).toContain('name="&quot;&lt;"');
    expect(text).toContain('>&lt;a b=&quot;c&quot;&gt;&amp;??\u{1f600}</failure>');
  });
});
