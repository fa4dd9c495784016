// Our client of Protocol V2 in its three formats, beside pusher-js in the same channels.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Inbox } from '../support/deadline.js';
import { codecs, named, reported, V2Client } from '../support/v2.js';
import { fresh, World } from '../support/world.js';

let world;
const clients = [];
before(async () => {
  world = await World.start({ MILLRACE_EVENT_FILTERS_SHOW_TAGS: 'true' });
});
after(async () => {
  clients.forEach((client) => client.close());
  await world?.stop();
});

function connect(options) {
  const client = new V2Client(world.server, world.backend, options);
  clients.push(client);
  return client;
}

// publish is the request of an event with members that the server library does not know.
function publish(channel, name, data, more) {
  return world.pusher.post({ path: '/events', body: { channel, name, data: JSON.stringify(data), ...more } });
}

for (const codec of codecs) {
  suite(`V2 in ${codec?.format ?? 'json'}`, () => {
    test('an event reaches clients of both protocols; extras and tags those of V2', async () => {
      const channel = fresh('prices-');
      const [here, there] = [await connect({ codec }).joined(channel), await (await world.client()).join(channel)];
      const other = there.event('tick');
      const extras = { headers: { source: 'desk', n: 5, exact: 1.5, final: true } };
      const answer = await publish(channel, 'tick', { text: 'a € 😀' }, { extras, tags: { region: 'eu' } });
      assert.equal(answer.status, 200);
      const message = await named(here, 'tick');
      assert.deepEqual([message.channel, message.data, message.extras, message.tags], [channel, { text: 'a € 😀' }, extras, { region: 'eu' }]);
      assert.deepEqual((await other).data, { text: 'a € 😀' });
    });

    test('a filter by event names is carried out by the server', async () => {
      const joined = await connect({ codec }).joined(fresh('orders-'), { filter: { events: ['placed', 'end'] } });
      const { channel } = joined.subscription;
      for (const event of ['placed', 'viewed', 'end']) await publish(channel, event, 1);
      await named(joined, 'end');
      assert.deepEqual(joined.messages.items.map(({ event }) => event), ['placed', 'end']);
      joined.subscription.setFilter(undefined);
      await joined.reports.count(2, ({ report }) => report === 'subscribed', 'subscribed');
      await publish(channel, 'viewed', 2);
      assert.equal((await named(joined, 'viewed')).data, 2);
    });

    test('a signed channel is joined, a forged signature refused, and so is a bad name', async () => {
      const client = connect({ codec });
      await client.joined(fresh('private-a-'));
      await assert.rejects(client.joined(fresh('private-forged-')), { code: 4009 });
      await assert.rejects(client.joined(fresh('a b')), { code: 4300 });
      assert.equal(client.client.state, 'connected');
    });

    test('presence: members of both protocols see each other', async () => {
      const channel = fresh('presence-lobby-');
      const ida = await connect({ codec, user: 'ida' }).joined(channel);
      assert.deepEqual([ida.subscription.members.me, [...ida.subscription.members.all]], ['ida', [['ida', { name: 'ida' }]]]);
      const other = await world.client({ user: 'bo' });
      await other.join(channel);
      assert.deepEqual(await reported(ida, 'member_added'), { id: 'bo', info: { name: 'bo' } });
      const al = connect({ codec, user: 'al' });
      const joined = await al.joined(channel);
      assert.deepEqual([...joined.subscription.members.all.keys()].sort(), ['al', 'bo', 'ida']);
      other.close();
      assert.equal((await reported(ida, 'member_removed')).id, 'bo');
      joined.subscription.unsubscribe();
      await ida.reports.find(({ report, value }) => report === 'member_removed' && value.id === 'al', 'al leaving');
      assert.deepEqual([...ida.subscription.members.all.keys()], ['ida']);
    });

    test('client events come back to their sender unless it says otherwise', async () => {
      const channel = fresh('presence-room-');
      const [sender, quiet] = [await connect({ codec, user: 'ida' }).joined(channel), await connect({ codec, user: 'bo', echo: false }).joined(channel)];
      quiet.subscription.send('client-quiet', { n: 1 });
      quiet.subscription.send('client-loud', 'text', { echo: true });
      await named(sender, 'client-loud');
      sender.subscription.send('client-end', [1, null, '2'], { headers: { x: 'y' } });
      await Promise.all([sender, quiet].map((joined) => named(joined, 'client-end')));
      const brief = ({ messages }) => messages.items.map(({ event, data, user_id }) => [event, data, user_id]);
      const loud = ['client-loud', 'text', 'bo'];
      const end = ['client-end', [1, null, '2'], 'ida'];
      assert.deepEqual(brief(quiet), [loud, end]);
      assert.deepEqual(brief(sender), [['client-quiet', { n: 1 }, 'bo'], loud, end]);
      assert.deepEqual((await named(quiet, 'client-end')).extras.headers, { x: 'y' });
    });

    test('a user signs in, gets its events, and is told who is online', async () => {
      const [id, friend] = [fresh('u-'), fresh('u-')];
      const client = connect({ codec, user: id, watchlist: [friend] });
      const watched = new Inbox('watched users');
      for (const state of ['online', 'offline']) client.client.on(state, (ids) => watched.push([state, ...ids]));
      assert.equal((await client.client.signIn()).id, id);
      const mailbox = await client.joined(`#server-to-user-${id}`);
      await world.pusher.sendToUser(id, 'mail', { n: 1 });
      assert.deepEqual((await named(mailbox, 'mail')).data, { n: 1 });
      const other = connect({ codec, user: friend });
      await other.client.signIn();
      await watched.find(([state]) => state === 'online', 'friend online');
      other.close();
      await watched.count(2, ([state]) => state === 'offline', 'friend offline');
      assert.deepEqual(watched.items, [['offline', friend], ['online', friend], ['offline', friend]]);
    });

    test('a cache channel has nothing, then the last event', async () => {
      const channel = fresh('cache-fx-');
      await reported(await connect({ codec }).joined(channel), 'cache_miss');
      await publish(channel, 'rate', { eurusd: 1.08 });
      assert.deepEqual((await named(await connect({ codec }).joined(channel), 'rate')).data, { eurusd: 1.08 });
    });
  });
}

suite('V2 and its server', () => {
  test('an unknown key ends the connection for good', async () => {
    const client = connect({ key: 'no-such-key' });
    const { reason } = await client.states.find(({ state }) => state === 'stopped', 'state "stopped"');
    assert.equal(reason.code, 4001);
  });

  test('after a restart clients sign in and subscribe again, and are told of the gap', async () => {
    const id = fresh('u-');
    const client = connect({ user: id });
    await client.client.signIn();
    const [orders, lobby] = [await client.joined(fresh('orders-')), await client.joined(fresh('presence-lobby-'))];
    await world.server.stop();
    await client.states.find(({ state }) => state === 'waiting', 'state "waiting"');
    await world.server.start();
    assert.equal((await reported(orders, 'gap')).code, 'no_position');
    await lobby.reports.count(2, ({ report }) => report === 'subscribed', 'subscribed');
    assert.deepEqual([...lobby.subscription.members.all.keys()], [id]);
    assert.equal(client.client.user.id, id);
    await publish(orders.subscription.channel, 'placed', 1);
    assert.equal((await named(orders, 'placed')).data, 1);
  });
});
