// SPDX-License-Identifier: MIT
export { legalCalls, pksInvariants } from './invariants.ts';
export { scenarios } from './scenarios/index.ts';
export { type SmallStack, smallStack } from './scenarios/small-stack.ts';
