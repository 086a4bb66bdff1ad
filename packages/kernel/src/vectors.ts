// SPDX-License-Identifier: MIT
// Vectors that the kernel itself uses, beside those that the processor raises. arch/x86/include/asm/irq_vectors.h, trapnr.h

export const VECTOR_DEBUG = 1;
export const VECTOR_BREAKPOINT = 3;
export const HYPERVISOR_CALLBACK_VECTOR = 0xf3;
export const CALL_FUNCTION_SINGLE_VECTOR = 0xfb;
export const CALL_FUNCTION_VECTOR = 0xfc;
export const RESCHEDULE_VECTOR = 0xfd;
