// SPDX-License-Identifier: MIT

import { expect, it } from 'vitest';
import { Progress } from '../src/progress.ts';
import { captured } from './captured.ts';

it.each([
  [true, '\r\x1b[K2 of 4\n'],
  [false, '2 of 4\n'],
])('is silent for two seconds; live: %s', async (live, expected) => {
  let now = 0;
  const { err } = await captured((io) => {
    const progress = new Progress(io, live, () => now);
    const show = (done: number): void => progress.show(() => `${done} of 4`);
    now = 1999;
    show(1);
    now = 2000;
    show(2);
    now = 2050;
    show(2);
    progress.end();
    return 0;
  });
  expect(err).toBe(expected);
});
