// Envelopes as Protocol Buffers in binary frames (v2 1.5).

import { decodeText, encodeText, Reader, Writer } from './bytes.js';
import {
  type Codec, type Envelope, type Extras, type Frame, type HeaderValue, members, parseOrText, refuse, type Serial, serialOf, type Shape,
} from './envelope.js';

export const protobuf: Codec = { format: 'protobuf', encode, decode };

const varint = 0;
const fixed64 = 1;
const delimited = 2;
const fixed32 = 5;

function encode(envelope: Envelope): Uint8Array<ArrayBuffer> {
  const w = new Writer();
  members.forEach(([name, shape], i) => {
    const value = envelope[name];
    if (value !== undefined) write[shape](w, i + 1, value as never);
  });
  return w.finish();
}

function decode(frame: Frame): Envelope {
  const envelope: Record<string, unknown> = {};
  const tags: [string, string][] = [];
  eachField(typeof frame === 'string' ? encodeText(frame) : frame, (field) => {
    const [name, shape] = members[field.number - 1] ?? [];
    if (shape === 'tags') tags.push(tagOf(bytesOf(field)));
    else if (name && shape) envelope[name] = read[shape](field);
  });
  if (tags.length > 0) envelope['tags'] = Object.fromEntries(tags);
  return envelope as Envelope;
}

const write: { [S in Shape]: (w: Writer, number: number, value: never) => void } = {
  text: writeText,
  serial(w, number, value: Serial) {
    writeVarint(w, BigInt(number << 3 | varint));
    writeVarint(w, BigInt(value));
  },
  data(w, number, value: unknown) {
    writeMessage(w, number, (inner) => {
      if (typeof value === 'string') writeText(inner, 1, value);
      else if (value instanceof Uint8Array) writeBytes(inner, 4, value);
      else writeText(inner, 3, JSON.stringify(value));
    });
  },
  tags(w, number, value: Record<string, string>) {
    for (const [key, tag] of Object.entries(value)) {
      writeMessage(w, number, (entry) => {
        writeText(entry, 1, key);
        writeText(entry, 2, tag);
      });
    }
  },
  extras(w, number, { headers = {}, ephemeral, idempotencyKey, echo }: Extras) {
    writeMessage(w, number, (inner) => {
      for (const [key, value] of Object.entries(headers)) {
        writeMessage(inner, 1, (entry) => {
          writeText(entry, 1, key);
          writeMessage(entry, 2, (header) => writeHeader(header, value));
        });
      }
      if (ephemeral !== undefined) writeFlag(inner, 2, ephemeral);
      if (idempotencyKey !== undefined) writeText(inner, 3, idempotencyKey);
      if (echo !== undefined) writeFlag(inner, 4, echo);
    });
  },
};

function writeHeader(w: Writer, value: HeaderValue): void {
  if (typeof value === 'string') writeText(w, 1, value);
  else if (typeof value === 'boolean') writeFlag(w, 3, value);
  else {
    writeVarint(w, BigInt(2 << 3 | fixed64));
    w.float64(value, true);
  }
}

function writeFlag(w: Writer, number: number, value: boolean): void {
  writeVarint(w, BigInt(number << 3 | varint));
  w.uint8(value ? 1 : 0);
}

function writeText(w: Writer, number: number, text: string): void {
  writeBytes(w, number, encodeText(text));
}

function writeBytes(w: Writer, number: number, bytes: Uint8Array): void {
  writeVarint(w, BigInt(number << 3 | delimited));
  writeVarint(w, BigInt(bytes.length));
  w.put(bytes);
}

function writeMessage(w: Writer, number: number, fill: (inner: Writer) => void): void {
  const inner = new Writer();
  fill(inner);
  writeBytes(w, number, inner.finish());
}

function writeVarint(w: Writer, value: bigint): void {
  let rest = value;
  for (; rest > 0x7fn; rest >>= 7n) w.uint8(Number(rest & 0x7fn) | 0x80);
  w.uint8(Number(rest));
}

// Field is one field of a message. value is a bigint of a varint, and bytes of all other wire types.
interface Field {
  number: number;
  wire: number;
  value: bigint | Uint8Array;
}

const read: Record<Exclude<Shape, 'tags'>, (field: Field) => unknown> = {
  text: textOf,
  serial: (field) => serialOf(numberOf(field)),
  data: (field) => dataOf(bytesOf(field)),
  extras: (field) => extrasOf(bytesOf(field)),
};

function tagOf(bytes: Uint8Array): [string, string] {
  const [key, value] = entryOf(bytes);
  return [key, value ? textOf(value) : ''];
}

function dataOf(bytes: Uint8Array): unknown {
  let data: unknown = null;
  eachField(bytes, (field) => {
    if (field.number === 1) data = textOf(field);
    if (field.number === 2) data = structuredOf(bytesOf(field));
    if (field.number === 3) data = parseOrText(textOf(field));
    if (field.number === 4) data = bytesOf(field).slice();
  });
  return data;
}

function structuredOf(bytes: Uint8Array): unknown {
  const names = ['channel_data', 'channel', 'user_data'];
  const entries: [string, unknown][] = [];
  eachField(bytes, (field) => {
    const name = names[field.number - 1];
    if (name) entries.push([name, textOf(field)]);
    if (field.number === 4) {
      const [key, value] = entryOf(bytesOf(field));
      entries.push([key, value ? parseOrText(textOf(value)) : '']);
    }
  });
  return Object.fromEntries(entries);
}

function extrasOf(bytes: Uint8Array): Extras {
  const extras: Extras = {};
  const headers: [string, HeaderValue][] = [];
  eachField(bytes, (field) => {
    if (field.number === 1) {
      const [key, value] = entryOf(bytesOf(field));
      headers.push([key, value ? headerOf(bytesOf(value)) : '']);
    }
    if (field.number === 2) extras.ephemeral = numberOf(field) !== 0n;
    if (field.number === 3) extras.idempotencyKey = textOf(field);
    if (field.number === 4) extras.echo = numberOf(field) !== 0n;
  });
  return headers.length > 0 ? { headers: Object.fromEntries(headers), ...extras } : extras;
}

function headerOf(bytes: Uint8Array): HeaderValue {
  let header: HeaderValue = '';
  eachField(bytes, (field) => {
    if (field.number === 1) header = textOf(field);
    if (field.number === 2) header = doubleOf(field);
    if (field.number === 3) header = numberOf(field) !== 0n;
  });
  return header;
}

// entryOf is an entry of a map: its key, and the field of its value if there is one.
function entryOf(bytes: Uint8Array): [string, Field | undefined] {
  let key = '';
  let value: Field | undefined;
  eachField(bytes, (field) => {
    if (field.number === 1) key = textOf(field);
    if (field.number === 2) value = field;
  });
  return [key, value];
}

function textOf(field: Field): string {
  return decodeText(bytesOf(field));
}

function bytesOf({ number, wire, value }: Field): Uint8Array {
  return wire === delimited && typeof value !== 'bigint' ? value : refuse(`field ${number} has wire type ${wire}`);
}

function numberOf({ number, value }: Field): bigint {
  return typeof value === 'bigint' ? value : refuse(`field ${number} is not a varint`);
}

function doubleOf({ number, wire, value }: Field): number {
  return wire === fixed64 ? new Reader(value as Uint8Array).float64(true) : refuse(`field ${number} is not a double`);
}

// eachField calls visit with every field of a message in order. It refuses groups.
function eachField(bytes: Uint8Array, visit: (field: Field) => void): void {
  const r = new Reader(bytes);
  while (r.left > 0) {
    const tag = readVarint(r);
    const number = Number(tag >> 3n);
    const wire = Number(tag & 7n);
    if (number === 0 || number > 0x1fffffff) refuse(`field number ${number}`);
    if (wire === varint) visit({ number, wire, value: readVarint(r) });
    else if (wire === fixed64) visit({ number, wire, value: r.take(8) });
    else if (wire === delimited) visit({ number, wire, value: r.take(Number(readVarint(r))) });
    else if (wire === fixed32) visit({ number, wire, value: r.take(4) });
    else refuse(`wire type ${wire}`);
  }
}

function readVarint(r: Reader): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = r.uint8();
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value <= 0xffffffffffffffffn ? value : refuse('a varint beyond 64 bits');
  }
  return refuse('a varint beyond 64 bits');
}
