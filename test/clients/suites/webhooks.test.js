// The npm package `pusher` 5 reads and verifies the webhooks that pusher-js 8 brings about.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Backend, serverLibrary } from '../support/backend.js';
import { Hooks } from '../support/hooks.js';
import { Millrace } from '../support/millrace.js';
import { Subscriber } from '../support/subscriber.js';
import { fresh } from '../support/world.js';

const app = { id: 'shop', key: 'shop-key', secret: 'shop-secret-of-16-bytes' };
const kinds = [
  'channel_occupied', 'channel_vacated', 'member_added', 'member_removed', 'client_event',
  'cache_miss', 'subscription_count', 'user_online', 'user_offline',
];

let hooks;
let server;
let backend;
const clients = [];

before(async () => {
  hooks = await Hooks.start();
  server = await Millrace.configured(`
[webhooks]
grace = "300ms"
user_grace = "300ms"
[[apps]]
id = "${app.id}"
key = "${app.key}"
secret = "${app.secret}"
client_events = true
sign_in = true
[[apps.webhooks]]
url = "${hooks.url}"
event_types = ${JSON.stringify(kinds)}
headers = ["X-Tenant: blue", "X-Pusher-Key: evil"]
`, app);
  hooks.library = serverLibrary(server);
  backend = await Backend.start(server);
});
after(async () => {
  clients.forEach((client) => client.close());
  await server?.stop();
  await backend?.stop();
  await hooks?.stop();
});

async function connect(options) {
  const client = await Subscriber.connect(server, backend, options);
  clients.push(client);
  return client;
}

suite('webhooks', () => {
  test('every kind of event arrives, and the official library reads it', async () => {
    const began = Date.now();
    const user = fresh('u-');
    const [plain, cache, presence] = [fresh('prices-'), fresh('cache-x-'), fresh('presence-x-')];
    const client = await connect({ user });
    await client.signIn();
    assert.deepEqual(await hooks.event('user_online'), {
      name: 'user_online', channel: `#server-to-user-${user}`, user_id: user, seq: 1,
    });

    await client.join(plain);
    assert.deepEqual(await hooks.event('channel_occupied', { channel: plain }), { name: 'channel_occupied', channel: plain });
    assert.deepEqual(await hooks.event('subscription_count', { channel: plain }), {
      name: 'subscription_count', channel: plain, subscription_count: 1,
    });
    await client.join(cache);
    assert.deepEqual(await hooks.event('cache_miss'), { name: 'cache_miss', channel: cache });
    const { channel } = await client.join(presence);
    assert.deepEqual(await hooks.event('member_added'), { name: 'member_added', channel: presence, user_id: user });
    assert.ok(channel.trigger('client-typing', { where: 'here' }));
    const { data, ...event } = await hooks.event('client_event');
    assert.deepEqual(event, {
      name: 'client_event', channel: presence, event: 'client-typing', socket_id: client.socketId, user_id: user,
    });
    assert.deepEqual(JSON.parse(data), { where: 'here' });

    client.close();
    await hooks.event('member_removed', { channel: presence, user_id: user });
    await hooks.event('channel_vacated', { channel: presence });
    await hooks.event('channel_vacated', { channel: plain });
    assert.deepEqual(await hooks.event('user_offline'), {
      name: 'user_offline', channel: `#server-to-user-${user}`, user_id: user, seq: 2,
    });
    await hooks.event('subscription_count', { channel: plain, subscription_count: 0 });
    assert.deepEqual(hooks.events.items.filter(({ name, channel: of }) => name === 'subscription_count' && of === presence), []);

    for (const { headers, rawBody, isValid, time } of hooks.requests.items) {
      assert.ok(isValid, rawBody);
      assert.equal(headers['x-tenant'], 'blue');
      assert.ok(time.getTime() >= began - 1000 && time.getTime() <= Date.now() + 1000, `time_ms of ${rawBody}`);
    }
    assert.deepEqual([...new Set(hooks.events.items.map(({ name }) => name))].sort(), [...kinds].sort());
  });

  test('another secret does not verify what is sent', () => {
    const [{ headers, rawBody }] = hooks.requests.items;
    assert.equal(serverLibrary(server, { secret: 'another' }).webhook({ headers, rawBody }).isValid(), false);
    assert.equal(hooks.library.webhook({ headers, rawBody: rawBody.replace('online', 'offline') }).isValid(), false);
  });

  test('a clean end is told before the server is gone', async () => {
    const presence = fresh('presence-end-');
    const user = fresh('u-');
    const client = await connect({ user });
    await client.join(presence);
    await hooks.event('member_added', { channel: presence });
    await server.stop();
    const told = hooks.events.items.filter(({ channel }) => channel === presence);
    assert.deepEqual(told, [
      { name: 'channel_occupied', channel: presence },
      { name: 'member_added', channel: presence, user_id: user },
      { name: 'member_removed', channel: presence, user_id: user },
      { name: 'channel_vacated', channel: presence },
    ]);
  });
});
