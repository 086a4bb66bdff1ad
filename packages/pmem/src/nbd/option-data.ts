// SPDX-License-Identifier: MIT
// The data of options that name an export.

import { textOf, u16, u32 } from './wire.ts';

/** Of NBD_OPT_INFO and NBD_OPT_GO. */
export interface ExportQuery {
  readonly name: string;
  readonly infos: ReadonlySet<number>;
}

/** Of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
export interface MetaQuery {
  readonly name: string;
  readonly queries: readonly string[];
}

/** Null if the lengths in it do not add up. */
export function exportQuery(bytes: Uint8Array, at: number, length: number): ExportQuery | null {
  if (length < 6) return null;
  const nameLength = u32(bytes, at);
  if (nameLength > length - 6) return null;
  const count = u16(bytes, at + 4 + nameLength);
  if (length !== 6 + nameLength + count * 2) return null;
  const infos = new Set<number>();
  for (let i = 0; i < count; i++) infos.add(u16(bytes, at + 6 + nameLength + i * 2));
  return { name: textOf(bytes, at + 4, nameLength), infos };
}

/** Null if the lengths in it do not add up. */
export function metaQuery(bytes: Uint8Array, at: number, length: number): MetaQuery | null {
  if (length < 8) return null;
  const nameLength = u32(bytes, at);
  if (nameLength > length - 8) return null;
  const end = at + length;
  let next = at + 8 + nameLength;
  const queries: string[] = [];
  for (let left = u32(bytes, next - 4); left > 0; left--) {
    if (next + 4 > end) return null;
    const size = u32(bytes, next);
    if (size > end - next - 4) return null;
    queries.push(textOf(bytes, next + 4, size));
    next += 4 + size;
  }
  return next === end ? { name: textOf(bytes, at + 4, nameLength), queries } : null;
}
