// SPDX-License-Identifier: MIT
// A session on a socket. What is read and not worked on is one chunk, what is sent and not taken is a few blocks:
// a client that does not take its replies is not read from.

import type { Socket } from 'node:net';
import type { NbdExport } from '../nbd/export.ts';
import type { BlockPool } from '../nbd/reply-output.ts';
import { type NbdProgress, NbdSession } from '../nbd/session.ts';

/** Milliseconds that a client has for its handshake, and to take its last replies. */
export interface ConnectionLimits {
  readonly handshakeMsMax: number;
  readonly lingerMsMax: number;
}

/** What the connections of a server share. */
export interface NbdShared {
  readonly target: NbdExport;
  readonly blocks: BlockPool;
  readonly beforeBatch: () => void;
  readonly limits: ConnectionLimits;
}

export class NbdConnection {
  readonly #socket: Socket;
  readonly #session: NbdSession;
  readonly #beforeBatch: () => void;
  readonly #limits: ConnectionLimits;
  #progress: NbdProgress = 'input';
  #timer: NodeJS.Timeout | null = null;
  #finishing = false;
  #hungUp = false;

  constructor(socket: Socket, { target, blocks, beforeBatch, limits }: NbdShared) {
    this.#socket = socket;
    this.#beforeBatch = beforeBatch;
    this.#limits = limits;
    const transport = {
      send: (bytes: Uint8Array, sent: () => void) => void socket.write(bytes, sent),
      resume: () => this.#pump(),
    };
    this.#session = new NbdSession(target, transport, blocks);
  }

  start(): void {
    const socket = this.#socket;
    socket.on('data', (chunk: Buffer) => {
      this.#beforeBatch();
      this.#after(this.#session.receive(chunk));
    });
    // A client that has sent its last request still gets its replies.
    socket.on('end', () => this.finish());
    socket.on('error', () => this.destroy());
    socket.on('close', () => {
      this.#stopTimer();
      this.#session.close();
    });
    this.#timer = setTimeout(() => this.destroy(), this.#limits.handshakeMsMax);
    this.#pump();
  }

  /** Hangs up once everything that has arrived is answered. */
  finish(): void {
    this.#finishing = true;
    if (this.#progress === 'input') this.#hangUp();
  }

  destroy(): void {
    this.#session.close();
    this.#socket.destroy();
  }

  #pump(): void {
    if (this.#socket.destroyed) return;
    this.#after(this.#session.pump());
  }

  #after(progress: NbdProgress): void {
    if (this.#hungUp) return;
    const before = this.#progress;
    this.#progress = progress;
    if (this.#timer !== null && this.#session.established) this.#stopTimer();
    if (progress === 'closed' || (progress === 'input' && this.#finishing)) {
      this.#hangUp();
      return;
    }
    if (progress === 'later') setImmediate(() => this.#pump());
    if (progress === 'input') {
      if (before !== 'input') this.#socket.resume();
    } else if (before === 'input') this.#socket.pause();
  }

  #hangUp(): void {
    if (this.#hungUp) return;
    this.#hungUp = true;
    this.#session.close();
    // Not to be stuck on bytes that nobody wants any more.
    this.#socket.resume();
    this.#socket.end(() => this.#socket.destroy());
    this.#stopTimer();
    this.#timer = setTimeout(() => this.destroy(), this.#limits.lingerMsMax);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
