// SPDX-License-Identifier: MIT
// Reductions on RFC V2, with more and more of it repaired.

import { compareReductions } from './reductions.ts';

compareReductions([
  { revision: 'rfc-v2' },
  { revision: 'rfc-v2', repairs: ['D-01', 'D-03'] },
  { revision: 'rfc-v2', repairs: ['D-01', 'D-03', 'D-08', 'D-02', 'D-11'] },
]);
