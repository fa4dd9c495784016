// pusher-js 8 in headless Chromium.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { BrowserClient, launch } from '../support/chromium.js';
import { fresh, World } from '../support/world.js';

let world;
let browser;
before(async () => {
  world = await World.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await world?.stop();
});

const open = (user) => BrowserClient.open(browser, world, user);

suite('pusher-js in Chromium', () => {
  test('public, private and encrypted channels receive', async () => {
    const client = await open('ida');
    for (const prefix of ['news-', 'private-', 'private-encrypted-']) {
      const name = fresh(prefix);
      await client.join(name);
      await world.pusher.trigger(name, 'item', { text: 'grüße 🌾', prefix });
      assert.deepEqual((await client.event(name, 'item')).data, { text: 'grüße 🌾', prefix });
    }
  });

  test('cache channels miss, then replay', async () => {
    const [early, late] = [await open('early'), await open('late')];
    const name = fresh('cache-');
    await early.join(name);
    await early.event(name, 'pusher:cache_miss');
    await world.pusher.trigger(name, 'rate', { eurusd: 1.08 });
    await early.event(name, 'rate');
    await late.join(name);
    assert.deepEqual((await late.event(name, 'rate')).data, { eurusd: 1.08 });
  });

  test('presence and client events between a browser and Node', async () => {
    const browserSide = await open('ida');
    const nodeSide = await world.client({ user: 'bo' });
    const name = fresh('presence-');
    await browserSide.join(name);
    const inNode = await nodeSide.join(name);
    assert.equal((await browserSide.event(name, 'pusher:member_added')).data.id, 'bo');
    assert.equal(inNode.channel.members.count, 2);

    const arrived = inNode.next('client-wave');
    assert.equal(await browserSide.whisper(name, 'client-wave', { n: 1 }), true);
    assert.equal((await arrived).meta.user_id, 'ida');
    inNode.channel.trigger('client-wave', { n: 2 });
    assert.deepEqual((await browserSide.event(name, 'client-wave')).data, { n: 2 });
    assert.deepEqual(browserSide.named(name, 'client-wave'), [{ n: 2 }], 'not its own');

    await browserSide.page.close(); // a closed tab leaves
    assert.equal((await inNode.event('pusher:member_removed')).data.id, 'ida');
  });

  test('a forged signature and a refused client event are told, and the connection goes on', async () => {
    const client = await open('ida');
    const forged = fresh('private-forged-');
    await client.follow(forged);
    assert.equal((await client.event(forged, 'pusher:subscription_error')).data.status, 401);
    const open_ = fresh('news-');
    await client.join(open_);
    await client.whisper(open_, 'client-typing', {});
    await client.inbox('error').find((error) => error?.data?.code === 4301, 'error 4301');
    await world.pusher.trigger(open_, 'item', {});
    await client.event(open_, 'item');
  });

  test('after kill -9 and a new start the browser is back by itself', async () => {
    const client = await open('ida');
    const names = ['news-', 'private-', 'presence-'].map(fresh);
    for (const name of names) await client.join(name);
    const from = client.inbox('state').items.length;
    const seen = names.map((name) => client.inbox(name).items.length);
    await world.server.kill();
    await world.server.start();
    await client.connected({ from, ms: 120_000 });
    for (const [i, name] of names.entries()) {
      await client.event(name, 'pusher:subscription_succeeded', { from: seen[i] });
      await world.pusher.trigger(name, 'after-restart', { i });
      assert.deepEqual((await client.event(name, 'after-restart')).data, { i });
    }
  });
});
