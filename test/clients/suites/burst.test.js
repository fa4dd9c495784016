// The server ends in the middle of a burst: what was answered with 200 is not lost, nothing
// comes twice, and nothing comes out of order.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { suite, test } from 'node:test';
import { serverLibrary } from '../support/backend.js';
import { fresh, World } from '../support/world.js';

const lanes = 8;
const enough = 2000; // deliveries before the server is ended

// Lane publishes 0, 1, 2... on one channel, one request at a time, until the server answers
// no more; acknowledged is the number of 200s so far.
class Lane {
  acknowledged = 0;

  constructor(name, channel) {
    this.name = name;
    this.channel = channel;
  }

  async publish(pusher) {
    try {
      for (;;) {
        await pusher.trigger(this.name, 'item', { n: this.acknowledged });
        this.acknowledged++;
      }
    } catch {
      // the server has gone
    }
  }

  get received() {
    return this.channel.named('item').map(({ n }) => n);
  }
}

// cutMidBurst resolves to what was acknowledged when the end began, once the server is back
// and everything that the old connection carried has been read.
async function cutMidBurst(world, client, all, end) {
  let delivered = 0;
  const reached = new Promise((resolve) => {
    all.forEach(({ channel: { channel } }) => channel.bind('item', () => { if (++delivered === enough) resolve(); }));
  });
  const agent = new Agent({ keepAlive: true, maxSockets: lanes });
  const pusher = serverLibrary(world.server, { agent });
  const lost = client.states.find((state) => state !== 'connected', 'end of the connection', { from: client.states.items.length });
  const publishing = all.map((lane) => lane.publish(pusher));
  await reached;
  const before = all.map((lane) => lane.acknowledged);
  await end();
  await Promise.all(publishing);
  agent.destroy();
  await world.server.start();
  await lost;
  return before;
}

async function open(world) {
  const client = await world.client();
  const names = Array.from({ length: lanes }, () => fresh('burst-'));
  const channels = await Promise.all(names.map((name) => client.join(name)));
  return { client, all: names.map((name, i) => new Lane(name, channels[i])) };
}

function assertUnbroken({ name, received, acknowledged }) {
  assert.deepEqual(received, received.map((_, n) => n), `${name}: from 0 on, without gap, duplicate or disorder`);
  assert.ok(received.length <= acknowledged + 1, `${name}: at most the one publish under way came without its 200`);
}

// assertBack shows that the same client goes on with the new server.
async function assertBack(world, client, all, from) {
  await client.connected({ from, ms: 120_000 });
  await Promise.all(all.map(({ channel }) => channel.inbox.count(2, isJoin, 'subscription')));
  for (const { name, channel } of all) {
    await world.pusher.trigger(name, 'again', { name });
    assert.deepEqual((await channel.event('again')).data, { name });
  }
}

const isJoin = ({ event }) => event === 'pusher:subscription_succeeded';

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

suite('a burst is cut', { concurrency: true }, () => {
  test('kill -9: an unbroken run from the first publish, short only of what was in flight', async (t) => {
    const world = await World.start();
    t.after(() => world.stop());
    const { client, all } = await open(world);
    const from = client.states.items.length;
    await cutMidBurst(world, client, all, () => world.server.kill());
    all.forEach(assertUnbroken);
    const acknowledged = all.map((lane) => lane.acknowledged);
    const inFlight = all.map((lane) => Math.max(lane.acknowledged - lane.received.length, 0));
    t.diagnostic(`${sum(acknowledged)} answered with 200, ${sum(inFlight)} of them in flight to the dead process`);
    await assertBack(world, client, all, from);
  });

  test('SIGTERM: everything answered with 200 arrives, before the signal or after it', async (t) => {
    const world = await World.start();
    t.after(() => world.stop());
    const { client, all } = await open(world);
    const from = client.states.items.length;
    const before = await cutMidBurst(world, client, all, () => world.server.stop());
    all.forEach(assertUnbroken);
    for (const { name, acknowledged, received } of all) {
      assert.ok(received.length >= acknowledged, `${name}: ${acknowledged} answered with 200, ${received.length} received`);
    }
    const acknowledged = sum(all.map((lane) => lane.acknowledged));
    t.diagnostic(`${acknowledged} answered with 200, ${acknowledged - sum(before)} of them after the signal, all received`);
    await assertBack(world, client, all, from);
  });
});
