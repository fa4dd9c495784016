// One connection to a server, and its successors: opening, liveness, and what follows a close.

import { type Codec, type Envelope, type Frame, isRecord, parseOrText } from './codec/envelope.js';
import { ClientError, errorFrom } from './errors.js';

/** Socket is the part of the standard WebSocket that the client uses. */
export interface Socket {
  binaryType: string;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(data: any): void;
  close(code?: number): void;
}

export type SocketConstructor = new (url: string) => Socket;

/** State of the connection. After 'stopped' only connect() opens it again: the server refused this client. */
export type State = 'idle' | 'connecting' | 'connected' | 'waiting' | 'closed' | 'stopped';

export interface StateChange {
  state: State;
  /** reason says why the connection was lost or stopped. */
  reason?: ClientError;
}

export interface ConnectionOptions {
  codec: Codec;
  WebSocket: SocketConstructor;
  /** url is asked before each attempt. */
  url: () => Promise<string>;
  backoff: { initial: number; max: number };
  random: () => number;
  connectTimeout: number;
  activityTimeout: number;
  pongTimeout: number;
}

export interface ConnectionHandler {
  state(change: StateChange): void;
  established(socketId: string): void;
  envelope(envelope: Envelope): void;
  lost(): void;
  error(error: ClientError): void;
}

type Timer = ReturnType<typeof setTimeout>;

/** bare is the name of a protocol event without its prefix, or undefined. */
export function bare(event: string | undefined): string | undefined {
  return /^sockudo(?:_internal)?:(.*)$/s.exec(event ?? '')?.[1];
}

export class Connection {
  #state: State = 'idle';
  #socket: Socket | undefined;
  // #opening is the attempt that is under way; a later one makes it void.
  #opening = 0;
  // #attempts have failed since a connection last lasted.
  #attempts = 0;
  #establishedAt: number | undefined;
  // #refusal is the error frame that came instead of the handshake.
  #refusal: ClientError | undefined;
  #retry: Timer | undefined;
  #deadline: Timer | undefined;
  #heard = 0;

  constructor(readonly options: ConnectionOptions, readonly handler: ConnectionHandler) {}

  get state(): State {
    return this.#state;
  }

  /** connect opens the connection, at once if a retry is due later. */
  connect(): void {
    if (this.#state === 'connecting' || this.#state === 'connected') return;
    clearTimeout(this.#retry);
    if (this.#state !== 'waiting') this.#attempts = 0;
    void this.#open();
  }

  /** disconnect closes the connection for good. */
  disconnect(): void {
    clearTimeout(this.#retry);
    this.#drop();
    if (this.#state !== 'closed') this.#become('closed');
  }

  send(envelope: Envelope): void {
    this.#socket?.send(this.options.codec.encode(envelope));
  }

  #become(state: State, reason?: ClientError): void {
    this.#state = state;
    this.handler.state(reason ? { state, reason } : { state });
  }

  async #open(): Promise<void> {
    const opening = ++this.#opening;
    const isCurrent = () => this.#opening === opening;
    this.#refusal = undefined;
    this.#become('connecting');
    let url: string;
    try {
      url = await this.options.url();
    } catch (cause) {
      if (isCurrent()) this.#ended(1006, 'no token for the connection', cause);
      return;
    }
    if (isCurrent()) this.#attach(new this.options.WebSocket(url), isCurrent);
  }

  #attach(socket: Socket, isCurrent: () => boolean): void {
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#deadline = setTimeout(() => this.#ended(1006, 'no answer to the opening of the connection'), this.options.connectTimeout);
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => {
      if (isCurrent()) this.#receive(typeof data === 'string' ? data : new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      if (isCurrent()) this.#ended(code, reason);
    };
    // Some sockets say "error" and never "close" when they cannot be opened.
    socket.onerror = () => setTimeout(() => {
      if (isCurrent()) this.#ended(1006, 'the connection failed');
    }, 0);
  }

  #receive(frame: Frame): void {
    this.#heard = Date.now();
    let envelope: Envelope;
    try {
      envelope = this.options.codec.decode(frame);
    } catch (cause) {
      this.handler.error(new ClientError('frame', `a frame that cannot be decoded: ${(cause as Error).message}`, { cause }));
      return;
    }
    const event = bare(envelope.event);
    if (event === 'connection_established') this.#established(envelope);
    else if (event === 'ping') this.send({ event: 'sockudo:pong' });
    else if (event !== 'pong') this.#pass(event, envelope);
  }

  #pass(event: string | undefined, envelope: Envelope): void {
    if (this.#state === 'connected') {
      this.handler.envelope(envelope);
    } else if (event === 'error') {
      this.#refusal = errorFrom(readData(envelope.data), envelope.channel);
      this.handler.error(this.#refusal);
    }
  }

  #established({ data }: Envelope): void {
    const handshake = readData(data);
    const { socket_id: socketId, activity_timeout: timeout } = isRecord(handshake) ? handshake : {};
    if (this.#state !== 'connecting' || typeof socketId !== 'string') return;
    clearTimeout(this.#deadline);
    this.#establishedAt = Date.now();
    const seconds = typeof timeout === 'number' && timeout > 0 ? timeout : Infinity;
    this.#watch(Math.min(this.options.activityTimeout, seconds * 1000));
    this.#become('connected');
    if (this.state === 'connected') this.handler.established(socketId); // a listener may have closed it
  }

  // #watch sends a ping after silence.
  #watch(timeout: number, delay = timeout): void {
    this.#deadline = setTimeout(() => {
      const left = this.#heard + timeout - Date.now();
      if (left > 0 && left <= timeout) this.#watch(timeout, left);
      else this.#ask(timeout);
    }, delay);
  }

  // #ask sends a ping, and gives the connection up if silence follows.
  #ask(timeout: number): void {
    const asked = this.#heard;
    this.send({ event: 'sockudo:ping' });
    this.#deadline = setTimeout(() => {
      if (this.#heard === asked) this.#ended(4201, 'no answer to a ping');
      else this.#watch(timeout, Math.max(0, this.#heard + timeout - Date.now()));
    }, this.options.pongTimeout);
  }

  // #drop lets go of the socket. What it still says is not listened to.
  #drop(): void {
    this.#opening++;
    clearTimeout(this.#deadline);
    const wasConnected = this.#establishedAt !== undefined;
    this.#establishedAt = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    if (wasConnected) this.handler.lost();
  }

  // #ended decides by the close code what follows (pusher 1.8). A refusal has the code as well.
  #ended(closeCode: number, reason: string, cause?: unknown): void {
    const refusal = this.#establishedAt === undefined ? this.#refusal : undefined;
    const code = closeCode < 4000 && typeof refusal?.code === 'number' ? refusal.code : closeCode;
    const error = new ClientError(code, reason || refusal?.message || 'the connection was closed', { cause });
    const lasted = this.#establishedAt !== undefined && Date.now() - this.#establishedAt >= this.options.backoff.initial;
    if (lasted) this.#attempts = 0;
    this.#drop();
    const isRefused = code >= 4000 && code < 4100 || code >= 4300 && code < 5000;
    if (isRefused) {
      this.#become('stopped', error);
      return;
    }
    const isImmediate = code >= 4200 && code < 4300 && this.#attempts === 0;
    this.#retry = setTimeout(() => void this.#open(), isImmediate ? 0 : this.#delay());
    this.#attempts++;
    this.#become('waiting', error);
  }

  // #delay doubles with each attempt; half of it is random, so that clients do not come back together.
  #delay(): number {
    const { initial, max } = this.options.backoff;
    return Math.min(max, initial * 2 ** this.#attempts) * (1 + this.options.random()) / 2;
  }
}

/** readData is the data of a frame; text that is JSON is read (v2 1.4). */
export function readData(data: unknown): unknown {
  return typeof data === 'string' ? parseOrText(data) : data;
}
