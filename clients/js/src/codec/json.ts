// Envelopes as JSON in text frames (v2 1.5).

import { envelopeOf } from './checked.js';
import { type Codec, type Envelope, type Frame, isRecord, members, parseJson, refuse } from './envelope.js';
import { decodeText } from './bytes.js';

export const json: Codec = { format: 'json', encode, decode };

function encode(envelope: Envelope): string {
  if (envelope.data instanceof Uint8Array) throw new TypeError('JSON carries no bytes');
  const ordered = Object.fromEntries(members.map(([name]) => [name, envelope[name]]));
  return JSON.stringify(ordered, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

function decode(frame: Frame): Envelope {
  const value = parseJson(typeof frame === 'string' ? frame : decodeText(frame), () => refuse('invalid JSON'));
  return envelopeOf(isRecord(value) ? value : refuse('not an object'), (data) => data);
}
