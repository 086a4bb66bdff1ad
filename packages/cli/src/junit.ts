// SPDX-License-Identifier: MIT
// JUnit's XML, as continuous-integration servers read it.

export interface JunitCase {
  readonly name: string;
  readonly className: string;
  readonly seconds: number;
  readonly failure?: string;
  readonly skipped?: string;
}

/**
 * A document with one suite.
 *
 * @example
 * junitXml('selftests', [{ name: 'exec', className: 'ours', seconds: 0 }]).includes('tests="1"'); // => true
 */
export function junitXml(suite: string, cases: readonly JunitCase[]): string {
  const failures = cases.filter(({ failure }) => failure !== undefined).length;
  const skipped = cases.filter(({ skipped }) => skipped !== undefined).length;
  const seconds = cases.reduce((sum, one) => sum + one.seconds, 0);
  const counts = `tests="${cases.length}" failures="${failures}" errors="0" skipped="${skipped}" time="${seconds.toFixed(3)}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts}>`,
    `  <testsuite name="${xmlText(suite)}" ${counts}>`,
    ...cases.map(caseXml),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function caseXml({ name, className, seconds, failure, skipped }: JunitCase): string {
  const start = `    <testcase name="${xmlText(name)}" classname="${xmlText(className)}" time="${seconds.toFixed(3)}"`;
  if (failure !== undefined) {
    const [first = ''] = failure.split('\n');
    return `${start}><failure message="${xmlText(first)}">${xmlText(failure)}</failure></testcase>`;
  }
  if (skipped === undefined) return `${start}/>`;
  return `${start}><skipped message="${xmlText(skipped)}"/></testcase>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

/** Text of an element or attribute; what XML 1.0 has no way to write becomes a question mark. */
function xmlText(text: string): string {
  let escaped = '';
  for (const character of text) {
    escaped += isWritable(character.codePointAt(0) ?? 0) ? (ENTITIES[character] ?? character) : '?';
  }
  return escaped;
}

/** Char of XML 1.0, section 2.2; a carriage return would be read as a line feed. */
function isWritable(code: number): boolean {
  if (code < 0x20) return code === 0x09 || code === 0x0a;
  return (code < 0xd800 || code > 0xdfff) && code !== 0xfffe && code !== 0xffff;
}
