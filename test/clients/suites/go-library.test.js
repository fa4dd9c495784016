// The official Go server library, pusher-http-go 5: what it publishes, asks for and signs.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Backend } from '../support/backend.js';
import { GoLibrary } from '../support/golibrary.js';
import { Millrace } from '../support/millrace.js';
import { Subscriber } from '../support/subscriber.js';
import { fresh } from '../support/world.js';

// The library takes no app id in a URL but a numeric one.
const app = { id: '4711', key: 'go-key', secret: 'the-secret-of-the-go-library' };

let server;
let library;
let backend;
const clients = [];

before(async () => {
  server = await Millrace.configured(`
[[apps]]
id = "${app.id}"
key = "${app.key}"
secret = "${app.secret}"
sign_in = true
`, app);
  library = new GoLibrary(server);
  backend = await Backend.start(server, { signer: library });
});
after(async () => {
  clients.forEach((client) => client.close());
  await backend?.stop();
  await library?.stop();
  await server?.stop();
});

async function connect(options) {
  const client = await Subscriber.connect(server, backend, options);
  clients.push(client);
  return client;
}

suite('publishing with the Go library', () => {
  test('to several channels, with a socket id and counts', async () => {
    const [me, other] = [await connect(), await connect({ user: 'ida' })];
    const [plain, presence] = [fresh('a-'), fresh('presence-')];
    const [mine, others, members] = [await me.join(plain), await other.join(plain), await other.join(presence)];
    assert.deepEqual(
      await library.call('trigger', { channels: [plain, presence], event: 'item', data: { text: 'é/"<&' }, socket_id: me.socketId, info: 'user_count,subscription_count' }),
      { channels: { [plain]: { subscription_count: 2 }, [presence]: { user_count: 1, subscription_count: 1 } } },
    );
    assert.deepEqual((await others.event('item')).data, { text: 'é/"<&' });
    assert.deepEqual((await members.event('item')).data, { text: 'é/"<&' });
    await library.call('trigger', { channels: [plain], event: 'fence', data: 'as it is' });
    assert.equal((await mine.event('fence')).data, 'as it is');
    assert.deepEqual(mine.named('item'), []);
  });

  test('a batch, with and without counts', async () => {
    const client = await connect({ user: 'ida' });
    const [plain, presence] = [fresh('b-'), fresh('presence-')];
    const [inPlain, inPresence] = [await client.join(plain), await client.join(presence)];
    const batch = [{ channel: plain, name: 'one', data: 1 }, { channel: presence, name: 'two', data: [2] }];
    assert.deepEqual(await library.call('triggerBatch', { batch }), { batch: null });
    assert.equal((await inPlain.event('one')).data, 1);
    assert.deepEqual((await inPresence.event('two')).data, [2]);
    batch[1].info = 'user_count';
    assert.deepEqual(await library.call('triggerBatch', { batch }), { batch: [{}, { user_count: 1 }] });
  });

  test('an encrypted channel, which the library authorizes', async () => {
    const name = fresh('private-encrypted-');
    const channel = await (await connect()).join(name);
    await library.call('trigger', { channels: [name], event: 'item', data: { text: 'mill' } });
    assert.deepEqual((await channel.event('item')).data, { text: 'mill' });
  });

  test('a user who has signed in with what the library signed', async () => {
    const user = fresh('auth0|');
    const client = await connect({ user });
    await client.signIn();
    await library.call('sendToUser', { user, event: 'note', data: { n: 1 } });
    assert.deepEqual((await client.userEvents.find(({ event }) => event === 'note', 'note')).data, { n: 1 });
  });

  test('what is refused is an error that says why', async () => {
    await assert.rejects(library.call('trigger', { channels: ['pusher,reserved'], event: 'pusher:item', data: 1 }), /Status Code: 400 - .*pusher/);
  });
});

suite('asking with the Go library', () => {
  test('channels, one channel and its users', async () => {
    const name = fresh('presence-ask-');
    await (await connect({ user: 'bo' })).join(name);
    assert.deepEqual(await library.call('channels', { prefix: name, info: 'user_count' }), { channels: { [name]: { user_count: 1 } } });
    assert.ok(name in (await library.call('channels')).channels);
    assert.deepEqual(await library.call('channel', { channel: name, info: 'user_count,subscription_count' }), {
      Name: name, occupied: true, user_count: 1, subscription_count: 1,
    });
    assert.deepEqual(await library.call('users', { channel: name }), { users: [{ id: 'bo' }] });
  });
});
