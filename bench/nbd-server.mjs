// The server side of nbd.mjs, in a process of its own: 256 MiB of protected memory on a unix socket.

import { dax } from '@pkslab/dax';
import { boot } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { memoryMedia, pmem } from '@pkslab/pmem';
import { PmemExport, serveNbd } from '@pkslab/pmem/node';

const [unix, size] = process.argv.slice(2);
const kernel = boot({ modules: [pksCore, memremap, kmap, dax, pmem] });
const media = memoryMedia(Number(size));
const device = kernel.call(() => kernel.module(pmem).attachDisk({ media }));
await serveNbd(new PmemExport({ kernel, device }), { unix });
process.stdout.write('ready\n');
// Ends with whoever started it.
process.stdin.resume().on('end', () => process.exit(0));
