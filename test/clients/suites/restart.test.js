// The server goes away and comes back: pusher-js finds it again by itself.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Handover } from '../support/handover.js';
import { mute } from '../support/mute.js';
import { Subscriber } from '../support/subscriber.js';
import { fresh, World } from '../support/world.js';

// After an attempt that met a closed port pusher-js waits 15 s for the next one.
const wait = 15_000;
const reconnect = 120_000;

// population is one client with a channel of each kind, and a neighbour in the presence channel.
async function populate(world) {
  const [ida, bo] = await Promise.all([world.client({ user: 'ida' }), world.client({ user: 'bo' })]);
  const names = ['news-', 'private-', 'presence-', 'private-encrypted-'].map(fresh);
  const followed = [];
  for (const name of names) followed.push(await ida.join(name));
  const neighbour = await bo.join(names[2]);
  await followed[2].event('pusher:member_added');
  return { ida, bo, names, followed, neighbour };
}

async function survive(world, { ida, bo, names, followed, neighbour }, end) {
  const before = [ida.states.items.length, bo.states.items.length];
  const seen = followed.map(({ inbox }) => inbox.items.length);
  const seenByBo = neighbour.inbox.items.length;
  const oldSocket = ida.socketId;

  const code = await end();
  await world.server.start();

  await Promise.all([
    ida.connected({ from: before[0], ms: reconnect }),
    bo.connected({ from: before[1], ms: reconnect }),
  ]);
  assert.notEqual(ida.socketId, oldSocket, 'a new connection has a new socket id');
  await Promise.all([
    ...followed.map((channel, i) => channel.subscribed({ from: seen[i] })),
    neighbour.subscribed({ from: seenByBo }),
  ]);
  for (const [i, name] of names.entries()) {
    await world.pusher.trigger(name, 'after-restart', { i });
    assert.deepEqual((await followed[i].event('after-restart')).data, { i });
  }
  const arrived = neighbour.next('client-hello');
  followed[2].channel.trigger('client-hello', {});
  assert.equal((await arrived).meta.user_id, 'ida');
  const { users } = await (await world.pusher.get({ path: `/channels/${names[2]}/users` })).json();
  assert.deepEqual(users.map(({ id }) => id).sort(), ['bo', 'ida']);
  return code;
}

suite('restart', { concurrency: true }, () => {
  test('kill -9: clients reconnect, subscribe again and receive', async (t) => {
    const world = await World.start();
    t.after(() => world.stop());
    await survive(world, await populate(world), () => world.server.kill());
  });

  test('SIGTERM: clients are told 4100, reconnect, subscribe again and receive', async (t) => {
    const world = await World.start();
    t.after(() => world.stop());
    const people = await populate(world);
    const from = performance.now();
    const code = await survive(world, people, () => world.server.stop());
    assert.equal(code, 0, 'a requested end is a success');
    t.diagnostic(`back and served within ${Math.round(performance.now() - from)} ms`);
    await people.ida.errors.find((e) => (e?.error?.data ?? e?.data)?.code === 4100, 'error 4100');
  });

  test('SIGTERM beside a client that is gone without a word: who comes back meanwhile is told again', async (t) => {
    const world = await World.start();
    t.after(() => world.stop());
    const people = await populate(world);
    await mute(world.server);
    await survive(world, people, () => world.server.stop());
    const closes = people.ida.errors.items.filter((e) => e?.type === 'WebSocketError' && e.error?.data?.code === 4100);
    assert.ok(closes.length >= 2, `closed with 4100 ${closes.length} times: an attempt during the drain was refused`);
  });

  test('a socket that is handed over: clients are told 4200 and wait at the socket for the next process', async (t) => {
    const server = await Handover.start();
    t.after(() => server.stop());
    const client = await Subscriber.connect(server, { url: '' });
    t.after(() => client.close());
    const channel = await client.join(fresh('news-'));
    const [states, events] = [client.states.items.length, channel.inbox.items.length];
    const from = performance.now();
    server.restart();
    await client.connected({ from: states, ms: reconnect });
    await channel.subscribed({ from: events });
    assert.ok(performance.now() - from < wait, 'it has not met a closed port');
    await client.errors.find((e) => (e?.error?.data ?? e?.data)?.code === 4200, 'error 4200');
  });
});
