// pusher-js 8 and the official server library through nginx, HAProxy and Caddy, as deploy/
// configures them, and below a path prefix.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { serverLibrary } from '../support/backend.js';
import { answered } from '../support/deadline.js';
import { Proxy } from '../support/proxy.js';
import { Subscriber } from '../support/subscriber.js';
import { fresh, World } from '../support/world.js';

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; // the certificates are the suite's own

const app = { id: 'shop', key: 'shop-key', secret: 'a-secret-of-the-shop' };
const toml = `
[http]
trusted_proxies = ["127.0.0.1"]
path_prefix = "/realtime"
[[apps]]
id = "${app.id}"
key = "${app.key}"
secret = "${app.secret}"
client_events = true
sign_in = true
`;

let world;
const kinds = ['nginx', 'haproxy', 'caddy'];
const proxies = {};
before(async () => {
  world = await World.configured(toml, app);
  await Promise.all(kinds.map(async (kind) => { proxies[kind] = await Proxy.start(kind, world.server); }));
});
after(async () => {
  await Promise.all(Object.values(proxies).map((proxy) => proxy.stop()));
  await world?.stop();
});

const handshake = {
  connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'bWlsbHJhY2UtdGVzdC1rZQ==',
};

const libraryOf = (kind) => serverLibrary(world.server, { port: proxies[kind].port, useTLS: true });

const through = async (t, kind, options) => {
  const client = new Subscriber(world.server, world.backend, { ...options, tls: proxies[kind].port });
  t.after(() => client.close());
  await client.connected();
  return client;
};

for (const kind of kinds) {
  suite(kind, () => {
    test('clients join, and receive what is published through the proxy', async (t) => {
      const [ida, bo] = await Promise.all([through(t, kind, { user: 'ida' }), through(t, kind, { user: 'bo' })]);
      const [news, room] = [fresh('news-'), fresh('presence-room-')];
      const [, members] = await Promise.all([ida.join(news), ida.join(room)]);
      await Promise.all([bo.join(news), bo.join(room)]);
      await members.event('pusher:member_added');
      const response = await libraryOf(kind).trigger(news, 'tick', { text: 'x'.repeat(9000) });
      assert.equal(response.status, 200);
      for (const client of [ida, bo]) {
        assert.equal((await client.follow(news).event('tick')).data.text.length, 9000);
      }
      members.channel.trigger('client-hello', { from: 'ida' });
      assert.deepEqual((await bo.follow(room).event('client-hello')).data, { from: 'ida' });
    });

    test('paths come through as they were signed', async (t) => {
      const user = `auth0|${fresh('ü ')}`;
      const client = await through(t, kind, { user });
      await client.signIn();
      await libraryOf(kind).terminateUserConnections(user);
      await client.closedFor(4009);
    });

    test('the address of a client is what the proxy says, not what the client says', async (t) => {
      const localAddress = '127.0.0.7';
      const { status, socket } = await proxies[kind].get(`/app/${app.key}?protocol=7`, {
        localAddress, headers: { ...handshake, 'x-forwarded-for': '203.0.113.9', 'x-real-ip': '203.0.113.9', forwarded: 'for=203.0.113.9' },
      });
      t.after(() => socket?.destroy());
      assert.equal(status, 101);
      const found = async (ip) => (await (await libraryOf(kind).get({ path: '/connections', params: { ip } })).json()).connections;
      await answered(async () => (await found(localAddress)).length > 0, 'connection of that address');
      assert.deepEqual(await found('203.0.113.9'), []);
    });
  });
}

// One restart for all: pusher-js waits 15 s after an attempt that failed.
test('clients come back through every proxy after a restart of the server', async (t) => {
  const followers = await Promise.all(kinds.map(async (kind) => {
    const client = await through(t, kind);
    const followed = await client.join(fresh('news-'));
    return { kind, client, followed, states: client.states.items.length, seen: followed.inbox.items.length };
  }));
  await world.server.stop();
  await world.server.start();
  await Promise.all(followers.map(async ({ kind, client, followed, states, seen }) => {
    await client.connected({ from: states, ms: 120_000 });
    await followed.subscribed({ from: seen });
    const publish = () => libraryOf(kind).trigger(followed.channel.name, 'again', {});
    await answered(() => publish().then(({ status }) => status === 200, () => false), `publish through ${kind}`);
    await followed.event('again');
  }));
});

suite('a path prefix', () => {
  test('pusher-js connects below it', async (t) => {
    const client = new Subscriber(world.server, world.backend, { path: '/realtime' });
    t.after(() => client.close());
    await client.connected();
    const followed = await client.join(fresh('private-prefix-'));
    await world.pusher.trigger(followed.channel.name, 'tick', { n: 1 });
    assert.deepEqual((await followed.event('tick')).data, { n: 1 });
  });

  test('a publisher signs its path with the prefix or without', async () => {
    for (const signed of ['/realtime/apps/shop/events', '/apps/shop/events']) {
      const body = JSON.stringify({ name: 'tick', channels: ['news'], data: '{}' });
      const query = world.pusher.createSignedQueryString({ method: 'POST', path: signed, body, params: {} });
      const response = await fetch(`${world.server.url}/realtime/apps/shop/events?${query}`, { method: 'POST', body });
      assert.equal(response.status, 200, `${signed}: ${await response.text()}`);
    }
  });
});
