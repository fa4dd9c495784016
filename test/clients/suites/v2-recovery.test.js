// Our client of Protocol V2 over a server that is killed: nothing is lost, nothing comes twice, or a gap is told.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { codecs, V2Client } from '../support/v2.js';
import { fresh, World } from '../support/world.js';

const app = { id: 'shop', key: 'shop-key', secret: 'shop-secret-of-16-bytes' };

let world;
const clients = [];
before(async () => {
  world = await World.configured(`
[[apps]]
id = "${app.id}"
key = "${app.key}"
secret = "${app.secret}"
history = true
recovery = true
`, app);
});
after(async () => {
  clients.forEach((client) => client.close());
  await world?.stop();
});

function connect(codec) {
  const client = new V2Client(world.server, world.backend, { codec });
  clients.push(client);
  return client;
}

const upTo = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function publish(channel, from, to) {
  for (const n of upTo(from, to)) await world.pusher.trigger(channel, 'placed', { n });
}

// follow subscribes so that a missing serial would be a gap, and keeps all gaps.
async function follow(client, channel, options) {
  const joined = await client.joined(channel, { dense: true, ...options });
  return Object.assign(joined, {
    until: (serial) => joined.messages.find((message) => message.serial === serial, `serial ${serial}`),
    serials: () => joined.messages.items.map((message) => message.serial),
    gaps: () => joined.reports.items.filter(({ report }) => report === 'gap').map(({ value }) => value.code),
  });
}

for (const codec of codecs) {
  suite(`V2 recovery in ${codec?.format ?? 'json'}`, () => {
    test('a rewind, live messages, a server that is killed, and what was missed: each once, in order', async () => {
      const client = connect(codec);
      const channel = fresh('orders-');
      await publish(channel, 1, 3);
      const orders = await follow(client, channel, { rewind: 2 });
      await publish(channel, 4, 30);
      await orders.until(30);
      const cut = client.states.find(({ state }) => state === 'waiting', 'state "waiting"');
      await world.server.kill();
      await cut;
      await world.server.start();
      await publish(channel, 31, 40);
      await orders.until(40);
      assert.deepEqual([orders.serials(), orders.gaps()], [upTo(2, 40), []]);
    });

    test('a position that an application has kept is gone on from; a foreign one is a gap', async () => {
      const client = connect(codec);
      const channel = fresh('orders-');
      await publish(channel, 1, 1);
      const first = await follow(client, channel, { rewind: 1 });
      await first.until(1);
      const { position } = first.subscription;
      await publish(channel, 2, 9);
      const later = await follow(connect(codec), channel, { since: position });
      await later.until(9);
      assert.deepEqual([later.serials(), later.gaps()], [upTo(2, 9), []]);
      const foreign = await follow(connect(codec), channel, { since: { stream_id: 'foreign', serial: 1 } });
      await foreign.reports.find(({ report }) => report === 'gap', 'gap');
      await publish(channel, 10, 10);
      await foreign.until(10);
      assert.deepEqual([foreign.serials(), foreign.gaps()], [[10], ['stream_reset']]);
    });
  });
}
