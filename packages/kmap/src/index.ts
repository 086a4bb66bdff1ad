// SPDX-License-Identifier: MIT

/** The layer that this package is. */
export const LAYER = 'kmap';
