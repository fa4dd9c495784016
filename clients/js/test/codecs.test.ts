// The codecs against each other, against other libraries, and against hostile input.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type Codec, DecodeError, type Envelope, json } from '@millrace/client';
import { msgpack } from '@millrace/client/msgpack';
import { protobuf } from '@millrace/client/protobuf';
import { Random } from './random.js';
import { arrayOf, extension, msgpackDecode, msgpackEncode, plainOf, protobufDecode, protobufEncode } from './reference.js';

const codecs = [json, msgpack, protobuf];
const rounds = 300;

// eachEnvelope calls check with random envelopes, and names the seed of one that fails.
function eachEnvelope(check: (envelope: Envelope, random: Random) => void): void {
  const first = Date.now() >>> 0;
  for (let seed = first; seed < first + rounds; seed++) {
    const random = new Random(seed);
    const envelope = random.envelope();
    try {
      check(envelope, random);
    } catch (error) {
      (error as Error).message = `seed ${seed}: ${(error as Error).message}`;
      throw error;
    }
  }
}

// decodes is what a codec makes of a frame: an envelope, or the error that decoders may throw.
function decodes(codec: Codec, frame: string | Uint8Array): Envelope | undefined {
  try {
    return codec.decode(frame);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

suite('codecs', () => {
  for (const codec of codecs) {
    test(`${codec.format}: an encoded envelope decodes to the same`, () => {
      eachEnvelope((envelope) => assert.deepEqual(codec.decode(codec.encode(envelope)), envelope));
    });

    test(`${codec.format}: changed and cut frames give an envelope or a DecodeError`, () => {
      eachEnvelope((envelope, random) => {
        const bytes = Uint8Array.from(Buffer.from(codec.encode(envelope) as string));
        for (let i = random.below(8); i >= 0 && bytes.length > 0; i--) bytes[random.below(bytes.length)] = random.below(256);
        decodes(codec, bytes.subarray(0, random.below(bytes.length + 1)));
      });
    });

    test(`${codec.format}: a cut frame of one text is refused wherever it is cut`, () => {
      const bytes = Uint8Array.from(Buffer.from(codec.encode({ event: 'a', data: 'bcd' }) as string));
      assert.deepEqual(codec.decode(bytes), { event: 'a', data: 'bcd' });
      const fields = codec === protobuf ? [0, 3] : []; // a message may end after any field
      for (let length = 0; length < bytes.length; length++) {
        if (!fields.includes(length)) assert.equal(decodes(codec, bytes.subarray(0, length)), undefined, `${length} bytes`);
      }
    });
  }

  test('bytes are data in the binary formats alone', () => {
    const data = Uint8Array.of(0, 255, 128);
    for (const codec of [msgpack, protobuf]) assert.deepEqual(codec.decode(codec.encode({ data })), { data });
    assert.throws(() => json.encode({ data }), TypeError);
  });

  test('null is a value, and nothing is none', () => {
    for (const codec of codecs) {
      assert.deepEqual(codec.decode(codec.encode({ event: 'a', data: null })), { event: 'a', data: null });
      assert.deepEqual(codec.decode(codec.encode({ event: 'a' })), { event: 'a' });
    }
  });
});

suite('JSON', () => {
  test('members are in the order of v2 1.5, and large serials are text', () => {
    assert.equal(
      json.encode({ extras: { idempotencyKey: 'k' }, serial: 2n ** 60n, data: '{}', channel: 'a', event: 'e' }),
      '{"event":"e","channel":"a","data":"{}","serial":"1152921504606846976","extras":{"idempotencyKey":"k"}}',
    );
  });

  test('both spellings of the idempotency key are read', () => {
    for (const name of ['idempotencyKey', 'idempotency_key']) {
      assert.deepEqual(json.decode(`{"extras":{"${name}":"k","ai":{}}}`), { extras: { idempotencyKey: 'k' } });
    }
  });

  const refused = {
    'no JSON': '{',
    'an array': '[]',
    'text': '"a"',
    'a number as event': '{"event":1}',
    'a serial that JSON has rounded': '{"serial":9007199254740993}',
    'a negative serial': '{"serial":-1}',
    'a fraction as serial': '{"serial":1.5}',
    'a serial beyond 64 bits': '{"serial":"184467440737095516150"}',
    'a tag that is no text': '{"tags":{"a":1}}',
    'tags that are no map': '{"tags":[]}',
    'a header that is no scalar': '{"extras":{"headers":{"a":{}}}}',
    'extras that are no map': '{"extras":[]}',
    'text as echo': '{"extras":{"echo":"true"}}',
    'nesting without an end': '['.repeat(1_000_000),
  };
  for (const [name, frame] of Object.entries(refused)) {
    test(`refused: ${name}`, () => assert.throws(() => json.decode(frame), DecodeError));
  }

  test('data may be nested deeply', () => {
    const frame = `{"event":"e","data":${'['.repeat(30_000)}${']'.repeat(30_000)}}`;
    assert.equal(json.decode(frame).event, 'e');
  });
});

suite('MessagePack', () => {
  test('another library reads encoded envelopes', () => {
    eachEnvelope((envelope) => {
      if (String(json.encode(envelope)).includes('"__proto__"')) return; // which the library refuses
      const array = msgpackDecode(msgpack.encode(envelope) as Uint8Array) as unknown[];
      assert.deepEqual(normal(array), normal(arrayOf(envelope)));
    });
  });

  test('what another library encodes is read', () => {
    eachEnvelope((envelope) => {
      assert.deepEqual(msgpack.decode(msgpackEncode(arrayOf(envelope))), envelope);
    });
  });

  const array = (members: Record<number, unknown>) => Array.from({ length: 15 }, (_, i) => members[i] ?? null);
  test('extras may be a map, with headers as they are or with their kinds', () => {
    const extras = { headers: { a: 1.5, b: ['bool', true] }, ephemeral: true, idempotency_key: 'k', echo: null };
    assert.deepEqual(msgpack.decode(msgpackEncode(array({ 12: extras }))), { extras: { headers: { a: 1.5, b: true }, ephemeral: true, idempotencyKey: 'k' } });
  });

  test('structured data becomes an object; a JSON text that does not parse stays text', () => {
    const structured = ['structured', ['cd', null, 'ud', { n: '1', s: 'no JSON' }]];
    assert.deepEqual(msgpack.decode(msgpackEncode(array({ 2: structured }))), { data: { channel_data: 'cd', user_data: 'ud', n: 1, s: 'no JSON' } });
    assert.deepEqual(msgpack.decode(msgpackEncode(array({ 2: ['json', '{'] }))), { data: '{' });
  });

  const nested = (depth: number) => Uint8Array.from(Array.from({ length: depth }, () => 0x91));
  const refused: Record<string, Uint8Array> = {
    'nothing': new Uint8Array(),
    'an array of 14': msgpackEncode(Array.from({ length: 14 }, () => null)),
    'an array of 16': msgpackEncode(Array.from({ length: 16 }, () => null)),
    'a map': msgpackEncode({ event: 'a' }),
    'bytes after the envelope': Uint8Array.of(...msgpackEncode(array({})), 0xc0),
    'an extension': msgpackEncode(array({ 0: extension })),
    'the code that is never used': Uint8Array.of(0xc1),
    'text that is not UTF-8': msgpackEncode(array({})).fill(0xa1, 1, 2).fill(0xff, 2, 3),
    'a number as event': msgpackEncode(array({ 0: 7 })),
    'a negative serial': msgpackEncode(array({ 10: -1 })),
    'a fraction as serial': msgpackEncode(array({ 10: 1.5 })),
    'data that is no pair': msgpackEncode(array({ 2: 'text' })),
    'data of an unknown kind': msgpackEncode(array({ 2: ['xml', '<a/>'] })),
    'short extras': msgpackEncode(array({ 12: [null, null, null] })),
    'a key that is no text': Uint8Array.of(0x9f, 0x81, 1, 1),
    'nesting without an end': nested(1_000_000),
    'nesting that ends': Uint8Array.of(...nested(1_000), 0xc0),
    'a length of 4 GiB of text': Uint8Array.of(0x9f, 0xdb, 255, 255, 255, 255, 1),
    'a length of 4 GiB of bytes': Uint8Array.of(0x9f, 0xc6, 255, 255, 255, 255, 1),
    'an array of 4 billion': Uint8Array.of(0xdd, 255, 255, 255, 255, 1),
    'a map of 4 billion': Uint8Array.of(0xdf, 255, 255, 255, 255, 1),
    'arrays that claim all that is left, in each other': Uint8Array.from(Array.from({ length: 60_000 }, (_, i) => [0xdc, 0x20, 0x00][i % 3]!)),
  };
  for (const [name, frame] of Object.entries(refused)) {
    test(`refused: ${name}`, () => assert.throws(() => msgpack.decode(frame), DecodeError));
  }
});

suite('Protocol Buffers', () => {
  test('another library reads encoded envelopes', () => {
    eachEnvelope((envelope) => assert.deepEqual(normal(protobufDecode(protobuf.encode(envelope) as Uint8Array)), normal(plainOf(envelope))));
  });

  test('what another library encodes is read', () => {
    eachEnvelope((envelope) => assert.deepEqual(protobuf.decode(protobufEncode(plainOf(envelope))), envelope));
  });

  test('structured data becomes an object, and data without a kind is null', () => {
    const structured = { channel_data: 'cd', user_data: 'ud', extra: { n: '1', s: 'no JSON' } };
    assert.deepEqual(protobuf.decode(protobufEncode({ data: { structured } })), { data: { channel_data: 'cd', user_data: 'ud', n: 1, s: 'no JSON' } });
    assert.deepEqual(protobuf.decode(protobufEncode({ data: {} })), { data: null });
  });

  test('fields of other versions are skipped', () => {
    const later = Uint8Array.of(0x0a, 1, 0x61, 0x82, 1, 1, 0x62, 0x88, 1, 5, 0x91, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0x95, 1, 1, 2, 3, 4);
    assert.deepEqual(protobuf.decode(later), { event: 'a' });
  });

  const refused: Record<string, number[]> = {
    'field number 0': [0x02, 0],
    'a group': [0x0b, 0x0c],
    'an event that is a number': [0x08, 1],
    'a serial that is text': [0x5a, 1, 0x61],
    'a serial of eight bytes': [0x59, 1, 2, 3, 4, 5, 6, 7, 8],
    'text that is not UTF-8': [0x0a, 1, 0xff],
    'a length beyond the frame': [0x0a, 2, 0x61],
    'a length of 16 EiB': [0x0a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0x61],
    'a varint of 11 bytes': [0x58, ...Array.from({ length: 10 }, () => 0x80), 1],
    'a varint beyond 64 bits': [0x58, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
    'a varint without an end': [0x58, ...Array.from({ length: 60_000 }, () => 0x80)],
    'extras cut short': [0x6a, 2, 0x0a, 5],
  };
  for (const [name, bytes] of Object.entries(refused)) {
    test(`refused: ${name}`, () => assert.throws(() => protobuf.decode(Uint8Array.from(bytes)), DecodeError));
  }

  test('many tags take time in proportion', () => {
    const tags = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`${i}`, '']));
    assert.equal(Object.keys(protobuf.decode(protobuf.encode({ tags })).tags!).length, 100_000);
  });
});

// normal has integers as bigints and objects with a plain prototype, so that libraries compare.
function normal(value: unknown): unknown {
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, normal(element)]));
}
