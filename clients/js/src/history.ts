// Requests for history over the connection (v2 13, items 8 and 9). An answer names its channel and nothing else,
// so that one request per channel is under way, and two in all.

import { isRecord, type Serial } from './codec/envelope.js';
import { ClientError } from './errors.js';
import type { Session } from './session.js';

export interface HistoryQuery {
  limit?: number;
  direction?: 'newest_first' | 'oldest_first';
  cursor?: string;
  start_serial?: Serial;
  end_serial?: Serial;
  start_time_ms?: number;
  end_time_ms?: number;
  until_attach?: boolean;
}

export interface HistoryItem {
  stream_id: string;
  serial: Serial;
  published_at_ms: number;
  message_id: string | null;
  event_name: string | null;
  message: Record<string, unknown>;
}

/** HistoryPage is the page of v2 4.2. */
export interface HistoryPage {
  items: HistoryItem[];
  direction: 'newest_first' | 'oldest_first';
  limit: number;
  has_more: boolean;
  next_cursor: string | null;
  bounds: Record<string, unknown>;
  continuity: Record<string, unknown>;
}

const maxAtOnce = 2;

interface Request {
  channel: string;
  query: HistoryQuery;
  resolve(page: HistoryPage): void;
  reject(error: ClientError): void;
  timer?: ReturnType<typeof setTimeout>;
}

export class History {
  #waiting: Request[] = [];
  readonly #asked = new Map<string, Request>();

  constructor(readonly session: Session, readonly timeout: number) {
    session.onEnd(() => this.#end());
  }

  request(channel: string, query: HistoryQuery): Promise<HistoryPage> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ channel, query, resolve, reject });
      this.#ask();
    });
  }

  #ask(): void {
    for (const request of [...this.#waiting]) {
      if (this.#asked.size >= maxAtOnce) return;
      if (this.#asked.has(request.channel)) continue;
      this.#waiting = this.#waiting.filter((waiting) => waiting !== request);
      this.#asked.set(request.channel, request);
      request.timer = setTimeout(() => this.refused(new ClientError('timeout', 'no answer', request)), this.timeout);
      const query = Object.entries(request.query).map(([name, value]) => [name, typeof value === 'bigint' ? String(value) : value]);
      this.session.send('channel_history', { channel: request.channel, ...Object.fromEntries(query) });
    }
  }

  /** answered passes a page on. */
  answered(channel: string | undefined, data: unknown): void {
    const named = channel ?? (isRecord(data) ? data['channel'] : undefined);
    this.#take(named as string)?.resolve(data as HistoryPage);
  }

  /** refused fails the request of the channel that an error names. It says whether there was one. */
  refused(error: ClientError): boolean {
    const request = this.#take(error.channel);
    request?.reject(error);
    return request !== undefined;
  }

  #take(channel: string | undefined): Request | undefined {
    const request = this.#asked.get(channel ?? '');
    if (!request) return undefined;
    clearTimeout(request.timer);
    this.#asked.delete(request.channel);
    this.#ask();
    return request;
  }

  #end(): void {
    const open = [...this.#asked.values(), ...this.#waiting];
    this.#asked.clear();
    this.#waiting = [];
    for (const request of open) {
      clearTimeout(request.timer);
      request.reject(new ClientError('closed', 'the connection ended before the answer', request));
    }
  }
}
