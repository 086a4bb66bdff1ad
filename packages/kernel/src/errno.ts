// SPDX-License-Identifier: MIT
// Error numbers of include/uapi/asm-generic/errno*.h that this stack returns (negated).

export const EPERM = 1;
export const ENOENT = 2;
export const EIO = 5;
export const ENXIO = 6;
export const EBADF = 9;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const ENFILE = 23;
export const ENOSPC = 28;
export const EROFS = 30;
export const ERANGE = 34;
export const EOPNOTSUPP = 95;
