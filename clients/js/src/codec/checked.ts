// Values that a decoder of JSON or MessagePack has read, checked to be what an envelope holds.

import { type Envelope, type Extras, type HeaderValue, isRecord, members, refuse, type Serial, type Shape } from './envelope.js';

// DataReader makes the data of an envelope from what the encoding has in its place.
export type DataReader = (value: unknown) => unknown;

// envelopeOf checks the members of a decoded frame. Unknown members are dropped.
export function envelopeOf(raw: Record<string, unknown>, readData: DataReader): Envelope {
  const read: Record<Shape, (value: unknown, name: string) => unknown> = { text, serial, data: readData, tags, extras };
  const known = members.filter(([name, shape]) => raw[name] !== undefined && (raw[name] !== null || shape === 'data'));
  return Object.fromEntries(known.map(([name, shape]) => [name, read[shape](raw[name], name)])) as Envelope;
}

function text(value: unknown, name: string): string {
  return typeof value === 'string' ? value : refuse(`${name} is not text`);
}

// serial refuses numbers that JSON has rounded.
function serial(value: unknown, name: string): Serial {
  if (typeof value === 'string' && /^\d{1,20}$/.test(value)) {
    const exact = BigInt(value);
    return exact <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(exact) : exact;
  }
  if (typeof value === 'bigint' && value >= 0n) return value;
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : refuse(`${name} is not a serial`);
}

function flag(value: unknown, name: string): boolean {
  return typeof value === 'boolean' ? value : refuse(`${name} is not a boolean`);
}

function entriesOf(value: unknown, name: string): [string, unknown][] {
  return isRecord(value) ? Object.entries(value) : refuse(`${name} is not a map`);
}

function tags(value: unknown): Record<string, string> {
  return Object.fromEntries(entriesOf(value, 'tags').map(([key, tag]) => [key, text(tag, 'a tag')]));
}

function header(value: unknown): HeaderValue {
  return ['string', 'number', 'boolean'].includes(typeof value) ? (value as HeaderValue) : refuse('a header is no scalar');
}

// extras takes the idempotency key in both spellings (v2 1.5).
function extras(value: unknown): Extras {
  const raw = isRecord(value) ? value : refuse('extras is not a map');
  const key = raw['idempotencyKey'] ?? raw['idempotency_key'];
  const checked: Extras = {};
  if (raw['headers'] != null) {
    checked.headers = Object.fromEntries(entriesOf(raw['headers'], 'headers').map(([name, content]) => [name, header(content)]));
  }
  if (raw['ephemeral'] != null) checked.ephemeral = flag(raw['ephemeral'], 'ephemeral');
  if (key != null) checked.idempotencyKey = text(key, 'idempotencyKey');
  if (raw['echo'] != null) checked.echo = flag(raw['echo'], 'echo');
  if (raw['push'] != null) checked.push = raw['push'];
  return checked;
}
