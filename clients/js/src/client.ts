// The client: options, the connection, and where each frame goes.

import { isPattern, matches, userChannelPrefix } from './channels.js';
import { type Codec, type Envelope, isRecord } from './codec/envelope.js';
import { json } from './codec/json.js';
import { bare, Connection, readData, type SocketConstructor, type State, type StateChange } from './connection.js';
import { ClientError, errorFrom } from './errors.js';
import { History } from './history.js';
import { Emitter, type Listener, Listeners, type Stop } from './listeners.js';
import type { Message } from './order.js';
import { Recovery } from './recovery.js';
import { Session } from './session.js';
import { type Authenticator, SignIn, type User } from './signin.js';
import { type Authorizer, type Link, messageOf, type SubscribeOptions, Subscription } from './subscription.js';
import { Tokens, type TokenSource } from './tokens.js';

export interface ClientOptions {
  /** url is where the server is: ws://host:port or wss://host. */
  url: string | URL;
  key: string;
  /** codec is the encoding, JSON by default. */
  codec?: Codec;
  /** echo: false keeps the client events of this connection from coming back to it. */
  echo?: boolean;
  token?: TokenSource;
  authorize?: Authorizer;
  authenticate?: Authenticator;
  /** WebSocket is the constructor of sockets, the global one by default. */
  WebSocket?: SocketConstructor;
  /** All times are in milliseconds. */
  backoff?: { initial?: number; max?: number };
  connectTimeout?: number;
  activityTimeout?: number;
  pongTimeout?: number;
  requestTimeout?: number;
  /** random is Math.random by default. */
  random?: () => number;
}

export interface ClientEvents {
  state: StateChange;
  error: ClientError;
  signed_in: User;
  /** online and offline are the ids of watched users. */
  online: string[];
  offline: string[];
}

export class Client {
  readonly #events = new Emitter<ClientEvents>();
  readonly #messages = new Listeners<string | undefined, Message>();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #patterns = new Set<Subscription>();
  readonly #connection: Connection;
  readonly #signIn: SignIn;
  readonly #tokens: Tokens | undefined;
  readonly #timeout: number;
  #link: Link | undefined;
  // #isStarted is true once subscriptions may be sent: after the sign-in, if one is wanted.
  #isStarted = false;
  #hasSentEvents = false;

  constructor(readonly options: ClientOptions) {
    this.#timeout = options.requestTimeout ?? 10_000;
    this.#signIn = new SignIn(options.authenticate, this.#timeout);
    this.#tokens = options.token === undefined ? undefined : new Tokens(options.token, (error) => this.#events.emit('error', error));
    const codec = options.codec ?? json;
    this.#connection = new Connection({
      codec,
      WebSocket: options.WebSocket ?? (globalThis as { WebSocket?: SocketConstructor }).WebSocket ?? missingSocket(),
      url: () => this.#url(codec),
      backoff: { initial: 1_000, max: 30_000, ...options.backoff },
      random: options.random ?? Math.random,
      connectTimeout: options.connectTimeout ?? 15_000,
      activityTimeout: options.activityTimeout ?? 120_000,
      pongTimeout: options.pongTimeout ?? 30_000,
    }, {
      state: (change) => this.#events.emit('state', change),
      error: (error) => this.#events.emit('error', error),
      established: (socketId) => void this.#start(socketId),
      envelope: (envelope) => this.#receive(envelope),
      lost: () => this.#end(),
    });
  }

  get state(): State {
    return this.#connection.state;
  }

  get socketId(): string | undefined {
    return this.#link?.session.socketId;
  }

  get user(): User | undefined {
    return this.#signIn.user;
  }

  /** connect opens the connection and keeps it open. While a retry is due it tries at once. */
  connect(): this {
    this.#connection.connect();
    return this;
  }

  disconnect(): void {
    this.#connection.disconnect();
  }

  on<E extends keyof ClientEvents>(event: E, listener: Listener<ClientEvents[E]>): Stop {
    return this.#events.on(event, listener);
  }

  /** listen calls a function with the messages of one event of all channels, or with all messages. */
  listen(listener: Listener<Message>): Stop;
  listen(event: string, listener: Listener<Message>): Stop;
  listen(event: string | Listener<Message>, listener?: Listener<Message>): Stop {
    return typeof event === 'string' ? this.#messages.add(event, listener!) : this.#messages.add(undefined, event);
  }

  /** subscribe gives the subscription of a channel or pattern, which is made if there is none. */
  subscribe(channel: string, options?: SubscribeOptions): Subscription {
    const existing = this.#subscriptions.get(channel);
    if (existing && options) throw new TypeError(`${channel} is subscribed to already, with options of its own`);
    if (existing) return existing;
    const subscription = new Subscription(channel, { ...options }, {
      authorize: this.options.authorize,
      timeout: this.#timeout,
      userId: () => this.user?.id,
      message: (message) => this.#publish(message),
      ended: () => {
        this.#subscriptions.delete(channel);
        this.#patterns.delete(subscription);
      },
    });
    this.#subscriptions.set(channel, subscription);
    if (isPattern(channel)) this.#patterns.add(subscription);
    if (this.#link && this.#isStarted) void subscription.join(this.#link);
    return subscription;
  }

  /**
   * signIn signs this connection in, and each later one. Messages to the user reach the subscription of the
   * channel #server-to-user-{id}, which the client makes.
   */
  signIn(): Promise<User> {
    const isReady = this.#link && this.#isStarted;
    return isReady ? this.#signIn.run(this.#link!.session) : this.#signIn.outcome();
  }

  async #url(codec: Codec): Promise<string> {
    const url = new URL(this.options.url);
    url.pathname = `${url.pathname.replace(/\/$/, '')}/app/${encodeURIComponent(this.options.key)}`;
    url.searchParams.set('protocol', '2');
    url.searchParams.set('client', 'millrace-js');
    if (this.options.echo === false) url.searchParams.set('echo_messages', 'false');
    if (codec.format !== 'json') url.searchParams.set('format', codec.format);
    if (this.#tokens) url.searchParams.set('token', await this.#tokens.next());
    return url.href;
  }

  async #start(socketId: string): Promise<void> {
    const session = new Session(socketId, (envelope) => {
      if (envelope.event?.startsWith('client-')) this.#hasSentEvents = true;
      this.#connection.send(envelope);
    });
    const recovery = new Recovery(session, {
      recovered: (channel, recovered) => this.#subscriptions.get(channel)?.recovered(recovered),
      lost: (channel, gap) => this.#subscriptions.get(channel)?.gap(gap),
    }, 3 * this.#timeout);
    const link = { session, recovery, history: new History(session, this.#timeout) };
    this.#link = link;
    this.#hasSentEvents = false;
    this.#tokens?.keep(session);
    if (this.#signIn.isWanted) {
      await this.#signIn.run(session).catch((error: ClientError) => {
        const isTold = typeof error.code === 'number' || !session.isOpen; // by an error frame, or by the state
        if (!isTold) this.#events.emit('error', error);
      });
    }
    if (!session.isOpen) return;
    this.#isStarted = true;
    for (const subscription of this.#subscriptions.values()) void subscription.join(link);
  }

  #end(): void {
    const link = this.#link;
    this.#link = undefined;
    this.#isStarted = false;
    this.#subscriptions.forEach((subscription) => subscription.lost());
    link?.session.end();
  }

  #receive(envelope: Envelope): void {
    const name = bare(envelope.event);
    const handle = name === undefined ? undefined : this.#handlers[name];
    const subscription = this.#subscriptions.get(envelope.channel ?? '');
    if (handle) handle(envelope, subscription);
    else if (envelope.channel !== undefined) this.#route(envelope, subscription);
    else if (envelope.event === 'online' || envelope.event === 'offline') this.#watched(envelope.event, readData(envelope.data));
  }

  // #handlers are the frames that do not go through the order of a channel.
  readonly #handlers: Record<string, ((envelope: Envelope, subscription: Subscription | undefined) => void) | undefined> = {
    error: ({ data, channel }) => this.#failed(errorFrom(readData(data), channel)),
    subscription_succeeded: (envelope, subscription) => subscription?.succeeded(envelope),
    subscription_error: ({ data, channel }) => {
      const refusal = readData(data);
      const named = channel ?? (isRecord(refusal) ? String(refusal['channel']) : '');
      this.#subscriptions.get(named)?.refused(errorFrom(refusal, named));
    },
    cache_miss: (_, subscription) => subscription?.cacheMiss(),
    resume_success: ({ data }) => this.#link?.recovery.succeeded(readData(data)),
    resume_failed: ({ data, channel }) => this.#link?.recovery.failed(channel, readData(data)),
    rewind_complete: ({ data, channel }, subscription) => {
      const result = readData(data);
      const named = isRecord(result) ? this.#subscriptions.get(String(result['channel'] ?? channel)) : undefined;
      (subscription ?? named)?.rewound(result);
    },
    channel_history: ({ data, channel }) => this.#link?.history.answered(channel, readData(data)),
    signin_success: ({ data }) => this.#signedIn(readData(data)),
    auth_success: () => {},
    token_expired: ({ data }) => this.#link && this.#tokens?.expired(this.#link.session, readData(data)),
    watchlist_events: ({ data }) => {
      const events = readData(data);
      for (const { name, user_ids } of isRecord(events) && Array.isArray(events['events']) ? events['events'] : []) {
        if (name === 'online' || name === 'offline') this.#watched(name, { user_ids });
      }
    },
  };

  // #failed finds what an error frame is about: it names at most a channel (v2 1.4).
  #failed(error: ClientError): void {
    const subscription = this.#subscriptions.get(error.channel ?? '');
    const isRefusal = error.code === 4301 || error.code === 4302;
    if (subscription?.state === 'joining') subscription.refused(error);
    else if (error.channel !== undefined) this.#link?.history.refused(error);
    else if (error.code === 4009 && this.#signIn.isPending) this.#signIn.refused(error);
    else if (isRefusal && this.#link?.recovery.isWaiting && !this.#hasSentEvents) this.#link.recovery.refused();
    this.#events.emit('error', error);
  }

  #signedIn(data: unknown): void {
    const user = this.#signIn.succeeded(data);
    if (!user) return;
    this.#events.emit('signed_in', user);
    this.subscribe(userChannelPrefix + user.id);
  }

  #watched(event: 'online' | 'offline', data: unknown): void {
    const ids = isRecord(data) ? data['user_ids'] : undefined;
    if (Array.isArray(ids)) this.#events.emit(event, ids.map(String));
  }

  // #route gives a frame to its channel. One without a subscription is for patterns, or for the user.
  #route(envelope: Envelope, subscription: Subscription | undefined): void {
    const channel = envelope.channel!;
    const isUsers = channel.startsWith(userChannelPrefix);
    if (subscription) subscription.accept(envelope);
    else if (isUsers || this.#patternsOf(channel).length > 0) this.#publish(messageOf(envelope));
  }

  // #publish gives a message to the patterns that have its channel, and to global listeners.
  #publish(message: Message): void {
    this.#patternsOf(message.channel).forEach((pattern) => pattern.pass(message));
    this.#messages.emit(message.event, message);
    this.#messages.emit(undefined, message);
  }

  #patternsOf(channel: string): Subscription[] {
    return [...this.#patterns].filter((pattern) => matches(pattern.channel, channel));
  }
}

function missingSocket(): never {
  throw new TypeError('there is no global WebSocket: give one as an option');
}
