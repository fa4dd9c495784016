// The server's side of sockets that exist in memory alone.

import assert from 'node:assert/strict';
import type { Codec, Envelope, Frame, Socket } from '@millrace/client';

// turn lets everything happen that waits for no time.
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export class Peer {
  // attempts are the sockets that the client has opened and the conversation has not come to.
  readonly attempts: Conversation[] = [];

  // The constructor that a client is given.
  readonly WebSocket: new (url: string) => Socket;

  constructor(codec: Codec) {
    const { attempts } = this;
    this.WebSocket = class extends Conversation {
      constructor(url: string) {
        super(url, codec);
        attempts.push(this);
      }
    };
  }
}

export class Conversation implements Socket {
  binaryType = '';
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: unknown) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: unknown) => void) | null = null;
  // said are the frames of the client that the conversation has not come to.
  readonly said: Envelope[] = [];
  isClosed = false;

  constructor(readonly url: string, readonly codec: Codec) {}

  send(frame: Frame): void {
    assert.equal(typeof frame, this.codec.format === 'json' ? 'string' : 'object');
    this.said.push(this.codec.decode(frame));
  }

  close(): void {
    this.isClosed = true;
  }

  say(envelope: Envelope): void {
    this.sayFrame(this.codec.encode(envelope));
  }

  sayFrame(frame: Frame): void {
    this.onmessage?.({ data: typeof frame === 'string' ? frame : Uint8Array.from(frame).buffer });
  }

  end(code: number, reason: string): void {
    this.isClosed = true;
    this.onclose?.({ code, reason });
  }

  fail(): void {
    this.onerror?.({});
  }
}
