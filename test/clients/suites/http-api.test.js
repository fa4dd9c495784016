// The HTTP API through the official server library, the npm package `pusher` 5.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, suite, test } from 'node:test';
import { serverLibrary } from '../support/backend.js';
import { fresh, World } from '../support/world.js';

let world;
before(async () => { world = await World.start(); });
after(() => world?.stop());

suite('publishing', () => {
  test('one publish to several channels', async () => {
    const client = await world.client();
    const names = [fresh('a-'), fresh('b-'), fresh('c-')];
    const channels = await Promise.all(names.map((name) => client.join(name)));
    const response = await world.pusher.trigger(names, 'item', { n: 1 });
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), {});
    const received = await Promise.all(channels.map((channel) => channel.event('item')));
    assert.deepEqual(received.map(({ data }) => data), [{ n: 1 }, { n: 1 }, { n: 1 }]);
  });

  test('a batch keeps its order', async () => {
    const client = await world.client();
    const [x, y] = [fresh('x-'), fresh('y-')];
    const [inX, inY] = await Promise.all([client.join(x), client.join(y)]);
    const batch = Array.from({ length: 10 }, (_, n) => ({ channel: n % 2 ? y : x, name: 'item', data: { n } }));
    const response = await world.pusher.triggerBatch(batch);
    assert.deepEqual(await response.json(), {});
    await inX.inbox.count(5, ({ event }) => event === 'item', 'item');
    await inY.inbox.count(5, ({ event }) => event === 'item', 'item');
    assert.deepEqual(inX.named('item').map(({ n }) => n), [0, 2, 4, 6, 8]);
    assert.deepEqual(inY.named('item').map(({ n }) => n), [1, 3, 5, 7, 9]);
  });

  test('a thousand publishes arrive in the order in which they were accepted', async () => {
    const name = fresh('order-');
    const channel = await (await world.client()).join(name);
    for (let first = 0; first < 1000; first += 10) {
      await world.pusher.triggerBatch(Array.from({ length: 10 }, (_, i) => ({ channel: name, name: 'item', data: { n: first + i } })));
    }
    await channel.inbox.count(1000, ({ event }) => event === 'item', 'item');
    assert.deepEqual(channel.named('item').map(({ n }) => n), Array.from({ length: 1000 }, (_, n) => n));
  });

  test('socket_id leaves out that connection', async () => {
    const [me, other] = await Promise.all([world.client(), world.client()]);
    const name = fresh('news-');
    const [mine, others] = await Promise.all([me.join(name), other.join(name)]);
    await world.pusher.trigger(name, 'item', { n: 1 }, { socket_id: me.socketId });
    await world.fence(name, mine, others);
    assert.deepEqual(mine.named('item'), []);
    assert.deepEqual(others.named('item'), [{ n: 1 }]);
  });

  test('info answers with counts after the publish', async () => {
    const name = fresh('presence-');
    await (await world.client({ user: 'ida' })).join(name);
    const response = await world.pusher.trigger(name, 'item', {}, { info: 'user_count,subscription_count' });
    assert.deepEqual(await response.json(), { channels: { [name]: { user_count: 1, subscription_count: 1 } } });
  });
});

suite('asking', () => {
  test('channels, by prefix, with user counts', async () => {
    const name = fresh('presence-count-');
    for (const user of ['ida', 'bo', 'bo']) await (await world.client({ user })).join(name);
    const response = await world.pusher.get({ path: '/channels', params: { filter_by_prefix: 'presence-count-', info: 'user_count' } });
    assert.equal(response.status, 200);
    assert.deepEqual((await response.json()).channels, { [name]: { user_count: 2 } });
  });

  test('one channel, occupied or not', async () => {
    const name = fresh('news-');
    await (await world.client()).join(name);
    const ask = async (channel) => (await world.pusher.get({ path: `/channels/${channel}`, params: { info: 'subscription_count' } })).json();
    assert.deepEqual(await ask(name), { occupied: true, subscription_count: 1 });
    assert.equal((await ask(fresh('nobody-'))).occupied, false);
  });

  test('the users of a presence channel', async () => {
    const name = fresh('presence-');
    for (const user of ['ida', 'bo']) await (await world.client({ user })).join(name);
    const { users } = await (await world.pusher.get({ path: `/channels/${name}/users` })).json();
    assert.deepEqual(users.map(({ id }) => id).sort(), ['bo', 'ida']);
  });
});

suite('refusals', () => {
  const status = (code) => (error) => error.status === code;

  test('a wrong secret is 401', async () => {
    await assert.rejects(world.backend.stranger.trigger('news', 'item', {}), status(401));
  });

  test('an unknown key is 401', async () => {
    await assert.rejects(serverLibrary(world.server, { key: 'nobody' }).trigger('news', 'item', {}), status(401));
  });

  test('more than 10 KB is 413, exactly 10 KB is delivered', async () => {
    const name = fresh('news-');
    const channel = await (await world.client()).join(name);
    await assert.rejects(world.pusher.trigger(name, 'item', 'x'.repeat(10_241)), status(413));
    await world.pusher.trigger(name, 'item', 'x'.repeat(10_240));
    assert.equal((await channel.event('item')).data.length, 10_240);
  });

  test('a bad event in a batch stops all of it', async () => {
    const name = fresh('news-');
    const channel = await (await world.client()).join(name);
    const batch = [{ channel: name, name: 'item', data: 1 }, { channel: 'not allowed', name: 'item', data: 2 }];
    await assert.rejects(world.pusher.triggerBatch(batch), status(400));
    await world.fence(name, channel);
    assert.deepEqual(channel.named('item'), []);
  });
});

test('every metric that is served is documented', async () => {
  const served = await (await fetch(`${world.server.metricsUrl}/metrics`)).text();
  const documented = await readFile(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');
  const names = [...served.matchAll(/^# TYPE (millrace_\w+)/gm)].map(([, name]) => name);
  assert.ok(names.length > 0, 'no metric of the server itself');
  assert.deepEqual(names.filter((name) => !documented.includes(`\`${name}\``)), []);
});

test('health endpoints answer', async () => {
  assert.equal(await (await fetch(`${world.server.url}/up`)).text().then((body) => body.trim()), 'OK');
  assert.equal((await fetch(`${world.server.url}/live`)).status, 200);
});
