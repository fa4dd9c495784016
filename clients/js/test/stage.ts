// A stage plays a conversation that is written as text: what the application does, what goes over the wire in both
// directions, and what the application is told. The grammar is in conversations/README.md.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { Client, type ClientOptions, type Codec, type Envelope, type SubscribeOptions, type Subscription } from '@millrace/client';
import { type Conversation, Peer, turn } from './peer.js';

type Settings = Partial<Omit<ClientOptions, 'token'>> & { tokens?: string[]; signatures?: Record<string, object | string>; user?: object | string; slow?: boolean };

export class Stage {
  readonly #peer: Peer;
  readonly #told: string[] = [];
  readonly #subscriptions = new Map<string, Subscription>();
  // #unanswered are calls of the application's backend, if it is slow.
  readonly #unanswered: (() => void)[] = [];
  #client: Client | undefined;
  #conversation: Conversation | undefined;

  constructor(readonly context: TestContext, readonly codec: Codec) {
    this.#peer = new Peer(codec);
    context.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  }

  // play runs the lines of a script. Nothing may be left over in the end.
  async play(script: string): Promise<void> {
    for (const [i, line] of script.split('\n').entries()) {
      if (line === '' || line.startsWith('#')) continue;
      const [word = '', rest = ''] = halves(line);
      const step = this.#steps[word] ?? assert.fail(`line ${i + 1}: unknown step ${word}`);
      try {
        await step(rest);
      } catch (error) {
        (error as Error).message = `line ${i + 1}: ${line}\n${(error as Error).message}`;
        throw error;
      }
      await turn();
    }
    this.#rest();
  }

  readonly #steps: Record<string, (rest: string) => unknown> = {
    client: (rest) => this.#start(JSON.parse(rest || '{}')),
    do: (rest) => this.#act(...halves(rest)),
    open: (rest) => {
      const next = this.#peer.attempts.shift() ?? assert.fail('the client opened no connection');
      this.#rest();
      this.#conversation = next;
      const url = new URL(this.#conversation.url);
      if (this.codec.format !== 'json') assert.equal(url.searchParams.get('format'), this.codec.format);
      url.searchParams.delete('format');
      assert.equal(url.pathname + url.search, rest);
    },
    '>': (rest) => assert.deepEqual(this.#here.said.shift(), JSON.parse(rest)),
    '<': (rest) => this.#here.say(JSON.parse(rest) as Envelope),
    raw: (rest) => this.#here.sayFrame(rest),
    fail: () => this.#here.fail(),
    close: (rest) => {
      const [code, reason] = halves(rest);
      this.#here.end(Number(code), reason);
    },
    closed: () => assert(this.#here.isClosed, 'the client keeps the connection open'),
    wait: async (rest) => {
      this.#rest();
      this.context.mock.timers.tick(Number(rest));
      await turn();
    },
    '=': (rest) => assert.equal(this.#told.shift(), rest),
  };

  get #here(): Conversation {
    return this.#conversation ?? assert.fail('there is no connection');
  }

  // #rest fails if something happened that the script does not have.
  #rest(): void {
    const attempts = this.#peer.attempts.map(({ url }) => url);
    assert.deepEqual([...this.#told, ...(this.#conversation?.said ?? []), ...attempts], []);
  }

  #start({ tokens, signatures = {}, user, slow, ...options }: Settings): void {
    const sign = async (name: string, signed: object | string | undefined) => {
      if (slow) await new Promise<void>((resolve) => this.#unanswered.push(resolve));
      return typeof signed === 'object' ? signed as never : assert.fail(signed ?? `no signature for ${name}`);
    };
    this.#client = new Client({
      url: 'ws://server', key: 'app-key', WebSocket: this.#peer.WebSocket, codec: this.codec, random: () => 1,
      authorize: ({ socketId, channel }) => sign(channel, signatures[`${socketId} ${channel}`]),
      authenticate: () => sign('the user', user),
      ...(tokens && { token: tokens.length > 1 ? () => tokens.shift() ?? assert.fail('no more tokens') : tokens[0]! }),
      ...options,
    });
    this.#client.on('state', ({ state, reason }) => this.#tell('state', state, reason?.code, reason?.message));
    this.#client.on('error', ({ code, message, channel }) => this.#tell('error', channel, code, code === 'frame' ? undefined : message));
    this.#client.on('signed_in', ({ id }) => this.#tell('signed_in', id));
    for (const event of ['online', 'offline'] as const) this.#client.on(event, (ids) => this.#tell(event, ...ids));
  }

  #tell(...words: unknown[]): void {
    this.#told.push(words.filter((word) => word !== undefined).join(' '));
  }

  #act(action: string, rest: string): void {
    const [channel, detail] = halves(rest);
    const client = this.#client ?? assert.fail('there is no client');
    const subscription = this.#subscriptions.get(channel);
    const value = () => JSON.parse(detail || '{}');
    const actions: Record<string, () => unknown> = {
      connect: () => client.connect(),
      disconnect: () => client.disconnect(),
      answer: () => this.#unanswered.splice(0).forEach((answer) => answer()),
      signin: () => client.signIn().then(({ id }) => this.#tell('user', id), (error) => this.#tell('no user', error.code)),
      listen: () => client.listen(({ channel, event }) => this.#tell('everywhere', channel, event)),
      subscribe: () => this.#subscribe(channel, detail ? value() : undefined),
      unsubscribe: () => subscription!.unsubscribe(),
      filter: () => subscription!.setFilter(detail ? value() : undefined),
      send: () => {
        const [event, data] = halves(detail);
        const [payload, extras] = JSON.parse(`[${data}]`);
        subscription!.send(event, payload, extras);
      },
      history: () => subscription!.history(value()).then(
        (page) => this.#tell('page', channel, page.items.map(({ serial }) => serial).join(), page.next_cursor ?? 'end'),
        (error) => this.#tell('no page', channel, error.code, error.message),
      ),
      ready: () => subscription!.ready().then(() => this.#tell('ready', channel), (error) => this.#tell('not ready', channel, error.code)),
      position: () => this.#tell('position', channel, JSON.stringify(subscription!.position)),
      members: () => this.#tell('members', channel, subscription!.members.me, JSON.stringify(Object.fromEntries(subscription!.members.all))),
    };
    (actions[action] ?? assert.fail(`unknown action ${action}`))();
  }

  #subscribe(channel: string, options: SubscribeOptions | undefined): void {
    const subscription = this.#client!.subscribe(channel, options);
    this.#subscriptions.set(channel, subscription);
    const name = subscription.channel;
    subscription.listen((message) => this.#tell('message', message.channel === name ? undefined : `(${name})`, message.channel, message.event,
      message.serial, JSON.stringify(message.data), message.user_id, message.tags && JSON.stringify(message.tags), message.extras && JSON.stringify(message.extras)));
    subscription.on('subscribed', () => this.#tell('subscribed', name));
    subscription.on('refused', ({ code, message }) => this.#tell('refused', name, code, message));
    subscription.on('gap', ({ code, reason, position, message }) => (
      this.#tell('gap', name, code, reason, position && `after ${position.serial}`, message && `with ${message.serial}`)
    ));
    subscription.on('recovered', ({ source, replayed }) => this.#tell('recovered', name, source, replayed));
    subscription.on('rewound', ({ historical_count, complete }) => this.#tell('rewound', name, historical_count, complete ? 'complete' : 'in part'));
    subscription.on('cache_miss', () => this.#tell('cache_miss', name));
    subscription.on('member_added', ({ id, info }) => this.#tell('member_added', name, id, JSON.stringify(info)));
    subscription.on('member_removed', ({ id }) => this.#tell('member_removed', name, id));
  }
}

// halves are the text before the first blank, and after it.
function halves(text: string): [string, string] {
  const at = text.indexOf(' ');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
