// SPDX-License-Identifier: MIT
// pkslab demo

import type { Command } from '../options.ts';

export const demo: Command = (_args, io) => {
  io.stderr('pkslab demo: not written yet\n');
  return 1;
};
