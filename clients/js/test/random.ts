// Random envelopes from a seed, so that a failure can be played again.

import type { Envelope, Extras } from '@millrace/client';

export class Random {
  constructor(private seed: number) {}

  // below is an integer from 0 to n - 1.
  below(n: number): number {
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) >>> 0;
    return Math.floor(this.seed / 2 ** 32 * n);
  }

  one<T>(...values: T[]): T {
    return values[this.below(values.length)]!;
  }

  text(): string {
    const length = this.one(0, 1, 5, 31, 32, 40, 300);
    return Array.from({ length }, () => this.one('a', 'Z', '0', ' ', '"', '\\', '\n', '\u0000', 'é', '€', '😀')).join('');
  }

  serial(): number | bigint {
    return this.one<number | bigint>(0, 1, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, Number.MAX_SAFE_INTEGER, 2n ** 53n, 2n ** 64n - 1n);
  }

  value(depth = 3): unknown {
    if (depth > 0 && this.below(2) === 0) {
      const values = Array.from({ length: this.below(4) }, () => this.value(depth - 1));
      return this.below(2) === 0 ? values : Object.fromEntries(values.map((value, i) => [`${i}${this.text()}`, value]));
    }
    return this.one<unknown>(null, true, false, 0, -1, 1.5, 1e300, this.text());
  }

  map<T>(value: () => T): Record<string, T> {
    return Object.fromEntries(Array.from({ length: 1 + this.below(20) }, () => [this.one('__proto__', this.text()), value()]));
  }

  extras(): Extras {
    const extras: Extras = {};
    if (this.below(2)) extras.headers = this.map(() => this.one<string | number | boolean>(this.text(), 7, -0.5, 1e21, true, false));
    if (this.below(2)) extras.ephemeral = this.one(true, false);
    if (this.below(2)) extras.idempotencyKey = this.text();
    if (this.below(2)) extras.echo = this.one(true, false);
    return extras;
  }

  envelope(): Envelope {
    const all: Required<Omit<Envelope, 'data'>> & Envelope = {
      event: this.text(), channel: this.text(), data: this.value(), name: this.text(), user_id: this.text(), tags: this.map(() => this.text()),
      sequence: this.serial(), conflation_key: this.text(), message_id: this.text(), stream_id: this.text(), serial: this.serial(),
      idempotency_key: this.text(), extras: this.extras(), __delta_seq: this.serial(), __conflation_key: this.text(),
    };
    return Object.fromEntries(Object.entries(all).filter(() => this.below(3) > 0));
  }
}
