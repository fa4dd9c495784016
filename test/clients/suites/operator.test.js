// What operators see and do while pusher-js 8 is connected: "millrace connections", "users" and
// "webhooks" against a running server.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { answered } from '../support/deadline.js';
import { Hooks } from '../support/hooks.js';
import { credentials, Operator } from '../support/operator.js';
import { fresh, World } from '../support/world.js';

const app = { id: 'shop', key: 'shop-key', secret: 'shop-secret-of-16-bytes' };

let users; // the endpoint that is told of users
let channels; // the endpoint that is told of channels, and gives up at once
let world;
let operator;

before(async () => {
  [users, channels] = [await Hooks.start(), await Hooks.start()];
  world = await World.configured(`
[admin]
key = "${credentials.key}"
secret = "${credentials.secret}"
[webhooks]
user_grace = "4s"
[[apps]]
id = "${app.id}"
key = "${app.key}"
secret = "${app.secret}"
client_events = true
sign_in = true
[[apps.webhooks]]
id = "users"
url = "${users.url}"
event_types = ["user_online", "user_offline"]
[[apps.webhooks]]
id = "channels"
url = "${channels.url}"
event_types = ["channel_occupied"]
retry = "off"
`, app);
  users.library = channels.library = world.pusher;
  operator = new Operator(world.server);
});
after(async () => {
  await world?.stop();
  await Promise.all([users, channels].map((hooks) => hooks?.stop()));
});

const socketIds = (list) => list.map((connection) => connection.socket_id).sort();

suite('millrace connections', () => {
  test('list, by user and by channel', async () => {
    const [id, room] = [fresh('u-'), fresh('private-room-')];
    const [ida, bo] = [await world.client({ user: id }), await world.client()];
    await ida.signIn();
    await Promise.all([ida.join(room), bo.join(room)]);
    const [found, ...more] = await operator.lines('connections', 'list', '--user', id);
    assert.deepEqual(more, []);
    const { since_ms: since, ...connection } = found;
    assert.ok(since > Date.now() - 60_000 && since <= Date.now(), String(since));
    assert.deepEqual({ ...connection, channels: [...connection.channels].sort() }, {
      socket_id: ida.socketId, protocol: 'channels', ip: '127.0.0.1', user_id: id, key: app.key,
      channels: [room], total: 1, waiting_bytes: 0, is_traced: false,
    });
    assert.deepEqual(
      socketIds(await operator.lines('connections', 'list', '--channel', room)), [ida.socketId, bo.socketId].sort(),
    );
    const { stdout } = await operator.command('connections', 'list', '--channel', room);
    assert.ok(stdout.includes(ida.socketId) && stdout.includes(bo.socketId), stdout);
  });

  test('close: pusher-js does not come back', async () => {
    const room = fresh('room-');
    const [ida, bo] = [await world.client(), await world.client()];
    await Promise.all([ida.join(room), bo.join(room)]);
    const { code, stdout, stderr } = await operator.command('connections', 'close', ida.socketId);
    assert.deepEqual([code, stdout], [0, `closed ${ida.socketId}\n`], stderr);
    await ida.closedFor(4009);
    assert.deepEqual(socketIds(await operator.lines('connections', 'list', '--channel', room)), [bo.socketId]);
    const again = await operator.command('connections', 'close', ida.socketId);
    assert.notEqual(again.code, 0);
    assert.match(again.stderr, /404/);
    await world.fence(room, await bo.join(room));
    assert.equal(ida.pusher.connection.state, 'disconnected');
  });

  test('trace: the log has the frames of that connection, until it is ended', async () => {
    const [room, whispered, published] = [fresh('private-room-'), fresh('client-whispered-'), fresh('published-')];
    const [ida, bo] = [await world.client(), await world.client()];
    const [mine, seenByBo] = [await ida.join(room), await bo.join(room)];
    const from = world.server.log.items.length;
    const traced = (text) => world.server.log.find(
      (line) => line.msg === 'frame traced' && JSON.stringify(line).includes(text), `a trace of ${text}`, { from },
    );
    assert.equal((await operator.command('connections', 'trace', '--for', '1m', ida.socketId)).stdout, `tracing ${ida.socketId}\n`);
    mine.channel.trigger(whispered, {});
    await traced(whispered);
    await world.pusher.trigger(room, published, {});
    await traced(published);
    assert.equal((await operator.command('connections', 'trace', '--for', '0s', ida.socketId)).code, 0);
    await world.server.log.find(({ msg }) => msg === 'trace ended', 'end of the trace', { from });
    const lines = world.server.log.items.slice(from).filter(({ msg }) => msg === 'frame traced');
    assert.ok(lines.every((one) => one.socket_id === ida.socketId), 'the other connection was not traced');
    await seenByBo.event(published);
  });
});

suite('millrace users', () => {
  test('online: who has signed in; who reconnects within the grace was never gone', async () => {
    const [id, next, last] = [fresh('u-'), fresh('u-'), fresh('u-')];
    const client = await world.client({ user: id });
    await client.signIn();
    const first = await users.event('user_online', { user_id: id });
    const [online] = await operator.lines('users', 'online');
    assert.ok(online.users.includes(id));
    assert.ok(online.seq >= first.seq);

    for (let i = 0; i < 3; i++) {
      const [seen, old] = [client.states.items.length, client.socketId];
      client.pusher.disconnect();
      client.pusher.connect();
      await client.connected({ from: seen });
      assert.notEqual(client.socketId, old);
      await client.pusher.user.signinDonePromise;
    }
    // Whose grace begins later ends later: when this user is told to be gone, the other would have been.
    const passer = await world.client({ user: next });
    await passer.signIn();
    await users.event('user_online', { user_id: next });
    passer.close();
    await users.event('user_offline', { user_id: next });
    const ofFirst = () => users.events.items.filter(({ user_id: user }) => user === id).map(({ name }) => name);
    assert.deepEqual(ofFirst(), ['user_online']);
    const { stdout } = await operator.command('users', 'online');
    assert.ok(stdout.includes(id) && !stdout.includes(next), stdout);

    client.close();
    await users.event('user_offline', { user_id: id });
    assert.deepEqual(ofFirst(), ['user_online', 'user_offline']);
    await (await world.client({ user: last })).signIn();
    await users.event('user_online', { user_id: last });
    const numbers = users.events.items.map(({ seq }) => seq);
    assert.deepEqual(numbers, numbers.map((_, i) => i + 1), 'numbered without a gap');
  });
});

suite('millrace webhooks', () => {
  test('a request that is given up is listed, sent again, and read by the official library', async () => {
    channels.failure = 503;
    const room = fresh('room-');
    await (await world.client()).join(room);
    const told = (request) => request.rawBody.includes(room);
    const refused = await channels.requests.find(told, 'the request that is refused');

    const letter = await answered(async () => {
      const letters = await operator.lines('webhooks', 'dead', '--events');
      return letters.find(({ events }) => events.some(({ channel }) => channel === room));
    }, 'dead letter');
    assert.equal(letter.webhook, 'channels');
    assert.equal(letter.reason, 'no_retry');
    assert.match(letter.detail, /503/);
    assert.equal(letter.delivery, refused.headers['x-millrace-delivery']);
    const { stdout } = await operator.command('webhooks', 'dead');
    assert.match(stdout, new RegExp(`^${letter.number} +channels .*no_retry`, 'm'));
    assert.deepEqual(channels.events.items.filter(({ channel }) => channel === room), []);

    channels.failure = 0;
    const from = channels.requests.items.length;
    const replay = await operator.command('webhooks', 'replay', String(letter.number));
    assert.deepEqual([replay.code, replay.stdout], [0, 'replayed 1\n'], replay.stderr);
    const again = await channels.requests.find(told, 'the request once more', { from });
    assert.ok(again.isValid);
    assert.equal(again.rawBody, refused.rawBody);
    assert.equal(again.headers['x-millrace-delivery'], letter.delivery);
    await channels.event('channel_occupied', { channel: room });
    assert.ok((await operator.lines('webhooks', 'dead')).every(({ number }) => number !== letter.number));
  });
});
