// Reading and writing of binary encodings. A reader never takes more than there is.

import { refuse } from './envelope.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

// decodeText is the text of UTF-8 bytes, or a DecodeError.
export function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return refuse('a text that is not UTF-8');
  }
}

// encodeText is a text as UTF-8 bytes.
export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

export class Reader {
  #offset = 0;
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.#offset;
  }

  // #step moves on by n bytes and gives the offset where they begin.
  #step(n: number): number {
    if (n > this.left) refuse('cut short');
    const start = this.#offset;
    this.#offset += n;
    return start;
  }

  take(n: number): Uint8Array {
    const start = this.#step(n);
    return this.bytes.subarray(start, start + n);
  }

  uint8(): number {
    return this.#view.getUint8(this.#step(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#step(2));
  }

  uint32(): number {
    return this.#view.getUint32(this.#step(4));
  }

  uint64(): bigint {
    return this.#view.getBigUint64(this.#step(8));
  }

  int8(): number {
    return this.#view.getInt8(this.#step(1));
  }

  int16(): number {
    return this.#view.getInt16(this.#step(2));
  }

  int32(): number {
    return this.#view.getInt32(this.#step(4));
  }

  int64(): bigint {
    return this.#view.getBigInt64(this.#step(8));
  }

  float32(): number {
    return this.#view.getFloat32(this.#step(4));
  }

  float64(littleEndian = false): number {
    return this.#view.getFloat64(this.#step(8), littleEndian);
  }
}

export class Writer {
  #buffer = new Uint8Array(256);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;

  // #room makes place for n bytes, perhaps in a new buffer, and gives the offset where they begin.
  #room(n: number): number {
    const start = this.#length;
    this.#length += n;
    if (this.#length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#buffer.length));
      larger.set(this.#buffer);
      this.#buffer = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }

  uint8(value: number): void {
    const start = this.#room(1);
    this.#view.setUint8(start, value);
  }

  uint16(value: number): void {
    const start = this.#room(2);
    this.#view.setUint16(start, value);
  }

  uint32(value: number): void {
    const start = this.#room(4);
    this.#view.setUint32(start, value);
  }

  uint64(value: bigint): void {
    const start = this.#room(8);
    this.#view.setBigUint64(start, value);
  }

  float64(value: number, littleEndian = false): void {
    const start = this.#room(8);
    this.#view.setFloat64(start, value, littleEndian);
  }

  put(bytes: Uint8Array): void {
    const start = this.#room(bytes.length);
    this.#buffer.set(bytes, start);
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#length);
  }
}
