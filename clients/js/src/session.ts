// Session is one established connection, for what must not outlive it.

import type { Envelope } from './codec/envelope.js';

export class Session {
  #isOpen = true;
  readonly #onEnd: (() => void)[] = [];

  constructor(readonly socketId: string, readonly transmit: (envelope: Envelope) => void) {}

  get isOpen(): boolean {
    return this.#isOpen;
  }

  // send sends a command of the protocol. After the end of the session it sends nothing.
  send(command: string, data?: unknown): void {
    if (this.#isOpen) this.transmit({ event: `sockudo:${command}`, ...(data !== undefined && { data }) });
  }

  // onEnd calls a function when the session has ended.
  onEnd(call: () => void): void {
    this.#onEnd.push(call);
  }

  end(): void {
    this.#isOpen = false;
    this.#onEnd.splice(0).forEach((call) => call());
  }
}
