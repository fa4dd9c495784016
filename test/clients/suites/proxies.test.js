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
before(async () => { world = await World.configured(toml, app); });
after(() => world?.stop());

const handshake = {
  connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'bWlsbHJhY2UtdGVzdC1rZQ==',
};

for (const kind of ['nginx', 'haproxy', 'caddy']) {
  suite(kind, () => {
    let proxy;
    let library;
    before(async () => {
      proxy = await Proxy.start(kind, world.server);
      library = serverLibrary(world.server, { port: proxy.port, useTLS: true });
    });
    after(() => proxy?.stop());

    const through = async (t, options) => {
      const client = new Subscriber(world.server, world.backend, { ...options, tls: proxy.port });
      t.after(() => client.close());
      await client.connected();
      return client;
    };

    test('clients join, and receive what is published through the proxy', async (t) => {
      const [ida, bo] = await Promise.all([through(t, { user: 'ida' }), through(t, { user: 'bo' })]);
      const [news, room] = [fresh('news-'), fresh('presence-room-')];
      const [, members] = await Promise.all([ida.join(news), ida.join(room)]);
      await Promise.all([bo.join(news), bo.join(room)]);
      await members.event('pusher:member_added');
      const response = await library.trigger(news, 'tick', { text: 'x'.repeat(9000) });
      assert.equal(response.status, 200);
      for (const client of [ida, bo]) {
        assert.equal((await client.follow(news).event('tick')).data.text.length, 9000);
      }
      members.channel.trigger('client-hello', { from: 'ida' });
      assert.deepEqual((await bo.follow(room).event('client-hello')).data, { from: 'ida' });
    });

    test('paths come through as they were signed', async (t) => {
      const user = `auth0|${fresh('ü ')}`;
      const client = await through(t, { user });
      await client.signIn();
      await library.terminateUserConnections(user);
      await client.closedFor(4009);
    });

    test('the address of a client is what the proxy says, not what the client says', async (t) => {
      const localAddress = '127.0.0.7';
      const { status, socket } = await proxy.get(`/app/${app.key}?protocol=7`, {
        localAddress, headers: { ...handshake, 'x-forwarded-for': '203.0.113.9', 'x-real-ip': '203.0.113.9', forwarded: 'for=203.0.113.9' },
      });
      t.after(() => socket?.destroy());
      assert.equal(status, 101);
      const found = async (ip) => (await (await library.get({ path: '/connections', params: { ip } })).json()).connections;
      await answered(async () => (await found(localAddress)).length > 0, 'connection of that address');
      assert.deepEqual(await found('203.0.113.9'), []);
    });

    test('clients come back after a restart of the server', async (t) => {
      const client = await through(t);
      const news = fresh('news-');
      const followed = await client.join(news);
      const [states, seen] = [client.states.items.length, followed.inbox.items.length];
      await world.server.stop();
      await world.server.start();
      await client.connected({ from: states, ms: 120_000 });
      await followed.subscribed({ from: seen });
      await answered(() => library.trigger(news, 'again', {}).then(({ status }) => status === 200, () => false), 'publish through the proxy');
      await followed.event('again');
    });
  });
}

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
