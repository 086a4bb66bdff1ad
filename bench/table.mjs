// Rows of benchmarks as a table.

/** What a row says: two sides, their ratio, the target, whether it is met, and the range over processes. */
function cellsOf({ name, a, b, ratio, range, value, unit, rate, note, limit, ok, atLeast }) {
  const target = limit === null || limit === undefined ? '' : `${atLeast ? '≥' : '≤'} ${limit}`;
  const met = target === '' ? '' : ok ? 'met' : 'MISSED';
  if (note !== undefined) return [name, '', '', '', '', note];
  if (rate !== undefined) return [name, `${(rate / 1e6).toFixed(1)} M/s`, '', '', target, met];
  if (value !== undefined) return [name, `${amount(value)} ${unit}`, '', '', target, met];
  const spread = range === undefined ? '' : `  (${range.map((r) => r.toFixed(2)).join('–')})`;
  return [name, nanoseconds(a), nanoseconds(b), ratio.toFixed(2), target, `${met}${spread}`];
}

function nanoseconds(value) {
  return value >= 1e6 ? `${amount(value / 1e6)} ms` : `${amount(value)} ns`;
}

function amount(value) {
  if (value >= 100) return value.toFixed(0);
  return value >= 1 ? value.toFixed(1) : value.toPrecision(2);
}

export function printTable(rows, host) {
  const head = ['', 'a', 'b', 'a / b', 'target', ''];
  const lines = [head, ...rows.map(cellsOf)];
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column].length)));
  for (const cells of lines) {
    const padded = cells.map((cell, i) =>
      i === 0 || i === 5 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]),
    );
    process.stdout.write(`${padded.join('  ').trimEnd()}\n`);
  }
  process.stdout.write(`\nNode ${host.node}, ${host.cpus} × ${host.cpu}\n`);
}
