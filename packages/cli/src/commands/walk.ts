// SPDX-License-Identifier: MIT
// pkslab walk

import type { Command } from '../options.ts';

export const walk: Command = (_args, io) => {
  io.stderr('pkslab walk: not written yet\n');
  return 1;
};
