// pusher-js 8 and `pusher` 5 in Node: users, their events, watchlists and the end of their connections.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { fresh, World } from '../support/world.js';

let world;
before(async () => { world = await World.start(); });
after(() => world?.stop());

async function signedIn(user, watchlist) {
  const client = await world.client({ user, watchlist });
  await client.signIn();
  return client;
}

const sees = (client, name, id, from = 0) => client.watched.find(
  (event) => event.name === name && event.user_ids.includes(id), `${id} ${name}`, { from },
);

suite('users', () => {
  test('sendToUser reaches every connection of the user and nobody else', async () => {
    const id = fresh('u-');
    const [a, b, other] = await Promise.all([signedIn(id), signedIn(id), signedIn(fresh('u-'))]);
    assert.equal(a.pusher.user.user_data.id, id);
    const bound = new Promise((resolve) => { a.pusher.user.bind('offer', resolve); });
    await world.pusher.sendToUser(id, 'offer', { price: 7 });
    await world.pusher.sendToUser(id, 'fence', {});
    await world.pusher.sendToUser(other.pusher.user.user_data.id, 'fence', {});
    assert.deepEqual(await bound, { price: 7 });
    const fence = ({ event }) => event === 'fence';
    await Promise.all([a, b, other].map((client) => client.userEvents.find(fence, 'fence')));
    const offers = (client) => client.userEvents.items.filter(({ event }) => event === 'offer');
    assert.deepEqual([a, b, other].map((client) => offers(client).length), [1, 1, 0]);
  });

  test('a forged sign-in ends the connection for good', async () => {
    const client = await world.client({ user: fresh('u-forged-') });
    client.pusher.signin();
    const { error } = await client.errors.find((item) => item.error?.data?.code === 4009, 'error 4009');
    assert.equal(error.data.code, 4009);
    await client.states.find((state) => state === 'disconnected', 'state "disconnected"');
  });

  test('terminateUserConnections ends all connections of the user and no others', async () => {
    const id = fresh('u-');
    const [a, b, other] = await Promise.all([signedIn(id), signedIn(id), signedIn(fresh('u-'))]);
    const answer = await world.pusher.terminateUserConnections(id);
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), {});
    await Promise.all([a, b].map((client) => client.states.find((state) => state === 'disconnected', 'state "disconnected"')));
    await world.pusher.sendToUser(other.pusher.user.user_data.id, 'still-here', {});
    await other.userEvents.find(({ event }) => event === 'still-here', 'still-here');
    assert.equal((await world.pusher.terminateUserConnections(fresh('u-'))).status, 200, 'nobody need be there');
  });

  test('a user whose id has a slash gets its events and is terminated', async () => {
    const id = `${fresh('google-oauth2:u-')}/1`;
    const client = await signedIn(id);
    const other = await signedIn(id.slice(0, id.indexOf('/')));
    await world.pusher.sendToUser(id, 'offer', { price: 7 });
    await client.userEvents.find(({ event }) => event === 'offer', 'offer');
    assert.deepEqual(await (await world.pusher.terminateUserConnections(id)).json(), {});
    await client.closedFor(4009);
    await world.pusher.sendToUser(other.pusher.user.user_data.id, 'still-here', {});
    await other.userEvents.find(({ event }) => event === 'still-here', 'still-here');
  });

  // The library signs the path as it is given, and the URL parser encodes it afterwards.
  for (const start of ['auth0|', 'a b+', 'é"<>^`{}', '%', '#', '?', '=&']) {
    test(`a user whose id begins with ${start} gets its events and is terminated`, async () => {
      const id = fresh(start);
      const client = await signedIn(id);
      await world.pusher.sendToUser(id, 'offer', { price: 7 });
      await client.userEvents.find(({ event }) => event === 'offer', 'offer');
      const named = /[%#?]/.test(id) ? encodeURIComponent(id) : id;
      assert.deepEqual(await (await world.pusher.terminateUserConnections(named)).json(), {});
      await client.closedFor(4009);
    });
  }

  test('a signed-in user joins a presence channel as itself, without channel_data', async () => {
    const id = fresh('u-');
    const client = await world.client({ user: id, name: 'Ida' });
    await client.signIn();
    const name = fresh('presence-mine-');
    world.backend.withoutMember.add(name);
    const { channel } = await client.join(name);
    assert.deepEqual(channel.members.me, { id, info: { name: 'Ida' } });
  });
});

suite('ids that are numbers', () => {
  test('pusher-js finds members by them, its own too, and hears of those who come and go', async () => {
    world.backend.numbers = new Set(['17', '42']);
    const name = fresh('presence-numbers-');
    const here = await world.client({ user: '17', name: 'Ida' });
    const { channel, inbox } = await here.join(name);
    assert.deepEqual(channel.members.me, { id: 17, info: { name: 'Ida' } });

    const comer = await world.client({ user: '42', name: 'Bo' });
    const joined = await comer.join(name);
    assert.equal(joined.channel.members.count, 2);
    assert.deepEqual(joined.channel.members.get(17), { id: 17, info: { name: 'Ida' } });
    const { data: added } = await inbox.find(({ event }) => event === 'pusher:member_added', 'member_added');
    assert.deepEqual(added, { id: 42, info: { name: 'Bo' } });
    assert.deepEqual(channel.members.get(42), added);

    const typing = joined.next('client-typing');
    assert.ok(channel.trigger('client-typing', {}));
    assert.deepEqual((await typing).meta, { user_id: 17 });

    const answer = await world.pusher.get({ path: `/channels/${name}/users` });
    assert.deepEqual(await answer.json(), { users: [{ id: '17' }, { id: '42' }] });

    comer.close();
    const { data: removed } = await inbox.find(({ event }) => event === 'pusher:member_removed', 'member_removed');
    assert.deepEqual(removed, { id: 42, info: { name: 'Bo' } });
    assert.equal(channel.members.count, 1);
    assert.equal(channel.members.get(42), null);
  });
});

suite('watchlists', () => {
  test('who watches is told who is there, then who comes and who goes', async () => {
    const [here, away] = [fresh('u-'), fresh('u-')];
    const first = await signedIn(here);
    const watcher = await signedIn(fresh('u-'), [here, away]);
    assert.deepEqual(await sees(watcher, 'online', here), { name: 'online', user_ids: [here] });
    assert.deepEqual(await sees(watcher, 'offline', away), { name: 'offline', user_ids: [away] });

    const came = await signedIn(away);
    await sees(watcher, 'online', away);
    const twin = await signedIn(away);
    came.close();
    twin.close();
    await sees(watcher, 'offline', away, 3);
    first.close();
    await sees(watcher, 'offline', here);
    assert.deepEqual(watcher.watched.items.map((event) => [event.name, ...event.user_ids]), [
      ['online', here], ['offline', away], ['online', away], ['offline', away], ['offline', here],
    ]);
  });

  test('after a reconnect the state is told anew', async () => {
    const here = fresh('u-');
    await signedIn(here);
    const watcher = await signedIn(fresh('u-'), [here]);
    await sees(watcher, 'online', here);
    const [seen, states] = [watcher.watched.items.length, watcher.states.items.length];
    watcher.pusher.disconnect();
    watcher.pusher.connect();
    await watcher.connected({ from: states });
    await sees(watcher, 'online', here, seen);
  });
});
