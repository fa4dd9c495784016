// The message of Protocol V2 and the contract of its encodings (v2 1.5).

/** Serial is a number up to 2^53-1 and a bigint above. */
export type Serial = number | bigint;

export type HeaderValue = string | number | boolean;

export interface Extras {
  headers?: Record<string, HeaderValue>;
  ephemeral?: boolean;
  idempotencyKey?: string;
  echo?: boolean;
  /** push is carried by JSON alone. */
  push?: unknown;
}

/** Envelope has the members of a frame under their names in JSON. Absent members are left out. */
export interface Envelope {
  event?: string;
  channel?: string;
  /** data is text, a JSON value, or bytes (not in JSON). null is the JSON value null. */
  data?: unknown;
  name?: string;
  user_id?: string;
  tags?: Record<string, string>;
  sequence?: Serial;
  conflation_key?: string;
  message_id?: string;
  stream_id?: string;
  serial?: Serial;
  idempotency_key?: string;
  extras?: Extras;
  __delta_seq?: Serial;
  __conflation_key?: string;
}

/** Frame is what a socket carries: text, or bytes. */
export type Frame = string | Uint8Array;

export interface Codec {
  /** format is the value of the query parameter. */
  readonly format: 'json' | 'msgpack' | 'protobuf';
  encode(envelope: Envelope): Frame;
  /** decode throws a DecodeError for a frame that is not one whole envelope. */
  decode(frame: Frame): Envelope;
}

export class DecodeError extends Error {
  override name = 'DecodeError';
}

/** Shape says how an encoding writes a member. */
export type Shape = 'text' | 'serial' | 'data' | 'tags' | 'extras';

/** members are in the order of JSON and MessagePack; their numbers in Protocol Buffers count from 1. */
export const members: readonly (readonly [keyof Envelope, Shape])[] = [
  ['event', 'text'],
  ['channel', 'text'],
  ['data', 'data'],
  ['name', 'text'],
  ['user_id', 'text'],
  ['tags', 'tags'],
  ['sequence', 'serial'],
  ['conflation_key', 'text'],
  ['message_id', 'text'],
  ['stream_id', 'text'],
  ['serial', 'serial'],
  ['idempotency_key', 'text'],
  ['extras', 'extras'],
  ['__delta_seq', 'serial'],
  ['__conflation_key', 'text'],
];

/** refuse throws the error of a decoder. */
export function refuse(message: string): never {
  throw new DecodeError(message);
}

/** serialOf is an unsigned 64 bit integer as a Serial. */
export function serialOf(value: bigint): Serial {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/** parseJson is the value of a JSON text, or what otherwise gives. */
export function parseJson(text: string, otherwise: (text: string) => unknown): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return otherwise(text);
  }
}

/** parseOrText is the value of a JSON text; a text that does not parse stays a string. */
export function parseOrText(text: string): unknown {
  return parseJson(text, () => text);
}

/** isRecord tells objects with members from arrays, bytes, null and scalars. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
