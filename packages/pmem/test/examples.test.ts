// SPDX-License-Identifier: MIT
// The examples of the documentation comments: each in a folder and with a device `pmem0` of its own.

import * as dax from '@pkslab/dax';
import * as kernel from '@pkslab/kernel';
import * as kmap from '@pkslab/kmap';
import * as memremap from '@pkslab/memremap';
import * as pksCore from '@pkslab/pks-core';
import { afterEach, beforeEach } from 'vitest';
import { testDocumented } from '../../../scripts/testing/examples.ts';
import { fletcher64 } from '../src/fletcher64.ts';
import * as pmem from '../src/index.ts';
import * as node from '../src/node/index.ts';
import { temporaryFolder } from './node/processes.ts';
import { pattern, rig } from './support.ts';

const home = process.cwd();
let folder: ReturnType<typeof temporaryFolder>;

beforeEach(() => {
  folder = temporaryFolder();
  process.chdir(folder.path);
});

afterEach(() => {
  process.chdir(home);
  folder.remove();
});

const modules = {
  '@pkslab/dax': dax,
  '@pkslab/kernel': kernel,
  '@pkslab/kmap': kmap,
  '@pkslab/memremap': memremap,
  '@pkslab/pks-core': pksCore,
  '@pkslab/pmem': pmem,
  '@pkslab/pmem/node': node,
};

function stage(): object {
  const it = rig();
  const exported = new node.PmemExport(it);
  const socket = { write: (_bytes: Uint8Array, sent: () => void): void => sent() };
  return { ...it, exported, bytes: pattern(64), socket, go() {}, chunk: pattern(0), fletcher64 };
}

testDocumented(new URL('..', import.meta.url), modules, stage);
