// Ratios measured in one run: the two sides in turn, the median of the ratios.

const ROUNDS = 15;

/** Times `a` and `b` (each takes an iteration count) in alternation; nanoseconds an iteration and the ratio. */
export function timePair(a, b, count, rounds = ROUNDS) {
  for (let i = 0; i < 3; i++) {
    a(count);
    b(count);
  }
  const as = [];
  const bs = [];
  const ratios = [];
  for (let round = 0; round < rounds; round++) {
    // The order changes from round to round, so that neither side always runs in the other's wake.
    const first = round % 2 === 0 ? time(a, count) : 0;
    const tb = time(b, count);
    const ta = first || time(a, count);
    as.push(ta);
    bs.push(tb);
    ratios.push(ta / tb);
  }
  return { a: median(as), b: median(bs), ratio: median(ratios) };
}

/** Nanoseconds an iteration. */
export function time(run, count) {
  const start = process.hrtime.bigint();
  run(count);
  return Number(process.hrtime.bigint() - start) / count;
}

export function median(values) {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[sorted.length >> 1];
}

/** One line of the table: `limit` is the highest ratio that meets the target, null without one. */
export function row(name, { a, b, ratio }, limit) {
  return { name, a, b, ratio, limit, ok: limit === null || ratio <= limit };
}
