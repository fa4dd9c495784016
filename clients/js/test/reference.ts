// The binary encodings by other libraries, from v2 1.5 alone.

import { decode, encode, ExtData } from '@msgpack/msgpack';
import type { Envelope } from '@millrace/client';
import protobuf from 'protobufjs';

const names = [
  'event', 'channel', 'data', 'name', 'user_id', 'tags', 'sequence', 'conflation_key', 'message_id', 'stream_id', 'serial', 'idempotency_key',
  'extras', '__delta_seq', '__conflation_key',
] as const;

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Envelope {
    optional string event = 1;
    optional string channel = 2;
    optional Data data = 3;
    optional string name = 4;
    optional string user_id = 5;
    map<string, string> tags = 6;
    optional uint64 sequence = 7;
    optional string conflation_key = 8;
    optional string message_id = 9;
    optional string stream_id = 10;
    optional uint64 serial = 11;
    optional string idempotency_key = 12;
    optional Extras extras = 13;
    optional uint64 delta_sequence = 14;
    optional string delta_conflation_key = 15;
  }
  message Data { oneof kind { string text = 1; Structured structured = 2; string json = 3; bytes binary = 4; } }
  message Structured {
    optional string channel_data = 1; optional string channel = 2; optional string user_data = 3;
    map<string, string> extra = 4;
  }
  message Extras {
    map<string, HeaderValue> headers = 1;
    optional bool ephemeral = 2; optional string idempotency_key = 3; optional bool echo = 4;
  }
  message HeaderValue { oneof kind { string s = 1; double n = 2; bool b = 3; } }
`, { keepCase: true });
const Message = root.lookupType('Envelope');

// Plain is what a library of Protocol Buffers makes of an envelope, with numbers as text.
export type Plain = Record<string, unknown>;

export function protobufEncode(plain: Plain): Uint8Array {
  return Message.encode(Message.fromObject(plain)).finish();
}

export function protobufDecode(bytes: Uint8Array): Plain {
  return Message.toObject(Message.decode(bytes), { longs: String });
}

export function msgpackEncode(value: unknown): Uint8Array {
  return encode(value, { useBigInt64: true });
}

export function msgpackDecode(bytes: Uint8Array): unknown {
  return decode(bytes, { useBigInt64: true });
}

export const extension = new ExtData(5, new Uint8Array(3));

// plainOf is an envelope in the form of the schema.
export function plainOf({ data, extras, __delta_seq: seq, __conflation_key: key, ...same }: Envelope): Plain {
  const plain: Plain = { ...same };
  for (const name of ['sequence', 'serial']) if (plain[name] !== undefined) plain[name] = String(plain[name]);
  if (seq !== undefined) plain['delta_sequence'] = String(seq);
  if (key !== undefined) plain['delta_conflation_key'] = key;
  if (data !== undefined) plain['data'] = typeof data === 'string' ? { text: data } : { json: JSON.stringify(data) };
  if (extras) {
    const { headers, idempotencyKey, ...flags } = extras;
    const kinds = { string: 's', number: 'n', boolean: 'b' } as Record<string, string>;
    plain['extras'] = {
      ...flags,
      ...(idempotencyKey !== undefined && { idempotency_key: idempotencyKey }),
      ...(headers && { headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, { [kinds[typeof value]!]: value }])) }),
    };
  }
  return plain;
}

// arrayOf is an envelope in the form of MessagePack, with all integers as bigints.
export function arrayOf(envelope: Envelope): unknown[] {
  return names.map((name) => {
    const value = envelope[name];
    if (value === undefined) return null;
    if (name === 'data') return typeof value === 'string' ? ['string', value] : ['json', JSON.stringify(value)];
    if (name !== 'extras') return value;
    const { headers, ephemeral = null, idempotencyKey = null, echo = null } = envelope.extras!;
    const kinds = { string: 'string', number: 'number', boolean: 'bool' } as Record<string, string>;
    return [headers ? Object.fromEntries(Object.entries(headers).map(([key, header]) => [key, [kinds[typeof header], header]])) : null, ephemeral, idempotencyKey, echo];
  });
}
