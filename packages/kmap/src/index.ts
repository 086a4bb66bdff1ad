// SPDX-License-Identifier: MIT
export { kmapChoices } from './choices.ts';
export { Kmap, kmap } from './kmap.ts';
