// laravel-echo 2 with its Pusher connector, in Node; and the webhooks that tell of it.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import Echo from 'laravel-echo';
import PusherJS from 'pusher-js';
import { Inbox } from '../support/deadline.js';
import { Hooks } from '../support/hooks.js';
import { fresh, World } from '../support/world.js';

const app = { id: 'shop', key: 'shop-key', secret: 'shop-secret-of-16-bytes' };

let hooks;
let world;
const echoes = [];
before(async () => {
  hooks = await Hooks.start();
  world = await World.configured(`
[webhooks]
grace = "3s"
[[apps]]
id = "${app.id}"
key = "${app.key}"
secret = "${app.secret}"
client_events = true
[[apps.webhooks]]
url = "${hooks.url}"
event_types = ["channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event"]
`, app);
  hooks.library = world.pusher;
});
after(async () => {
  echoes.forEach((echo) => echo.disconnect());
  await world?.stop();
  await hooks?.stop();
});

function connect(user) {
  const echo = new Echo({
    broadcaster: 'pusher',
    Pusher: PusherJS,
    key: world.server.app.key,
    cluster: '',
    wsHost: world.server.host,
    wsPort: world.server.port,
    forceTLS: false,
    enabledTransports: ['ws'],
    channelAuthorization: {
      endpoint: `${world.backend.url}/pusher/auth`,
      transport: 'ajax',
      params: { user_id: user, user_name: user },
    },
  });
  echoes.push(echo);
  return echo;
}

// subscribed resolves when Echo says that the channel is joined.
function subscribed(channel) {
  const inbox = new Inbox('subscription');
  channel.subscribed(() => inbox.push(true));
  channel.error((error) => inbox.push({ error }));
  return inbox.find((item) => item === true, 'subscription');
}

// toldOf is what webhooks have told of a channel so far.
function toldOf(channel) {
  const told = hooks.events.items.filter((event) => event.channel === channel);
  return told.map(({ name, user_id: user }) => (user ? [name, user] : [name]));
}

suite('laravel-echo', () => {
  test('listen on a public channel, with Laravel\'s event names', async () => {
    const name = fresh('orders-');
    const heard = new Inbox('heard');
    const channel = connect('ida').channel(name)
      .listen('OrderShipped', (data) => heard.push(['OrderShipped', data]))
      .listen('.custom.name', (data) => heard.push(['.custom.name', data]));
    await subscribed(channel);
    await world.pusher.trigger(name, 'App\\Events\\OrderShipped', { id: 7 });
    await world.pusher.trigger(name, 'custom.name', { id: 8 });
    await heard.count(2, () => true, 'event');
    assert.deepEqual(heard.items, [['OrderShipped', { id: 7 }], ['.custom.name', { id: 8 }]]);
  });

  test('listen on a private and on an encrypted channel', async () => {
    const [plain, sealed] = [fresh('orders-'), fresh('orders-')];
    const echo = connect('ida');
    const heard = new Inbox('heard');
    const joined = [
      echo.private(plain).listen('.placed', (data) => heard.push(data)),
      echo.encryptedPrivate(sealed).listen('.placed', (data) => heard.push(data)),
    ].map(subscribed);
    await Promise.all(joined);
    await world.pusher.trigger(`private-${plain}`, 'placed', { id: 1 });
    await world.pusher.trigger(`private-encrypted-${sealed}`, 'placed', { id: 2 });
    const got = await heard.count(2, () => true, 'event');
    assert.deepEqual(got.sort((a, b) => a.id - b.id), [{ id: 1 }, { id: 2 }]);
  });

  test('presence: here, joining, leaving', async () => {
    const name = fresh('lobby-');
    const seen = new Inbox('presence');
    const [ida, bo] = [connect('ida'), connect('bo')];
    ida.join(name)
      .here((users) => seen.push({ here: users }))
      .joining((user) => seen.push({ joining: user }))
      .leaving((user) => seen.push({ leaving: user }));
    await seen.find((item) => item.here, 'here');
    const seenByBo = new Inbox('presence of bo');
    bo.join(name).here((users) => seenByBo.push(users));
    await seen.find((item) => item.joining, 'joining');
    bo.leave(name);
    await seen.find((item) => item.leaving, 'leaving');
    assert.deepEqual(seen.items, [{ here: [{ name: 'ida' }] }, { joining: { name: 'bo' } }, { leaving: { name: 'bo' } }]);
    const [users] = seenByBo.items;
    assert.deepEqual(users.map((user) => user.name).sort(), ['bo', 'ida']);

    await hooks.event('member_removed', { channel: `presence-${name}`, user_id: 'bo' });
    assert.deepEqual(toldOf(`presence-${name}`), [['channel_occupied'], ['member_added', 'ida'], ['member_added', 'bo'], ['member_removed', 'bo']]);
  });

  test('who leaves a presence channel and comes back within the grace is not told of again', async () => {
    const name = fresh('lobby-');
    const seen = new Inbox('presence');
    const [ida, bo] = [connect('ida'), connect('bo')];
    const joined = subscribed(ida.join(name).joining(() => seen.push('joining')).leaving(() => seen.push('leaving')));
    await joined;
    await subscribed(bo.join(name));
    await seen.find((item) => item === 'joining', 'joining');
    bo.leave(name);
    const back = subscribed(bo.join(name)); // at once, so that no grace ends in between
    await seen.find((item) => item === 'leaving', 'leaving');
    await back;
    await seen.count(2, (item) => item === 'joining', 'joining');
    bo.leave(name);
    await hooks.event('member_removed', { channel: `presence-${name}`, user_id: 'bo' });
    ida.leave(name);
    await hooks.event('channel_vacated', { channel: `presence-${name}` });
    assert.deepEqual(toldOf(`presence-${name}`), [
      ['channel_occupied'], ['member_added', 'ida'], ['member_added', 'bo'], ['member_removed', 'bo'], ['member_removed', 'ida'],
      ['channel_vacated'],
    ]);
  });

  test('whispers reach the others and not the whisperer', async () => {
    const name = fresh('room-');
    const heard = { ida: new Inbox('ida'), bo: new Inbox('bo') };
    const channels = {};
    for (const user of ['ida', 'bo']) {
      channels[user] = connect(user).private(name)
        .listenForWhisper('typing', (data) => heard[user].push(data))
        .listen('.fence', () => heard[user].push('fence'));
      await subscribed(channels[user]);
    }
    channels.ida.whisper('typing', { name: 'Ida' });
    await heard.bo.find((item) => item.name === 'Ida', 'whisper');
    await world.pusher.trigger(`private-${name}`, 'fence', {});
    await heard.ida.find((item) => item === 'fence', 'fence');
    assert.deepEqual(heard.ida.items, ['fence']);
    const { event, data } = await hooks.event('client_event', { channel: `private-${name}` });
    assert.deepEqual([event, data], ['client-typing', '{"name":"Ida"}']);
  });

  test('a refused subscription reaches error()', async () => {
    const errors = new Inbox('errors');
    connect('ida').private(fresh('forged-')).error((error) => errors.push(error));
    assert.equal((await errors.find(() => true, 'error')).status, 401);
  });
});
