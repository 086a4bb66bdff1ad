// SPDX-License-Identifier: MIT
// Reductions on the reference and two sabotages of it.

import { compareReductions } from './reductions.ts';

compareReductions([
  {},
  { sabotages: ['fork-copies-rights'] },
  { sabotages: ['access-gated-by-branch'] },
]);
