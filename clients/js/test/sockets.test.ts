// The client behind real sockets, in each format.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Client, type Gap, json, type Message, type Subscription } from '@millrace/client';
import { msgpack } from '@millrace/client/msgpack';
import { protobuf } from '@millrace/client/protobuf';
import { WebSocket } from 'ws';
import { Server } from './server.js';

let server: Server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

// collect resolves with the first n messages of a subscription.
function collect(subscription: Subscription, n: number): Promise<Message[]> {
  const messages: Message[] = [];
  return new Promise((resolve) => subscription.listen((message) => {
    messages.push(message);
    if (messages.length === n) resolve(messages);
  }));
}

// next resolves with the next event of a subscription.
function next<E extends 'gap' | 'recovered' | 'subscribed'>(subscription: Subscription, event: E): Promise<unknown> {
  return new Promise((resolve) => subscription.on(event, resolve));
}

for (const codec of [json, msgpack, protobuf]) {
  suite(`sockets in ${codec.format}`, () => {
    let client: Client;
    before(() => {
      client = new Client({ url: `ws://${server.host}`, key: 'app-key', codec, WebSocket, backoff: { initial: 1 } }).connect();
    });
    after(() => client.disconnect());

    test('messages that are published while the connection is cut come with the next one, in order', async () => {
      const subscription = await client.subscribe(`orders-${codec.format}`, { dense: true }).ready();
      const gaps: Gap[] = [];
      subscription.on('gap', (gap) => gaps.push(gap));
      const messages = collect(subscription, 5);
      server.publish(subscription.channel, 'placed', { n: '€' }, { tags: { region: 'eu' }, extras: { headers: { x: 1.5 } } });
      await collect(subscription, 1);
      server.cut();
      for (let n = 2; n <= 4; n++) server.publish(subscription.channel, 'placed', { n });
      const recovered = next(subscription, 'recovered');
      assert.deepEqual(await recovered, { source: 'hot', replayed: 3 });
      server.publish(subscription.channel, 'placed', { n: 5 });
      assert.deepEqual((await messages).map(({ serial, data }) => [serial, (data as { n: unknown }).n]), [[1, '€'], [2, 2], [3, 3], [4, 4], [5, 5]]);
      assert.deepEqual([(await messages)[0]!.tags, (await messages)[0]!.extras], [{ region: 'eu' }, { headers: { x: 1.5 } }]);
      assert.deepEqual(gaps, []);
    });

    test('a position of another stream is a gap, after which live messages go on', async () => {
      const subscription = client.subscribe(`other-${codec.format}`, { since: { stream_id: 'of another time', serial: 9 } });
      const gap = (await next(subscription, 'gap')) as Gap;
      assert.deepEqual([gap.code, gap.current_stream_id, gap.position?.serial], ['stream_reset', 'stream', 9]);
      const messages = collect(subscription, 1);
      server.publish(subscription.channel, 'placed', 1);
      assert.equal((await messages)[0]!.serial, 1);
    });

    test('more positions than one frame takes are asked for in several', async () => {
      const since = { stream_id: 'stream', serial: 0, last_message_id: crypto.randomUUID() };
      const subscriptions = Array.from({ length: 250 }, (_, n) => client.subscribe(`${codec.format}-${n}-`.padEnd(200, 'x'), { since }));
      await Promise.all(subscriptions.map((subscription) => next(subscription, 'recovered')));
    });
  });
}

test('without a WebSocket the client says so', () => {
  assert.throws(() => new Client({ url: 'ws://server', key: 'k', WebSocket: undefined as never }), /WebSocket/);
});
