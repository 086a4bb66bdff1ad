// SPDX-License-Identifier: MIT
// pkslab explore

import type { Command } from '../options.ts';

export const explore: Command = (_args, io) => {
  io.stderr('pkslab explore: not written yet\n');
  return 1;
};
