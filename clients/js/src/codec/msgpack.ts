// Envelopes as MessagePack: an array of 15 in binary frames (v2 1.5).

import { decodeText, encodeText, Reader, Writer } from './bytes.js';
import { envelopeOf } from './checked.js';
import { type Codec, type Envelope, type Extras, type Frame, isRecord, members, parseOrText, refuse, type Shape } from './envelope.js';

export const msgpack: Codec = { format: 'msgpack', encode, decode };

// maxDepth bounds the recursion of the decoder. An envelope needs five levels.
const maxDepth = 16;

function encode(envelope: Envelope): Uint8Array<ArrayBuffer> {
  const w = new Writer();
  writeValue(w, members.map(([name, shape]) => positional[shape](envelope[name])));
  return w.finish();
}

function decode(frame: Frame): Envelope {
  const r = new Reader(typeof frame === 'string' ? encodeText(frame) : frame);
  const array = readValue(r, maxDepth);
  if (r.left > 0) refuse('bytes after the envelope');
  if (!Array.isArray(array) || array.length !== members.length) return refuse('not an array of 15');
  const raw = Object.fromEntries(members.map(([name], i) => [name, array[i]]));
  if (raw['data'] === null) delete raw['data'];
  if (raw['extras'] !== null) raw['extras'] = readExtras(raw['extras']);
  return envelopeOf(raw, readData);
}

const asIs = (value: unknown) => value;

// positional gives members their form in the array.
const positional: Record<Shape, (value: unknown) => unknown> = {
  text: asIs,
  serial: asIs,
  tags: asIs,
  data(value) {
    if (value === undefined) return null;
    if (typeof value === 'string') return ['string', value];
    return value instanceof Uint8Array ? ['binary', value] : ['json', JSON.stringify(value)];
  },
  extras(value) {
    if (value === undefined) return null;
    const { headers, ephemeral, idempotencyKey, echo } = value as Extras;
    return [headers && mapValues(headers, kinded), ephemeral, idempotencyKey, echo];
  },
};

// kinded is a header as [kind, value]. A number is a double even if it is whole.
function kinded(value: unknown): unknown {
  if (typeof value === 'number') return ['number', new Double(value)];
  return [typeof value === 'boolean' ? 'bool' : 'string', value];
}

function unkinded(value: unknown): unknown {
  return Array.isArray(value) && value.length === 2 ? value[1] : value;
}

function mapValues(map: Record<string, unknown>, change: (value: unknown) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));
}

// readExtras takes the positional form and the map (v2 1.5), both with headers as scalars or [kind, value].
function readExtras(value: unknown): unknown {
  let raw = value;
  if (Array.isArray(value)) {
    if (value.length < 4) return refuse('extras is too short');
    const [headers, ephemeral, idempotencyKey, echo] = value;
    raw = { headers, ephemeral, idempotencyKey, echo };
  }
  if (isRecord(raw) && isRecord(raw['headers'])) return { ...raw, headers: mapValues(raw['headers'], unkinded) };
  return raw;
}

function readData(value: unknown): unknown {
  if (!Array.isArray(value) || value.length !== 2) return refuse('data is not [kind, value]');
  const [kind, content] = value as [unknown, unknown];
  if (kind === 'string' && typeof content === 'string') return content;
  if (kind === 'json' && typeof content === 'string') return parseOrText(content);
  if (kind === 'binary' && content instanceof Uint8Array) return content;
  if (kind === 'structured' && Array.isArray(content) && content.length === 4) return readStructured(content);
  return refuse('data of an unknown kind');
}

function readStructured([channelData, channel, userData, more]: unknown[]): unknown {
  const rest = isRecord(more) ? mapValues(more, (text) => (typeof text === 'string' ? parseOrText(text) : refuse('not JSON text'))) : {};
  const known = Object.entries({ channel_data: channelData, channel, user_data: userData });
  return { ...Object.fromEntries(known.filter(([, value]) => value !== null)), ...rest };
}

// Double is a number that is written as one.
class Double {
  constructor(readonly value: number) {}
}

function writeValue(w: Writer, value: unknown): void {
  if (value === undefined || value === null) w.uint8(0xc0);
  else if (typeof value === 'boolean') w.uint8(value ? 0xc3 : 0xc2);
  else if (typeof value === 'string') writeText(w, value);
  else if (typeof value === 'number' || typeof value === 'bigint') writeUnsigned(w, value);
  else if (value instanceof Double) {
    w.uint8(0xcb);
    w.float64(value.value);
  } else if (value instanceof Uint8Array) {
    writeLength(w, value.length, { codes: [0xc4, 0xc5, 0xc6] });
    w.put(value);
  } else if (Array.isArray(value)) {
    writeLength(w, value.length, { fixed: 0x90, limit: 16, codes: [undefined, 0xdc, 0xdd] });
    value.forEach((element) => writeValue(w, element));
  } else {
    const entries = Object.entries(value as object);
    writeLength(w, entries.length, { fixed: 0x80, limit: 16, codes: [undefined, 0xde, 0xdf] });
    for (const [key, element] of entries) {
      writeText(w, key);
      writeValue(w, element);
    }
  }
}

function writeText(w: Writer, text: string): void {
  const bytes = encodeText(text);
  writeLength(w, bytes.length, { fixed: 0xa0, limit: 32, codes: [0xd9, 0xda, 0xdb] });
  w.put(bytes);
}

// Lengths says how a type writes its length: in the code below limit, else after the code of 8, 16 or 32 bits.
interface Lengths {
  fixed?: number;
  limit?: number;
  codes: [number | undefined, number, number];
}

function writeLength(w: Writer, n: number, { fixed = 0, limit = 0, codes: [code8, code16, code32] }: Lengths): void {
  if (n < limit) w.uint8(fixed | n);
  else if (n < 0x100 && code8 !== undefined) {
    w.uint8(code8);
    w.uint8(n);
  } else if (n < 0x10000) {
    w.uint8(code16);
    w.uint16(n);
  } else {
    w.uint8(code32);
    w.uint32(n);
  }
}

// writeUnsigned uses the smallest encoding.
function writeUnsigned(w: Writer, value: number | bigint): void {
  if (value > 0xffffffff) {
    w.uint8(0xcf);
    w.uint64(BigInt(value));
  } else {
    writeLength(w, Number(value), { fixed: 0, limit: 0x80, codes: [0xcc, 0xcd, 0xce] });
  }
}

function readValue(r: Reader, depth: number): unknown {
  const code = r.uint8();
  if (code < 0x80) return code;
  if (code < 0x90) return readMap(r, code & 0x0f, depth);
  if (code < 0xa0) return readArray(r, code & 0x0f, depth);
  if (code < 0xc0) return decodeText(r.take(code & 0x1f));
  if (code >= 0xe0) return code - 0x100;
  const read = coded[code] ?? refuse(`unknown code ${code}`);
  return read(r, depth);
}

const coded: Record<number, (r: Reader, depth: number) => unknown> = {
  0xc0: () => null,
  0xc2: () => false,
  0xc3: () => true,
  0xc4: (r) => r.take(r.uint8()).slice(),
  0xc5: (r) => r.take(r.uint16()).slice(),
  0xc6: (r) => r.take(r.uint32()).slice(),
  0xca: (r) => r.float32(),
  0xcb: (r) => r.float64(),
  0xcc: (r) => r.uint8(),
  0xcd: (r) => r.uint16(),
  0xce: (r) => r.uint32(),
  0xcf: (r) => smallest(r.uint64()),
  0xd0: (r) => r.int8(),
  0xd1: (r) => r.int16(),
  0xd2: (r) => r.int32(),
  0xd3: (r) => smallest(r.int64()),
  0xd9: (r) => decodeText(r.take(r.uint8())),
  0xda: (r) => decodeText(r.take(r.uint16())),
  0xdb: (r) => decodeText(r.take(r.uint32())),
  0xdc: (r, depth) => readArray(r, r.uint16(), depth),
  0xdd: (r, depth) => readArray(r, r.uint32(), depth),
  0xde: (r, depth) => readMap(r, r.uint16(), depth),
  0xdf: (r, depth) => readMap(r, r.uint32(), depth),
};

function smallest(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

// readArray refuses lengths that the rest of the frame cannot hold before it makes room for them.
function readArray(r: Reader, length: number, depth: number): unknown[] {
  if (depth === 0) refuse('nested too deeply');
  if (length > r.left) refuse('cut short');
  return Array.from({ length }, () => readValue(r, depth - 1));
}

function readMap(r: Reader, length: number, depth: number): Record<string, unknown> {
  if (depth === 0) refuse('nested too deeply');
  if (2 * length > r.left) refuse('cut short');
  return Object.fromEntries(Array.from({ length }, () => {
    const key = readValue(r, depth - 1);
    return typeof key === 'string' ? [key, readValue(r, depth - 1)] : refuse('a key that is not text');
  }));
}
