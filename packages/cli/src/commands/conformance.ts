// SPDX-License-Identifier: MIT
// pkslab conformance

import type { Command } from '../options.ts';

export const conformance: Command = (_args, io) => {
  io.stderr('pkslab conformance: not written yet\n');
  return 1;
};
