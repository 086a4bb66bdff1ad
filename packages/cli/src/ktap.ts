// SPDX-License-Identifier: MIT
// KTAP version 1, the format of kernel tests; `prove` reads it too. Documentation/dev-tools/ktap.rst

/** One test point. */
export interface TestPoint {
  readonly name: string;
  readonly status: 'ok' | 'not ok' | 'skip';
  /** Why it was skipped. */
  readonly reason?: string;
  /** Lines that go before the result. */
  readonly diagnostics?: readonly string[];
}

/** The first lines: version and plan. */
export function ktapHeader(count: number): string {
  return `KTAP version 1\n1..${count}\n`;
}

/**
 * A test point with its diagnostics.
 *
 * @example
 * ktapPoint(1, { name: 'exec', status: 'skip', reason: 'no' }); // => 'ok 1 exec # SKIP no\n'
 */
export function ktapPoint(number: number, point: TestPoint): string {
  const { name, status, reason = '', diagnostics = [] } = point;
  const result = status === 'not ok' ? 'not ok' : 'ok';
  const directive = status === 'skip' ? ` # SKIP ${oneLine(reason)}` : '';
  return `${diagnostics.map(ktapDiagnostic).join('')}${result} ${number} ${name}${directive}\n`;
}

/** A line, or lines, that no parser takes for a result. */
export function ktapDiagnostic(text: string): string {
  return text
    .split('\n')
    .map((line) => `# ${line}\n`)
    .join('');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
