// SPDX-License-Identifier: MIT
// The checksum of nvdimm structures. nd_fletcher64, drivers/nvdimm/core.c

/**
 * Fletcher's sum over little-endian words of 32 bits, each half modulo 2^32.
 *
 * @example
 * fletcher64(Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0)); // => 17179869187n
 */
export function fletcher64(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let low = 0;
  let high = 0;
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    low = (low + view.getUint32(at, true)) >>> 0;
    high = (high + low) >>> 0;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}
