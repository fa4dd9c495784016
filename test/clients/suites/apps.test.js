// Apps that come, change and go while the server runs: the admin API and "millrace apps", with
// pusher-js 8 and `pusher` 5 as their users.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Backend, serverLibrary } from '../support/backend.js';
import { Millrace } from '../support/millrace.js';
import { credentials, Operator } from '../support/operator.js';
import { Subscriber } from '../support/subscriber.js';
import { fresh } from '../support/world.js';

let server;
let operator;
const ends = []; // of what tests have started

before(async () => {
  server = await Millrace.configured(`
[registry]
driver = "embedded"
[admin]
key = "${credentials.key}"
secret = "${credentials.secret}"
`, {});
  operator = new Operator(server);
});
after(async () => {
  await Promise.all(ends.map((end) => end()));
  await server?.stop();
});

// of is the server as the users of one app see it, by one of its keys.
const of = (app, { key, secret } = app) => ({ host: server.host, port: server.port, app: { id: app.id, key, secret } });

// create makes an app, with a backend of its own.
async function create(document = {}) {
  const { status, ...app } = await operator.admin('POST', '/apps', { id: fresh('shop-'), ...document });
  assert.equal(status, 201, JSON.stringify(app));
  const backend = await Backend.start(of(app));
  ends.push(() => backend.stop());
  return { app, backend };
}

async function connect(app, backend, options) {
  const client = open(app, backend, options);
  await client.connected();
  return client;
}

function open(app, backend, options) {
  const client = new Subscriber(of(app), backend, options);
  ends.push(() => client.close());
  return client;
}

suite('apps', () => {
  test('an app that is created serves clients and its backend at once', async () => {
    const { app, backend } = await create({ client_events: true });
    const [ida, bo] = [await connect(app, backend, { user: 'ida' }), await connect(app, backend, { user: 'bo' })];
    const news = await ida.join('private-news');
    const lobby = await ida.join('presence-lobby');
    const seenByBo = await bo.join('presence-lobby');
    await lobby.event('pusher:member_added');
    assert.deepEqual(Object.keys(seenByBo.channel.members.members).sort(), ['bo', 'ida']);
    await backend.pusher.trigger('private-news', 'placed', { id: 7 });
    assert.deepEqual((await news.event('placed')).data, { id: 7 });
    const whisper = seenByBo.next('client-typing');
    lobby.channel.trigger('client-typing', { at: 'lobby' });
    assert.equal((await whisper).meta.user_id, 'ida');
    const { users } = await (await backend.pusher.get({ path: '/channels/presence-lobby/users' })).json();
    assert.deepEqual(users.map(({ id }) => id).sort(), ['bo', 'ida']);
  });

  test('a key is rotated without a pause, and the old one revoked', async () => {
    const { app, backend } = await create();
    const old = await connect(app, backend);
    const before = await old.join('private-before');

    const next = await operator.admin('POST', `/apps/${app.id}/rotate`);
    assert.equal(next.status, 201);
    assert.notEqual(next.key, app.key);
    const former = backend.pusher;
    backend.pusher = serverLibrary(of(app, next));
    const after = await old.join('private-after'); // connected by the old key, signed with the new one
    const early = await connect({ id: app.id, ...next }, backend);
    const news = await early.join('private-before');
    await former.trigger('private-before', 'by-the-old', {});
    await backend.pusher.trigger(['private-before', 'private-after'], 'by-the-new', {});
    await Promise.all([before, news].map((channel) => channel.event('by-the-old')));
    await Promise.all([before, after, news].map((channel) => channel.event('by-the-new')));

    const { status } = await operator.admin('DELETE', `/apps/${app.id}/keys/${app.key}`);
    assert.equal(status, 200);
    await old.closedFor(4001);
    await open(app, backend).closedFor(4001);
    await assert.rejects(former.trigger('private-before', 'too-late', {}), { status: 401 });
    await backend.pusher.trigger('private-before', 'still-here', {});
    await news.event('still-here');
    assert.equal(old.pusher.connection.state, 'disconnected', 'it has not come back');
  });

  test('whoever holds something that a revoked key has signed is closed, too', async () => {
    const { app, backend } = await create();
    const extra = await operator.admin('POST', `/apps/${app.id}/keys`, { rights: 'all' });
    const bystander = await connect(app, backend);
    await bystander.join('private-x');
    backend.pusher = serverLibrary(of(app, extra));
    const holder = await connect(app, backend);
    await holder.join('private-x');
    await operator.admin('DELETE', `/apps/${app.id}/keys/${extra.key}`);
    await holder.closedFor(4001);
    assert.equal(bystander.pusher.connection.state, 'connected');
  });

  test('a key for publishing publishes and does nothing else, one for reading reads', async () => {
    const { app, backend } = await create();
    const rights = async (name) => serverLibrary(of(app, await operator.admin('POST', `/apps/${app.id}/keys`, { rights: name })));
    const [publisher, reader] = [await rights('publish'), await rights('read')];
    const client = await connect(app, backend);
    const prices = await client.join('prices');
    await publisher.trigger('prices', 'tick', { eurusd: 1.08 });
    assert.deepEqual((await prices.event('tick')).data, { eurusd: 1.08 });
    await assert.rejects(publisher.get({ path: '/channels' }), (error) => error.status === 403 && /forbidden/.test(error.body));
    assert.deepEqual(await (await reader.get({ path: '/channels' })).json(), { channels: { prices: {} } });
    await assert.rejects(reader.trigger('prices', 'tick', {}), { status: 403 });

    backend.pusher = publisher;
    const refused = client.follow('private-orders');
    const { data } = await refused.event('pusher:subscription_error');
    assert.equal(data.status, 401);
    assert.match(data.error, /right "publish" only/);
    assert.equal(client.pusher.connection.state, 'connected');
  });

  test('clients of an app that is disabled or deleted are closed and refused with 4003 and 4001', async () => {
    const { app, backend } = await create();
    const client = await connect(app, backend);
    assert.equal((await operator.admin('PATCH', `/apps/${app.id}`, { enabled: false })).status, 200);
    await client.closedFor(4003);
    await open(app, backend).closedFor(4003);
    await assert.rejects(backend.pusher.trigger('prices', 'tick', {}), { status: 403 });

    await operator.admin('PATCH', `/apps/${app.id}`, { enabled: true });
    const back = await connect(app, backend);
    assert.equal((await operator.admin('DELETE', `/apps/${app.id}`)).status, 204);
    await back.closedFor(4003);
    await open(app, backend).closedFor(4001);
    assert.equal((await operator.admin('GET', `/apps/${app.id}`)).status, 404);
  });

  test('an app that is over its quota refuses with 4004, and a new quota counts at once', async () => {
    const { app, backend } = await create({ max_connections: 1 });
    await connect(app, backend);
    await open(app, backend).closedFor(4004);
    await operator.admin('PATCH', `/apps/${app.id}`, { max_connections: 2 });
    await connect(app, backend);
    await open(app, backend).closedFor(4004);
  });

  test('with quota_close_code = 4100 a client above the quota comes back when there is room', async (t) => {
    const app = { id: 'small', key: 'small-key', secret: 'small-secret-of-16-bytes' };
    const small = await Millrace.configured(`
[handshake]
quota_close_code = 4100
[[apps]]
id = "${app.id}"
key = "${app.key}"
secret = "${app.secret}"
max_connections = 1
`, app);
    t.after(() => small.stop());
    const backend = await Backend.start(small);
    ends.push(() => backend.stop());
    const first = await Subscriber.connect(small, backend);
    const second = new Subscriber(small, backend);
    ends.push(() => second.close());
    await second.errors.find((error) => (error?.error?.data ?? error?.data)?.code === 4100, 'error 4100');
    first.close();
    await second.connected();
  });
});

suite('import', () => {
  const soketi = {
    'appManager.array.apps': [{
      id: 'from-soketi', key: 'soketi-key', secret: 'soketi-secret-of-16-bytes', maxConnections: 100, enableClientMessages: true,
      enabled: true, maxBackendEventsPerSec: -1, maxClientEventsPerSec: 100, maxReadReqPerSec: -1, webhooks: [],
    }],
  };
  const sockudo = {
    app_manager: {
      driver: 'memory',
      array: {
        apps: [{
          id: 'from-sockudo', key: 'sockudo-key', secret: 'sockudo-secret-of-16-bytes', enabled: true,
          policy: {
            limits: { max_connections: '100', max_client_events_per_second: 100, max_event_payload_in_kb: 32 },
            features: { enable_client_messages: true, enable_user_authentication: true },
            channels: { allowed_origins: ['*'] },
          },
        }],
      },
    },
  };

  for (const [name, document, app] of [
    ['Soketi', soketi, soketi['appManager.array.apps'][0]],
    ['Sockudo', sockudo, sockudo.app_manager.array.apps[0]],
  ]) {
    test(`the clients of an app of ${name} connect as before`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'millrace-import-'));
      t.after(() => rm(folder, { recursive: true }));
      const file = join(folder, 'apps.json');
      await writeFile(file, JSON.stringify(document));
      const dry = await operator.apps('import', '--dry-run', file);
      assert.deepEqual([dry.code, dry.stdout], [0, `${app.id}\tnew\n`], dry.stderr);
      assert.equal((await operator.admin('GET', `/apps/${app.id}`)).status, 404, 'nothing has happened yet');
      const { code, stdout, stderr } = await operator.apps('import', file);
      assert.deepEqual([code, stdout], [0, `${app.id}\tcreated\n`], stderr);
      assert.equal((await operator.apps('import', file)).stdout, `${app.id}\texists\n`);

      const backend = await Backend.start(of(app));
      ends.push(() => backend.stop());
      const [ida, bo] = [await connect(app, backend, { user: 'ida' }), await connect(app, backend, { user: 'bo' })];
      const [lobby, seenByBo] = [await ida.join('presence-lobby'), await bo.join('presence-lobby')];
      const whisper = seenByBo.next('client-hello');
      lobby.channel.trigger('client-hello', {});
      assert.equal((await whisper).meta.user_id, 'ida');
      await backend.pusher.trigger('presence-lobby', 'news', { n: 1 });
      assert.deepEqual((await seenByBo.event('news')).data, { n: 1 });
    });
  }
});
