// pusher-js 8 and `pusher` 5 in Node: every kind of channel, and client events.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { fresh, World } from '../support/world.js';

let world;
before(async () => { world = await World.start(); });
after(() => world?.stop());

suite('public channels', () => {
  test('every subscriber receives a publish, with its data as it was sent', async () => {
    const [a, b] = await Promise.all([world.client(), world.client()]);
    const name = fresh('news-');
    const [inA, inB] = await Promise.all([a.join(name), b.join(name)]);
    const payloads = [
      { text: 'grüße, 世界, 🌾', nested: { list: [1, 2.5, null, true] }, html: '<b>&amp;</b>' },
      'plain text, no JSON', '', '"quoted"', 'line\nbreak\u2028\\',
    ];
    for (const data of payloads) await world.pusher.trigger(name, 'item', data);
    await world.fence(name, inA, inB);
    const parsed = payloads.map((data) => (data === '"quoted"' ? 'quoted' : data)); // the library parses what is JSON
    assert.deepEqual(inA.named('item'), parsed);
    assert.deepEqual(inB.named('item'), parsed);
  });

  test('nothing arrives after unsubscribing', async () => {
    const [leaver, stayer] = await Promise.all([world.client(), world.client()]);
    const name = fresh('news-');
    const other = fresh('news-');
    const left = await leaver.join(name);
    const beside = await leaver.join(other);
    const stayed = await stayer.join(name);
    leaver.leave(name);
    await leaver.join(fresh('news-')); // by the answer the leave has been handled too
    await world.pusher.trigger(name, 'item', { late: true });
    await world.fence(name, stayed);
    await world.fence(other, beside);
    assert.deepEqual(left.named('item'), []);
    assert.deepEqual(stayed.named('item'), [{ late: true }]);
  });

  test('commas and semicolons are legal in names', async () => {
    const client = await world.client();
    const name = `${fresh('odd_-=@,.;')}`;
    const channel = await client.join(name);
    await world.fence(name, channel);
  });
});

suite('private channels', () => {
  test('a signed subscription receives', async () => {
    const client = await world.client();
    const name = fresh('private-orders-');
    const channel = await client.join(name);
    await world.pusher.trigger(name, 'placed', { id: 7 });
    assert.deepEqual((await channel.event('placed')).data, { id: 7 });
  });

  test('a forged signature is told to the channel, and the connection goes on', async () => {
    const client = await world.client();
    const refused = client.follow(fresh('private-forged-'));
    const { data } = await refused.event('pusher:subscription_error');
    assert.equal(data.type, 'AuthError');
    assert.equal(data.status, 401);
    const good = fresh('private-');
    await world.fence(good, await client.join(good));
    assert.deepEqual(refused.named('pusher:subscription_succeeded'), []);
    assert.equal(client.pusher.connection.state, 'connected');
  });

  test('a refusing endpoint never reaches the server', async () => {
    const client = await world.client();
    const refused = client.follow(fresh('private-forbidden-'));
    const { data } = await refused.event('pusher:subscription_error');
    assert.equal(data.status, 403);
    assert.equal(client.pusher.connection.state, 'connected');
  });
});

suite('presence channels', () => {
  test('members see each other come and go, and themselves from the start', async () => {
    const name = fresh('presence-room-');
    const ida = await world.client({ user: 'u-9', name: 'Ida' });
    const inIda = await ida.join(name);
    assert.deepEqual(members(inIda), { 'u-9': { name: 'Ida' } });
    assert.deepEqual(inIda.channel.members.me, { id: 'u-9', info: { name: 'Ida' } });

    const bo = await world.client({ user: 'u-3', name: 'Bo' });
    const inBo = await bo.join(name);
    assert.deepEqual(members(inBo), { 'u-3': { name: 'Bo' }, 'u-9': { name: 'Ida' } });
    assert.deepEqual((await inIda.event('pusher:member_added')).data, { id: 'u-3', info: { name: 'Bo' } });
    assert.equal(inIda.channel.members.count, 2);

    bo.close();
    assert.equal((await inIda.event('pusher:member_removed')).data.id, 'u-3');
    assert.deepEqual(members(inIda), { 'u-9': { name: 'Ida' } });
    assert.deepEqual(inBo.named('pusher:member_added'), [], 'nobody is told of their own arrival');
  });

  test('a user on two connections is one member until the last one leaves', async () => {
    const name = fresh('presence-room-');
    const watcher = await (await world.client({ user: 'watcher' })).join(name);
    const first = await world.client({ user: 'twin' });
    await first.join(name);
    await watcher.event('pusher:member_added');
    const second = await world.client({ user: 'twin' });
    const inSecond = await second.join(name);
    assert.equal(inSecond.channel.members.count, 2);
    first.leave(name);
    await first.join(fresh('news-')); // by the answer the leave has been handled too
    await world.fence(name, watcher);
    assert.equal(watcher.named('pusher:member_added').length, 1);
    assert.deepEqual(watcher.named('pusher:member_removed'), []);
    second.close();
    assert.equal((await watcher.event('pusher:member_removed')).data.id, 'twin');
  });
});

suite('encrypted channels', () => {
  for (const prefix of ['private-encrypted-', 'private-encrypted-cache-']) {
    test(`${prefix}: the subscriber reads what the server cannot`, async () => {
      const client = await world.client();
      const name = fresh(prefix);
      const channel = await client.join(name);
      const frames = [];
      client.pusher.connection.bind('message', (frame) => frames.push(frame));
      await world.pusher.trigger(name, 'letter', { secret: 'meet at the mill' });
      assert.deepEqual((await channel.event('letter')).data, { secret: 'meet at the mill' });
      const wire = frames.find((frame) => frame.event === 'letter');
      assert.deepEqual(Object.keys(wire.data).sort(), ['ciphertext', 'nonce']);
      assert.ok(!JSON.stringify(wire).includes('mill"'), 'the text crosses the server encrypted');
    });
  }
});

suite('cache channels', () => {
  for (const prefix of ['cache-', 'private-cache-', 'presence-cache-', 'private-encrypted-cache-']) {
    test(`${prefix}: a miss, then the last publish for whoever comes later`, async () => {
      const name = fresh(prefix);
      const early = await (await world.client({ user: 'early' })).join(name);
      await early.event('pusher:cache_miss');
      await world.pusher.trigger(name, 'rate', { eurusd: 1.07 });
      await world.pusher.trigger(name, 'rate', { eurusd: 1.08 });
      await early.inbox.count(2, (item) => item.event === 'rate', 'rate');

      const late = await (await world.client({ user: 'late' })).join(name);
      assert.deepEqual((await late.event('rate')).data, { eurusd: 1.08 });
      await world.pusher.trigger(name, 'rate', { eurusd: 1.09 });
      await late.inbox.count(2, (item) => item.event === 'rate', 'rate');
      assert.deepEqual(late.named('rate'), [{ eurusd: 1.08 }, { eurusd: 1.09 }]);
      assert.deepEqual(late.named('pusher:cache_miss'), []);
    });
  }

  test('a name that only contains the word is no cache channel', async () => {
    const name = fresh('my-cache-');
    await world.pusher.trigger(name, 'rate', { old: true });
    const channel = await (await world.client()).join(name);
    await world.fence(name, channel);
    assert.deepEqual(channel.named('rate'), []);
    assert.deepEqual(channel.named('pusher:cache_miss'), []);
  });
});

suite('client events', () => {
  for (const prefix of ['private-', 'presence-', 'private-cache-', 'presence-cache-']) {
    test(`${prefix}: everybody but the sender receives`, async () => {
      const name = fresh(prefix);
      const [from, to] = await Promise.all([world.client({ user: 'ida' }), world.client({ user: 'bo' })]);
      const [sender, receiver] = await Promise.all([from.join(name), to.join(name)]);
      const arrived = receiver.next('client-typing');
      assert.equal(sender.channel.trigger('client-typing', { who: 'Ida', n: [1, 'x'] }), true);
      const { data, meta } = await arrived;
      assert.deepEqual(data, { who: 'Ida', n: [1, 'x'] });
      assert.equal(meta?.user_id, prefix.startsWith('presence-') ? 'ida' : undefined);
      await world.fence(name, sender, receiver);
      assert.deepEqual(sender.named('client-typing'), []);
    });
  }

  for (const prefix of ['news-', 'private-encrypted-']) {
    test(`${prefix}: refused with 4301, and nobody receives`, async () => {
      const name = fresh(prefix);
      const [from, to] = await Promise.all([world.client(), world.client()]);
      const [sender, receiver] = await Promise.all([from.join(name), to.join(name)]);
      // The library has no trigger for these kinds; a determined application does this.
      from.pusher.send_event('client-typing', { who: 'Ida' }, name);
      const error = await from.errors.find((e) => e?.data?.code === 4301, 'error 4301');
      assert.equal(typeof error.data.message, 'string');
      await fenceEncrypted(name, receiver);
      assert.deepEqual(receiver.named('client-typing'), []);
      assert.equal(from.pusher.connection.state, 'connected');
      assert.deepEqual(sender.named('client-typing'), []);
    });
  }
});

// Any trigger of the library works as a fence; encrypted ones must carry something to encrypt.
async function fenceEncrypted(name, follower) {
  await world.pusher.trigger(name, 'fence', { done: true });
  await follower.event('fence');
}

function members({ channel }) {
  const found = {};
  channel.members.each(({ id, info }) => { found[id] = info; });
  return found;
}
