// SPDX-License-Identifier: MIT
// struct nd_pfn_sb: what a namespace says of itself, at 4 KiB from its start. drivers/nvdimm/pfn.h, pfn_devs.c

import { EBUSY, EINVAL, ENODEV, ENXIO, EOPNOTSUPP, KernelError } from '@pkslab/kernel';
import { HUGE_PAGE_SIZE, LARGE_PAGE_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import { fletcher64 } from './fletcher64.ts';

/** Where the block lies, in bytes from the start of the namespace, and how long it is: SZ_4K, twice. */
export const INFO_BLOCK_OFFSET = 4096;
export const INFO_BLOCK_SIZE = 4096;

/** What may have an info block: a block device with struct pages, or a device-dax. */
export type InfoBlockMode = 'fsdax' | 'devdax';

/** enum nd_pfn_mode: where the struct pages are, in RAM (`mem`) or on the device (`dev`), in ndctl's words. */
export type InfoBlockMap = 'mem' | 'dev';

/** struct nd_pfn_sb, as far as it is used. Sizes and offsets in bytes. */
export interface InfoBlock {
  /** By its signature: NVDIMM_PFN_INFO or NVDIMM_DAX_INFO. */
  readonly mode: InfoBlockMode;
  /** Of this namespace; written with hyphens. */
  readonly uuid: string;
  /** Of the namespace below it: zero, since media have no labels. */
  readonly parentUuid: string;
  readonly flags: number;
  /** `version_major`.`version_minor` */
  readonly version: string;
  /** First byte of the data. */
  readonly dataoff: number;
  /** Pages of 4 KiB of data. */
  readonly npfns: number;
  readonly map: InfoBlockMap;
  readonly startPad: number;
  readonly endTrunc: number;
  readonly align: number;
  readonly pageSize: number;
  readonly pageStructSize: number;
}

/** What is wrong with an info block. */
export type InfoBlockErrorCode =
  | 'checksum'
  | 'mode'
  | 'pageSize'
  | 'structPage'
  | 'align'
  | 'size'
  | 'offset';

const ERRNO: Readonly<Record<InfoBlockErrorCode, number>> = {
  checksum: ENODEV,
  mode: ENXIO,
  pageSize: EOPNOTSUPP,
  structPage: EOPNOTSUPP,
  align: EINVAL,
  size: EBUSY,
  offset: ENXIO,
};

/** A namespace whose info block is damaged or does not fit it; `errno` is what nd_pfn_validate returns. */
export class InfoBlockError extends KernelError {
  override readonly name: string = 'InfoBlockError';
  readonly code: InfoBlockErrorCode;

  constructor(code: InfoBlockErrorCode, what: string) {
    super(ERRNO[code], `info block: ${what}`);
    this.code = code;
  }
}

const SIGNATURES: Readonly<Record<InfoBlockMode, string>> = {
  fsdax: 'NVDIMM_PFN_INFO\0',
  devdax: 'NVDIMM_DAX_INFO\0',
};
const MAPS: readonly (InfoBlockMap | undefined)[] = [undefined, 'mem', 'dev'];
/** MAX_STRUCT_PAGE_SIZE */
const STRUCT_PAGE_SIZE = 64;
/** memremap_compat_align(): a subsection. */
const SUBSECTION_SIZE = LARGE_PAGE_SIZE;
const ALIGNMENTS: readonly number[] = [PAGE_SIZE, LARGE_PAGE_SIZE, HUGE_PAGE_SIZE];
const ZERO_UUID = '00000000-0000-0000-0000-000000000000';

// Offsets in the block.
const UUID = 16;
const PARENT_UUID = 32;
const FLAGS = 48;
const VERSION_MAJOR = 52;
const VERSION_MINOR = 54;
const DATAOFF = 56;
const NPFNS = 64;
const MODE = 72;
const START_PAD = 76;
const END_TRUNC = 80;
const ALIGN = 84;
const PAGE_SIZE_AT = 88;
const STRUCT_PAGE_AT = 92;
const CHECKSUM = INFO_BLOCK_SIZE - 8;

/** What a namespace is to be. */
export interface InfoBlockRequest {
  /** Bytes of the whole namespace. */
  readonly size: number;
  readonly mode: InfoBlockMode;
  readonly uuid: string;
  /** Bytes of the pages that can be mapped: 4096, 2 MiB (default) or 1 GiB. */
  readonly align?: number;
  /** Default `dev`. */
  readonly map?: InfoBlockMap;
}

/**
 * nd_pfn_init: the info block of a new namespace, whose start is aligned to whatever is asked for.
 *
 * @throws {KernelError} EINVAL for an alignment or uuid that is none; ENXIO where no data would be left.
 * @example
 * const uuid = '01234567-89ab-cdef-0123-456789abcdef';
 * infoBlockFor({ size: 2 ** 30, mode: 'fsdax', uuid }).dataoff; // => 18874368
 */
export function infoBlockFor(request: InfoBlockRequest): InfoBlock {
  const { size, mode, uuid, align = LARGE_PAGE_SIZE, map = 'dev' } = request;
  if (!ALIGNMENTS.includes(align)) {
    throw new KernelError(EINVAL, `namespace: alignment ${align}; give 4096, 2 MiB or 1 GiB`);
  }
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) {
    throw new KernelError(EINVAL, `namespace: uuid ${uuid}; give 8-4-4-4-12 small hex digits`);
  }
  const head = 2 * INFO_BLOCK_OFFSET;
  const structPages = map === 'dev' ? Math.floor((size - head) / PAGE_SIZE) * STRUCT_PAGE_SIZE : 0;
  const dataoff = alignUp(head + structPages, Math.max(align, SUBSECTION_SIZE));
  const endTrunc = size % align;
  const npfns = Math.floor((size - dataoff - endTrunc) / PAGE_SIZE);
  if (npfns <= 0) {
    throw new KernelError(
      ENXIO,
      `namespace: unable to satisfy requested alignment: of ${size} bytes the first ${dataoff} hold no data; make it larger`,
    );
  }
  return {
    ...{ mode, uuid, parentUuid: ZERO_UUID, flags: 0, version: '1.4', dataoff, npfns, map },
    ...{ startPad: 0, endTrunc, align, pageSize: PAGE_SIZE, pageStructSize: STRUCT_PAGE_SIZE },
  };
}

function alignUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}

/**
 * The bytes of an info block, with its checksum: what stands {@link INFO_BLOCK_OFFSET} bytes from the start.
 *
 * @example
 * const uuid = '01234567-89ab-cdef-0123-456789abcdef';
 * const media = memoryMedia(2 ** 24);
 * const block = encodeInfoBlock(infoBlockFor({ size: 2 ** 24, mode: 'fsdax', uuid }));
 * media.write(INFO_BLOCK_OFFSET, block);
 * openNamespace(media).mode; // => 'fsdax'
 */
export function encodeInfoBlock(block: InfoBlock): Uint8Array {
  const bytes = new Uint8Array(INFO_BLOCK_SIZE);
  const view = new DataView(bytes.buffer);
  const signature = SIGNATURES[block.mode];
  for (let i = 0; i < signature.length; i++) bytes[i] = signature.charCodeAt(i);
  bytes.set(uuidBytes(block.uuid), UUID);
  bytes.set(uuidBytes(block.parentUuid), PARENT_UUID);
  const [major = 0, minor = 0] = block.version.split('.').map(Number);
  view.setUint32(FLAGS, block.flags, true);
  view.setUint16(VERSION_MAJOR, major, true);
  view.setUint16(VERSION_MINOR, minor, true);
  view.setBigUint64(DATAOFF, BigInt(block.dataoff), true);
  view.setBigUint64(NPFNS, BigInt(block.npfns), true);
  view.setUint32(MODE, MAPS.indexOf(block.map), true);
  view.setUint32(START_PAD, block.startPad, true);
  view.setUint32(END_TRUNC, block.endTrunc, true);
  view.setUint32(ALIGN, block.align, true);
  view.setUint32(PAGE_SIZE_AT, block.pageSize, true);
  view.setUint16(STRUCT_PAGE_AT, block.pageStructSize, true);
  view.setBigUint64(CHECKSUM, fletcher64(bytes), true);
  return bytes;
}

/**
 * nd_pfn_validate: the info block of a namespace of `size` bytes; null where there is none.
 *
 * @param bytes the 4096 bytes from {@link INFO_BLOCK_OFFSET}
 * @throws {InfoBlockError} for one that is damaged, or does not fit the namespace.
 * @example
 * decodeInfoBlock(new Uint8Array(INFO_BLOCK_SIZE), 2 ** 24); // => null
 */
export function decodeInfoBlock(bytes: Uint8Array, size: number): InfoBlock | null {
  const signature = String.fromCharCode(...bytes.subarray(0, UUID));
  const mode = (['fsdax', 'devdax'] as const).find((name) => SIGNATURES[name] === signature);
  if (mode === undefined) return null;
  const copy = bytes.slice(0, INFO_BLOCK_SIZE);
  const view = new DataView(copy.buffer);
  const stored = view.getBigUint64(CHECKSUM, true);
  view.setBigUint64(CHECKSUM, 0n, true);
  const sum = fletcher64(copy);
  if (sum !== stored) {
    const [is, should] = [stored, sum].map((value) => value.toString(16).padStart(16, '0'));
    throw new InfoBlockError('checksum', `bad checksum: 0x${is}, and its bytes give 0x${should}`);
  }
  const block = fieldsOf(view, copy, mode);
  checkFormat(block);
  checkPlace(block, size);
  return block;
}

/** The fields; what a minor version did not have yet has the value that it had then. */
function fieldsOf(view: DataView, bytes: Uint8Array, mode: InfoBlockMode): InfoBlock {
  const minor = view.getUint16(VERSION_MINOR, true);
  const map = MAPS[view.getUint32(MODE, true)];
  if (map === undefined) {
    throw new InfoBlockError('mode', `mode ${view.getUint32(MODE, true)}, not 1 (RAM) or 2 (PMEM)`);
  }
  const dataoff = Number(view.getBigUint64(DATAOFF, true));
  const align = minor < 2 ? 0 : view.getUint32(ALIGN, true);
  return {
    mode,
    uuid: uuidText(bytes, UUID),
    parentUuid: uuidText(bytes, PARENT_UUID),
    flags: view.getUint32(FLAGS, true),
    version: `${view.getUint16(VERSION_MAJOR, true)}.${minor}`,
    dataoff,
    npfns: Number(view.getBigUint64(NPFNS, true)),
    map,
    startPad: minor < 1 ? 0 : view.getUint32(START_PAD, true),
    endTrunc: minor < 1 ? 0 : view.getUint32(END_TRUNC, true),
    align: align === 0 ? 2 ** Math.floor(Math.log2(Math.max(1, dataoff))) : align,
    pageSize: minor < 4 ? PAGE_SIZE : view.getUint32(PAGE_SIZE_AT, true),
    pageStructSize: minor < 4 ? STRUCT_PAGE_SIZE : view.getUint16(STRUCT_PAGE_AT, true),
  };
}

function checkFormat({ pageSize, pageStructSize }: InfoBlock): void {
  if (pageSize !== PAGE_SIZE) {
    throw new InfoBlockError('pageSize', `init failed, page size mismatch ${pageSize}`);
  }
  if (pageStructSize < STRUCT_PAGE_SIZE) {
    throw new InfoBlockError(
      'structPage',
      `init failed, struct page size mismatch ${pageStructSize}`,
    );
  }
}

function checkPlace(block: InfoBlock, size: number): void {
  const { dataoff, npfns, startPad, endTrunc, align } = block;
  if (align > size) {
    throw new InfoBlockError('align', `alignment: ${align.toString(16)} exceeds capacity ${size}`);
  }
  if (dataoff >= size) {
    throw new InfoBlockError('size', `pfn array size exceeds capacity: data from byte ${dataoff}`);
  }
  const fits = dataoff % PAGE_SIZE === 0 && dataoff >= INFO_BLOCK_OFFSET + INFO_BLOCK_SIZE;
  if (!fits || align % PAGE_SIZE !== 0 || (dataoff + startPad) % align !== 0) {
    const [offset, mask] = [dataoff, align].map((value) => value.toString(16));
    throw new InfoBlockError('offset', `bad offset: 0x${offset} dax disabled align: 0x${mask}`);
  }
  const told = startPad + dataoff + npfns * PAGE_SIZE + endTrunc;
  if (npfns === 0 || told !== size) {
    throw new InfoBlockError(
      'size',
      `size mismatch: it tells of ${told} bytes, and the namespace has ${size}`,
    );
  }
}

function uuidBytes(uuid: string): Uint8Array {
  const digits = uuid.replaceAll('-', '');
  return Uint8Array.from({ length: 16 }, (_, i) =>
    Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}

function uuidText(bytes: Uint8Array, at: number): string {
  const digits = [...bytes.subarray(at, at + 16)]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
