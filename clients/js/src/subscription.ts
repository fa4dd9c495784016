// One channel, or one pattern of channels, over all connections of a client.

import { isPresence, needsAuthorization } from './channels.js';
import type { Envelope, Extras } from './codec/envelope.js';
import { bare, readData } from './connection.js';
import { ClientError } from './errors.js';
import type { History, HistoryPage, HistoryQuery } from './history.js';
import { Emitter, type Listener, Listeners, type Stop } from './listeners.js';
import { type Member, Members, userIdOf } from './members.js';
import { type Gap, type Message, Order, type Position, positionOf } from './order.js';
import type { Recovered, Recovery } from './recovery.js';
import type { Session } from './session.js';

/** FilterNode is a condition on the tags of a message (v2 9.2). */
export type FilterNode =
  | { op: 'and' | 'or' | 'not'; nodes: FilterNode[] }
  | { key: string; cmp: 'ex' | 'nex' }
  | { key: string; cmp: 'in' | 'nin'; vals: (string | number | boolean)[] }
  | { key: string; cmp: 'eq' | 'neq' | 'sw' | 'ew' | 'ct' | 'gt' | 'gte' | 'lt' | 'lte'; val: string | number | boolean };

export interface Filter {
  tags?: FilterNode;
  events?: string[];
  /** expression is a JMESPath expression over the message. */
  expression?: string;
}

export interface SubscribeOptions {
  filter?: Filter;
  /** rewind asks for the newest messages, or for all of the last seconds, at the first subscribe and after a gap. */
  rewind?: number | { seconds: number };
  /** since goes on from a position that the application has kept, such as the position of a snapshot. */
  since?: Position;
  /** dense reports missing serials as gaps: no filter and no excluded sender keeps messages from this subscription. */
  dense?: boolean;
}

export interface RewindResult {
  historical_count: number;
  live_count: number;
  complete: boolean;
  truncated_by_retention: boolean;
  truncated_by_limit: boolean;
}

export interface SubscriptionEvents {
  /** subscribed comes on each connection. On presence channels the members are known then. */
  subscribed: undefined;
  refused: ClientError;
  gap: Gap;
  recovered: Recovered;
  rewound: RewindResult;
  cache_miss: undefined;
  member_added: Member;
  member_removed: Member;
}

/** Authorizer gets the signature of a channel from the application's backend. */
export type Authorizer = (request: { socketId: string; channel: string }) => Promise<{ auth: string; channel_data?: string }>;

export type SubscriptionState = 'waiting' | 'joining' | 'subscribed' | 'refused' | 'ended';

/** Link is what a subscription uses of an established connection. */
export interface Link {
  session: Session;
  recovery: Recovery;
  history: History;
}

export interface Host {
  authorize: Authorizer | undefined;
  timeout: number;
  userId(): string | undefined;
  message(message: Message): void;
  ended(subscription: Subscription): void;
}

export class Subscription {
  readonly members = new Members();
  readonly #events = new Emitter<SubscriptionEvents>();
  readonly #messages = new Listeners<string | undefined, Message>();
  readonly #order: Order;
  #state: SubscriptionState = 'waiting';
  #link: Link | undefined;
  #wasSubscribed = false;
  #rewindTimer: ReturnType<typeof setTimeout> | undefined;
  #error: ClientError | undefined;
  #waiters: { resolve(subscription: Subscription): void; reject(error: ClientError): void }[] = [];

  /** @internal */
  constructor(readonly channel: string, readonly options: SubscribeOptions, private readonly host: Host) {
    this.#order = new Order({ deliver: (message) => this.#deliver(message), gap: (gap) => this.#events.emit('gap', gap) }, options.dense ?? false);
    if (options.since) this.#order.start(options.since);
  }

  get state(): SubscriptionState {
    return this.#state;
  }

  /** position is how far the messages have got, for `since` of a later subscription. */
  get position(): Position | undefined {
    return this.#order.position;
  }

  on<E extends keyof SubscriptionEvents>(event: E, listener: Listener<SubscriptionEvents[E]>): Stop {
    return this.#events.on(event, listener);
  }

  /** listen calls a function with the messages of one event, or with all. */
  listen(listener: Listener<Message>): Stop;
  listen(event: string, listener: Listener<Message>): Stop;
  listen(event: string | Listener<Message>, listener?: Listener<Message>): Stop {
    return typeof event === 'string' ? this.#messages.add(event, listener!) : this.#messages.add(undefined, event);
  }

  /** ready resolves when the server has acknowledged the subscription. */
  ready(): Promise<Subscription> {
    if (this.#state === 'subscribed') return Promise.resolve(this);
    if (this.#error) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** send publishes a client event to the other subscribers. */
  send(event: string, data: unknown, extras?: Pick<Extras, 'headers' | 'ephemeral' | 'echo'>): void {
    if (!event.startsWith('client-')) throw new TypeError('the names of client events begin with client-');
    if (this.#state !== 'subscribed') throw this.#failure('closed', 'not subscribed');
    this.#link!.session.transmit({ event, channel: this.channel, data, ...(extras && { extras }) });
  }

  /** history asks for stored messages. */
  async history(query: HistoryQuery = {}): Promise<HistoryPage> {
    if (this.#state !== 'subscribed') throw this.#failure('closed', 'not subscribed');
    return this.#link!.history.request(this.channel, query);
  }

  /** setFilter replaces the filter. */
  setFilter(filter: Filter | undefined): void {
    if (filter) this.options.filter = filter;
    else delete this.options.filter;
    if (this.#link) void this.#subscribe(this.#link, false);
  }

  unsubscribe(): void {
    if (this.#state === 'ended') return;
    this.#link?.session.send('unsubscribe', { channel: this.channel });
    this.lost();
    this.#state = 'ended';
    this.host.ended(this);
    this.#fail(this.#failure('closed', 'unsubscribed'));
  }

  // join subscribes on a new connection, and asks for what was missed if a position is known.
  /** @internal */
  async join(link: Link): Promise<void> {
    this.#link = link;
    this.#state = 'joining';
    this.#error = undefined;
    const position = this.#order.position;
    if (position) this.#order.hold();
    const isSent = await this.#subscribe(link, !position);
    if (isSent && position) link.recovery.request(this.channel, position);
  }

  // lost notes that the connection has ended.
  /** @internal */
  lost(): void {
    this.#link = undefined;
    clearTimeout(this.#rewindTimer);
    this.#order.abandon();
    if (this.#state !== 'ended') this.#state = 'waiting';
  }

  async #subscribe(link: Link, rewinds: boolean): Promise<boolean> {
    const { rewind } = this.options;
    let signed = {};
    if (needsAuthorization(this.channel) && this.host.authorize) {
      try {
        signed = await this.#authorize(link.session);
      } catch (cause) {
        if (this.#link === link) this.refused(this.#failure('authorization', `no signature: ${String(cause)}`, cause));
        return false;
      }
      if (this.#link !== link) return false;
    }
    link.session.send('subscribe', {
      channel: this.channel, ...signed, ...filterMembers(this.options.filter), ...(rewinds && rewind !== undefined && { rewind }),
    });
    return true;
  }

  async #authorize(session: Session): Promise<object> {
    const { auth, channel_data } = await this.host.authorize!({ socketId: session.socketId, channel: this.channel });
    this.members.me = userIdOf(readData(channel_data));
    return { auth, ...(channel_data !== undefined && { channel_data }) };
  }

  // succeeded reads subscription_succeeded. A server may tell the position of the channel with it.
  /** @internal */
  succeeded(envelope: Envelope): void {
    const isAnswer = this.#state === 'joining' || this.#state === 'refused';
    this.#state = 'subscribed';
    this.#error = undefined;
    if (isPresence(this.channel)) {
      this.members.me ??= this.host.userId();
      this.members.replace(readData(envelope.data));
    }
    if (isAnswer && this.#wasSubscribed && !this.position) this.#order.lose({ code: 'no_position' });
    this.#wasSubscribed = true;
    if (envelope.serial !== undefined && this.options.rewind === undefined) this.#order.start(positionOf(envelope, envelope.serial));
    this.#waiters.splice(0).forEach(({ resolve }) => resolve(this));
    this.#events.emit('subscribed', undefined);
  }

  /** @internal */
  refused(error: ClientError): void {
    if (this.#state === 'refused') return; // an error frame and subscription_error say the same
    this.#state = 'refused';
    this.#fail(error);
    this.#order.release();
    this.#events.emit('refused', error);
  }

  #fail(error: ClientError): void {
    this.#error = error;
    this.#waiters.splice(0).forEach(({ reject }) => reject(error));
  }

  /** @internal */
  cacheMiss(): void {
    this.#events.emit('cache_miss', undefined);
  }

  /** @internal */
  recovered(recovered: Recovered): void {
    this.#order.release();
    if (recovered.position) this.#order.advance(recovered.position);
    this.#events.emit('recovered', recovered);
  }

  // gap notes that the server cannot replay what was missed. A rewind brings what it still has.
  // A refused subscription keeps its position for the next connection.
  /** @internal */
  gap(gap: Gap): void {
    if (this.#state === 'refused') return;
    this.#order.lose(gap);
    if (this.#link && this.options.rewind !== undefined) {
      this.#order.hold();
      clearTimeout(this.#rewindTimer);
      this.#rewindTimer = setTimeout(() => this.#order.release(), this.host.timeout);
      void this.#subscribe(this.#link, true);
    } else {
      this.#order.release();
    }
  }

  // rewound reads rewind_complete.
  /** @internal */
  rewound(data: unknown): void {
    clearTimeout(this.#rewindTimer);
    this.#order.release();
    this.#events.emit('rewound', data as RewindResult);
  }

  // accept takes a frame of the channel.
  /** @internal */
  accept(envelope: Envelope): void {
    this.#order.accept(messageOf(envelope));
  }

  // pass delivers a message of a channel that the pattern has. The pattern has no position.
  /** @internal */
  pass(message: Message): void {
    this.#messages.emit(message.event, message);
    this.#messages.emit(undefined, message);
  }

  #deliver(message: Message): void {
    const event = isPresence(this.channel) && message.event.startsWith('sockudo_internal:') ? bare(message.event) : undefined;
    if (event === 'member_added') this.#member(event, this.members.add(message.data));
    else if (event === 'member_removed') this.#member(event, this.members.remove(message.data));
    else {
      this.pass(message);
      this.host.message(message);
    }
  }

  #member(event: 'member_added' | 'member_removed', member: Member | undefined): void {
    if (member) this.#events.emit(event, member);
  }

  #failure(code: string, message: string, cause?: unknown): ClientError {
    return new ClientError(code, message, { channel: this.channel, cause });
  }
}

export function messageOf(envelope: Envelope): Message {
  return { ...envelope, event: envelope.event!, channel: envelope.channel!, data: readData(envelope.data) };
}

// filterMembers are the members of a subscribe frame that carry a filter. `events` marks the compound form (v2 9.1).
function filterMembers(filter: Filter | undefined): object {
  if (!filter) return {};
  const { tags, events, expression } = filter;
  if (tags && !events && expression === undefined) return { tags_filter: tags };
  return { filter: { events: events ?? [], ...(tags && { tags }), ...(expression !== undefined && { expression }) } };
}
