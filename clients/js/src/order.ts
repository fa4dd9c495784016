// The order of what one subscription delivers (v2 2.3, 3.1 and 3.4).
//
// A message with a serial is delivered once, after all lower serials of its stream that were delivered.
// Where that cannot be kept, a gap is reported in its place among the messages.
// Serials may jump without loss: other receivers, filters and excluded senders take some.

import type { Envelope, Serial } from './codec/envelope.js';

export interface Message extends Envelope {
  event: string;
  channel: string;
}

/** Position is how far a subscription has got. An application may store it and go on from it with `since`. */
export interface Position {
  stream_id?: string;
  serial: Serial;
  last_message_id?: string;
}

/**
 * GapCode is a code of resume_failed, or one of this client:
 * no_position: the connection was lost and no message had told where the channel stood;
 * resume_refused, resume_unanswered: the server did not say what was missed;
 * skipped: serials are missing in a subscription that is to have all;
 * late: a message came after a higher serial; it is in `message` and is not delivered.
 */
export type GapCode =
  | 'stream_reset' | 'position_expired' | 'continuity_unverifiable' | 'persistence_unavailable'
  | 'no_position' | 'resume_refused' | 'resume_unanswered' | 'skipped' | 'late';

export interface Gap {
  code: GapCode | (string & {});
  reason?: string;
  /** position is the last one before the gap. */
  position?: Position;
  message?: Message;
  expected_stream_id?: string;
  current_stream_id?: string;
  oldest_available_serial?: Serial;
  newest_available_serial?: Serial;
}

export interface Receiver {
  deliver(message: Message): void;
  gap(gap: Gap): void;
}

const maxHeld = 10_000;
const maxSkipped = 100;

export class Order {
  #position: Position | undefined;
  // #held has what came out of order while a replay is due, by stream and serial; undefined if none is due.
  #held: Map<string, Message> | undefined;
  // #skipped are ranges of serials below the position that did not come.
  #skipped: { from: Serial; to: Serial }[] = [];

  /** A dense subscription receives every serial. */
  constructor(readonly receiver: Receiver, readonly dense: boolean) {}

  get position(): Position | undefined {
    return this.#position;
  }

  /** start sets the position where none is known. */
  start(position: Position): void {
    this.#position ??= position;
  }

  /** hold keeps back what does not follow the position, until release. */
  hold(): void {
    this.#held ??= new Map();
  }

  /** release delivers what was held, in the order of serials. */
  release(): void {
    const streams = new Map<string | undefined, Message[]>();
    for (const message of this.#held?.values() ?? []) {
      const messages = streams.get(message.stream_id) ?? [];
      messages.push(message);
      streams.set(message.stream_id, messages);
    }
    this.#held = undefined;
    for (const messages of streams.values()) {
      messages.sort((a, b) => (a.serial! < b.serial! ? -1 : 1)).forEach((message) => this.#pass(message));
    }
  }

  /** abandon drops what was held: a later resume from the position brings it again. */
  abandon(): void {
    this.#held = undefined;
  }

  /** advance takes the position that a server names at the end of a replay: filters may have kept its last messages back. */
  advance(position: Position): void {
    const last = this.#position;
    if (last && last.stream_id === position.stream_id && last.serial < position.serial) this.#position = position;
  }

  /** lose reports a gap and forgets the position, since what follows does not join on to it. */
  lose(gap: Gap): void {
    const before = this.#position;
    this.#position = undefined;
    this.#skipped = [];
    this.receiver.gap(before ? { ...gap, position: before } : gap);
  }

  accept(message: Message): void {
    if (message.serial === undefined) {
      this.receiver.deliver(message);
    } else if (!this.#held || this.#follows(message)) {
      this.#pass(message);
      this.#drain();
    } else {
      this.#held.set(key(message.stream_id, message.serial), message);
      if (this.#held.size > maxHeld) this.release();
    }
  }

  // #drain delivers what was held and now follows the position.
  #drain(): void {
    while (this.#held && this.#position) {
      const next = key(this.#position.stream_id, after(this.#position.serial));
      const message = this.#held.get(next);
      if (!message) return;
      this.#held.delete(next);
      this.#pass(message);
    }
  }

  #follows({ stream_id, serial }: Message): boolean {
    const last = this.#position;
    return last !== undefined && (last.stream_id === undefined || last.stream_id === stream_id) && after(last.serial) === serial;
  }

  #pass(message: Message): void {
    const serial = message.serial!;
    const last = this.#position;
    if (last?.stream_id !== undefined && last.stream_id !== message.stream_id) {
      this.lose({ code: 'stream_reset', ...ids(last.stream_id, message.stream_id) });
    } else if (last && serial <= last.serial) {
      if (this.#fillsGap(serial)) this.receiver.gap({ code: 'late', message, position: last });
      return; // a duplicate, unless it was late
    } else if (last && !this.#follows(message)) {
      this.#skip(last, message);
    }
    this.#position = positionOf(message, serial);
    this.receiver.deliver(message);
  }

  #skip(last: Position, next: Message): void {
    this.#skipped.push({ from: after(last.serial), to: next.serial! });
    if (this.#skipped.length > maxSkipped) this.#skipped.shift();
    if (this.dense) this.receiver.gap({ code: 'skipped', position: last });
  }

  // #fillsGap says whether a serial was skipped, and notes that it has come.
  #fillsGap(serial: Serial): boolean {
    const range = this.#skipped.find(({ from, to }) => from <= serial && serial < to);
    if (!range) return false;
    this.#skipped.push({ from: after(serial), to: range.to });
    range.to = serial;
    this.#skipped = this.#skipped.filter(({ from, to }) => from < to);
    return true;
  }
}

function key(stream: string | undefined, serial: Serial): string {
  return `${serial} ${stream ?? ''}`;
}

function ids(expected: string | undefined, current: string | undefined): Partial<Gap> {
  return { ...(expected !== undefined && { expected_stream_id: expected }), ...(current !== undefined && { current_stream_id: current }) };
}

// after is the serial that follows another.
function after(serial: Serial): Serial {
  if (typeof serial === 'number' && serial < Number.MAX_SAFE_INTEGER) return serial + 1;
  return BigInt(serial) + 1n;
}

/** positionOf is the position of a message. */
export function positionOf({ stream_id, message_id }: Envelope, serial: Serial): Position {
  return {
    ...(stream_id !== undefined && { stream_id }),
    serial,
    ...(message_id !== undefined && { last_message_id: message_id }),
  };
}
