// Recovery asks a server for what subscriptions missed, and passes the outcome of each channel on (v2 3.1 to 3.4).

import { isRecord } from './codec/envelope.js';
import type { Gap, Position } from './order.js';
import type { Session } from './session.js';

export interface Recovered {
  source?: 'hot' | 'cold';
  replayed?: number;
  position?: Position;
}

/** Outcomes are told the outcome of a channel. */
export interface Outcomes {
  recovered(channel: string, recovered: Recovered): void;
  lost(channel: string, gap: Gap): void;
}

// batch bounds the size of a request: a position takes at most some 400 bytes, a frame 64 KiB.
const batch = 100;

export class Recovery {
  // #due are the positions of channels that are not asked about yet.
  readonly #due = new Map<string, Position>();
  readonly #asked = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly session: Session, readonly outcomes: Outcomes, readonly timeout: number) {
    session.onEnd(() => clearTimeout(this.#timer));
  }

  get isWaiting(): boolean {
    return this.#asked.size > 0;
  }

  /** request asks about a channel, together with what else is requested in the same turn. */
  request(channel: string, position: Position): void {
    if (this.#due.size === 0) queueMicrotask(() => this.#flush());
    this.#due.set(channel, position);
  }

  #flush(): void {
    const due = [...this.#due];
    this.#due.clear();
    if (!this.session.isOpen) return;
    for (let i = 0; i < due.length; i += batch) this.#ask(due.slice(i, i + batch));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#giveUp('resume_unanswered'), this.timeout);
  }

  #ask(positions: [string, Position][]): void {
    positions.forEach(([channel]) => this.#asked.add(channel));
    const data = { channel_positions: Object.fromEntries(positions) };
    this.session.send('resume', JSON.stringify(data, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)));
  }

  /** refused ends the wait if a server without recovery has answered. */
  refused(): void {
    this.#giveUp('resume_refused');
  }

  #giveUp(code: Gap['code']): void {
    for (const channel of [...this.#asked]) this.#lost(channel, { code });
  }

  /** succeeded reads resume_success. */
  succeeded(data: unknown): void {
    const { recovered, failed } = isRecord(data) ? data : {};
    for (const { channel, ...item } of itemsOf(recovered)) {
      if (this.#answered(channel)) this.outcomes.recovered(channel, item as Recovered);
    }
    for (const item of itemsOf(failed)) {
      if (this.#asked.has(item.channel)) this.failed(item.channel, item);
    }
  }

  /** failed reads resume_failed. It may also come unasked, when the server lost messages of a live subscription. */
  failed(channel: string | undefined, data: unknown): void {
    const { channel: named, ...gap } = isRecord(data) ? data : {};
    const name = channel ?? named;
    const known = Object.fromEntries(Object.entries(gap).filter(([, value]) => value !== null));
    if (typeof name === 'string') this.#lost(name, { code: 'continuity_unverifiable', ...known });
  }

  #lost(channel: string, gap: Gap): void {
    this.#answered(channel);
    this.outcomes.lost(channel, gap);
  }

  #answered(channel: string): boolean {
    const wasAsked = this.#asked.delete(channel);
    if (this.#asked.size === 0) clearTimeout(this.#timer);
    return wasAsked;
  }
}

function itemsOf(list: unknown): (Record<string, unknown> & { channel: string })[] {
  return Array.isArray(list) ? list.filter((item) => isRecord(item) && typeof item['channel'] === 'string') : [];
}
