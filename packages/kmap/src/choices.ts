// SPDX-License-Identifier: MIT
// kmap's slice of each revision.

import type { ChoiceSlice } from '@pkslab/kernel';

/**
 * - `kmapPolicy` — `grant`: kmap opens the page's key for the caller, and says nothing of others who get
 *   the address [PATCH 13/17]; `local`: the address belongs to the context that mapped it, and use
 *   elsewhere is refused with a WARN that names both (D-11).
 * - `kmapHook` — whether kmap enables access at all (`off` is for sabotage).
 */
export const kmapChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': { kmapPolicy: 'grant', kmapHook: 'on' },
    'rfc-v3': { kmapPolicy: 'grant', kmapHook: 'on' },
    v7: { kmapPolicy: 'grant', kmapHook: 'on' },
    v10: { kmapPolicy: 'grant', kmapHook: 'on' },
    reference: { kmapPolicy: 'local', kmapHook: 'on' },
  },
  values: { kmapPolicy: ['grant', 'local'], kmapHook: ['on', 'off'] },
  repairs: { 'D-11': { kmapPolicy: 'local' } },
  sabotages: { 'kmap-hook-removed': { kmapHook: 'off' } },
};
