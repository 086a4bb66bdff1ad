// SPDX-License-Identifier: MIT
// The examples of the documentation comments: with a dax device `pmem0` of its own for each.

import * as kernel from '@pkslab/kernel';
import * as memremap from '@pkslab/memremap';
import * as pksCore from '@pkslab/pks-core';
import { testDocumented } from '../../../scripts/testing/examples.ts';
import * as dax from '../src/index.ts';
import { rig } from './support.ts';

const modules = {
  '@pkslab/kernel': kernel,
  '@pkslab/memremap': memremap,
  '@pkslab/pks-core': pksCore,
  '@pkslab/dax': dax,
};

testDocumented(new URL('..', import.meta.url), modules, rig);
