// SPDX-License-Identifier: MIT
// Reductions on later postings.

import { compareReductions } from './reductions.ts';

compareReductions([{ revision: 'v7', repairs: ['D-17'] }, { revision: 'v10' }]);
