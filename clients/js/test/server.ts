// A server in few words, behind real sockets: channels with a log, resume, history, signatures that it does not check.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Codec, type Envelope, json } from '@millrace/client';
import { msgpack } from '@millrace/client/msgpack';
import { protobuf } from '@millrace/client/protobuf';
import { type WebSocket, WebSocketServer } from 'ws';

interface Connection {
  socket: WebSocket;
  codec: Codec;
  channels: Set<string>;
}

type Data = Record<string, any>;

export class Server {
  readonly connections = new Set<Connection>();
  // subscribed is called when a channel has been subscribed.
  subscribed: (channel: string) => void = () => {};
  readonly #logs = new Map<string, Envelope[]>();
  readonly #http = createServer((request, response) => this.#backend(request, response));
  readonly #sockets = new WebSocketServer({ server: this.#http, maxPayload: 64 * 1024 }); // the default limit of v2 11

  static async start(): Promise<Server> {
    const server = new Server();
    server.#sockets.on('connection', (socket, request) => server.#open(socket, request));
    server.#http.listen(0, '127.0.0.1');
    await once(server.#http, 'listening');
    return server;
  }

  get host(): string {
    return `127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.cut();
    this.#http.closeAllConnections();
    this.#http.close();
    await once(this.#http, 'close');
  }

  // cut ends all connections without a word.
  cut(): void {
    this.connections.forEach(({ socket }) => socket.terminate());
    this.connections.clear();
  }

  // publish logs a message and sends it to the subscribers.
  publish(channel: string, event: string, data: unknown, more: Envelope = {}): void {
    const log = this.#log(channel);
    const serial = log.length + 1;
    const envelope = { event, channel, data: JSON.stringify(data), message_id: `${channel}-${serial}`, stream_id: 'stream', serial, ...more };
    log.push(envelope);
    for (const connection of this.connections) if (connection.channels.has(channel)) this.#say(connection, envelope);
  }

  #log(channel: string): Envelope[] {
    const log = this.#logs.get(channel) ?? [];
    this.#logs.set(channel, log);
    return log;
  }

  // #backend stands for the application's backend: it signs channels and users.
  async #backend(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    const answer: Record<string, object> = {
      '/auth': { auth: 'app-key:signature', channel_data: '{"user_id":"u-9","user_info":{"name":"Ida"}}' },
      '/user': { auth: 'app-key:signature', user_data: '{"id":"u-9"}' },
      '/token': { token: 'header.claims.signature' },
    };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer[request.url!]));
  }

  #open(socket: WebSocket, { url }: IncomingMessage): void {
    const format = new URL(url!, 'ws://server').searchParams.get('format') ?? 'json';
    const connection = { socket, codec: [json, msgpack, protobuf].find((codec) => codec.format === format)!, channels: new Set<string>() };
    this.connections.add(connection);
    socket.on('close', () => this.connections.delete(connection));
    socket.on('message', (frame, isBinary) => {
      const { event = '', channel, data, extras } = connection.codec.decode(isBinary ? (frame as Buffer) : String(frame));
      const command = this.#commands[event.replace('sockudo:', '')];
      if (command) command(connection, (typeof data === 'string' ? JSON.parse(data) : data) as Data);
      else if (event.startsWith('client-')) this.#clientEvent({ event, channel: channel!, data, ...(extras && { extras }) });
    });
    this.#say(connection, { event: 'sockudo:connection_established', data: JSON.stringify({ socket_id: '4711.815', activity_timeout: 120 }) });
  }

  #say({ socket, codec }: Connection, envelope: Envelope): void {
    socket.send(codec.encode(envelope));
  }

  #clientEvent(envelope: Envelope & { channel: string }): void {
    for (const connection of this.connections) if (connection.channels.has(envelope.channel)) this.#say(connection, envelope);
  }

  #rewind(connection: Connection, channel: string, count: number): void {
    const rows = this.#log(channel).slice(-count);
    rows.forEach((row) => this.#say(connection, row));
    const data = { historical_count: rows.length, live_count: 0, complete: true, truncated_by_retention: false, truncated_by_limit: false };
    this.#say(connection, { event: 'sockudo:rewind_complete', channel, data });
  }

  readonly #commands: Record<string, (connection: Connection, data: Data) => void> = {
    ping: (connection) => this.#say(connection, { event: 'sockudo:pong' }),
    signin: (connection, { user_data }) => this.#say(connection, { event: 'sockudo:signin_success', data: { user_data } }),
    unsubscribe: ({ channels }, { channel }) => channels.delete(channel),
    subscribe: (connection, { channel, channel_data, rewind }) => {
      const member = channel_data && JSON.parse(channel_data);
      const presence = member ? { presence: { count: 1, ids: [member.user_id], hash: { [member.user_id]: member.user_info } } } : {};
      connection.channels.add(channel);
      this.#say(connection, { event: 'sockudo_internal:subscription_succeeded', channel, data: JSON.stringify(presence) });
      if (rewind) this.#rewind(connection, channel, rewind);
      this.subscribed(channel);
    },
    resume: (connection, { channel_positions }) => {
      const outcomes = { recovered: [] as object[], failed: [] as object[] };
      for (const [channel, { stream_id, serial }] of Object.entries(channel_positions as Data)) {
        const missed = this.#log(channel).slice(serial);
        if (stream_id === 'stream') {
          missed.forEach((envelope) => this.#say(connection, envelope));
          outcomes.recovered.push({ channel, source: 'hot', replayed: missed.length });
        } else {
          const data = { channel, code: 'stream_reset', reason: 'stream_id_mismatch', current_stream_id: 'stream' };
          this.#say(connection, { event: 'sockudo:resume_failed', channel, data: JSON.stringify(data) });
          outcomes.failed.push(data);
        }
      }
      this.#say(connection, { event: 'sockudo:resume_success', data: JSON.stringify(outcomes) });
    },
    channel_history: (connection, { channel, limit }) => {
      const items = this.#log(channel).slice().reverse().slice(0, limit).map((message) => ({ serial: message.serial, event_name: message.event, message }));
      this.#say(connection, { event: 'sockudo:channel_history', channel, data: { items, has_more: false, next_cursor: null } });
    },
  };
}
