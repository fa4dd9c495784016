// Every kind of webhook event, alone and batched, as the server libraries for Node and Go parse it
// themselves, with and without a master key. What the others demand is a table of package webhook/outbox.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Backend, serverLibrary } from '../support/backend.js';
import { GoLibrary } from '../support/golibrary.js';
import { Hooks } from '../support/hooks.js';
import { Millrace } from '../support/millrace.js';
import { Subscriber } from '../support/subscriber.js';
import { fresh } from '../support/world.js';

const app = { id: '4711', key: 'shop-key', secret: 'the-secret-of-the-shop' };
const kinds = [
  'channel_occupied', 'channel_vacated', 'member_added', 'member_removed', 'client_event',
  'cache_miss', 'subscription_count', 'user_online', 'user_offline',
];
const deliveries = {
  alone: 'batching = "off"',
  batched: 'batch_duration = "400ms"',
  'without encrypted channels': 'batch_duration = "400ms"\nchannel_exclude = ["private-encrypted-"]',
};
const names = {
  plain: fresh('prices-'),
  private: fresh('private-x-'),
  cache: fresh('cache-x-'),
  encrypted: fresh('private-encrypted-x-'),
  presence: fresh('presence-x-'),
  numbered: fresh('presence-numbered-'),
};
const user = fresh('u-');
const hasEncrypted = (delivery) => delivery !== 'without encrypted channels';
const isEncrypted = ({ channel }) => channel.startsWith('private-encrypted-');

const hooks = {};
const read = {}; // by delivery: the requests, with their bodies
let server;
let backend;

before(async () => {
  for (const delivery of Object.keys(deliveries)) hooks[delivery] = await Hooks.start();
  const webhooks = Object.entries(deliveries).map(([delivery, settings]) => `
[[apps.webhooks]]
id = "${delivery}"
url = "${hooks[delivery].url}"
event_types = ${JSON.stringify(kinds)}
${settings}`);
  server = await Millrace.configured(`
[webhooks]
grace = "100ms"
user_grace = "100ms"
[[apps]]
id = "${app.id}"
key = "${app.key}"
secret = "${app.secret}"
client_events = true
sign_in = true
${webhooks.join('')}
`, app);
  for (const hook of Object.values(hooks)) hook.library = serverLibrary(server);
  backend = await Backend.start(server);
  // As PHP and Laravel sign a user whose id is a number.
  backend.withoutMember.add(names.numbered);
  backend.channelData[names.numbered] = { user_id: 7 };
  await bringAboutEveryKind();
  for (const [delivery, hook] of Object.entries(hooks)) {
    await everythingIn(hook, Object.values(names).filter((channel) => hasEncrypted(delivery) || !isEncrypted({ channel })));
    read[delivery] = hook.requests.items.map((request) => ({ ...request, body: JSON.parse(request.rawBody) }));
  }
});
after(async () => {
  await server?.stop();
  await backend?.stop();
  for (const hook of Object.values(hooks)) await hook.stop();
});

async function bringAboutEveryKind() {
  const client = await Subscriber.connect(server, backend, { user });
  await client.signIn();
  const joined = Object.fromEntries(await Promise.all(
    Object.entries(names).map(async ([kind, name]) => [kind, await client.join(name)]),
  ));
  for (const data of [{ where: 'here' }, 'as it is', '{"text":"é"}', 7]) {
    assert.ok(joined.presence.channel.trigger('client-typing', data));
    assert.ok(joined.private.channel.trigger('client-typing', data));
  }
  await hooks.alone.events.count(8, ({ name }) => name === 'client_event', 'client_event');
  client.close();
}

// everythingIn resolves when the last event of each of the channels and of the user has come.
async function everythingIn(hook, channels) {
  for (const channel of channels) {
    await hook.event('channel_vacated', { channel });
    if (channel.startsWith('presence-')) await hook.event('member_removed', { channel });
    else await hook.event('subscription_count', { channel, subscription_count: 0 });
  }
  await hook.event('user_offline');
}

// byNameAndChannel sorts events, since there is no order between channels.
function byNameAndChannel(events) {
  return events.map((event) => JSON.stringify(event)).sort();
}

// forGo is an event as the Go library shows it: the members that it knows, without empty ones.
function forGo({ name, channel, event, data, socket_id: socketId, user_id: userId }) {
  const all = { name, channel, event, data, socket_id: socketId, user_id: userId };
  return Object.fromEntries(Object.entries(all).filter(([key, value]) => ['name', 'channel'].includes(key) || value));
}

for (const delivery of Object.keys(deliveries)) {
  suite(`webhooks ${delivery}`, () => {
    test('hold every kind of event, in requests of the size that was asked for', () => {
      const events = read[delivery].flatMap(({ body }) => body.events);
      assert.deepEqual([...new Set(events.map(({ name }) => name))].sort(), [...kinds].sort());
      assert.equal(events.some(isEncrypted), hasEncrypted(delivery));
      const sizes = read[delivery].map(({ body }) => body.events.length);
      if (delivery === 'alone') assert.deepEqual([...new Set(sizes)], [1]);
      else assert.ok(Math.max(...sizes) > 5, `sizes ${sizes}`);
    });

    test('client events carry the text that the client sent, or the JSON of it', () => {
      const sent = read[delivery].flatMap(({ body }) => body.events).filter(({ name }) => name === 'client_event');
      for (const channel of [names.presence, names.private]) {
        assert.deepEqual(
          sent.filter((event) => event.channel === channel).map(({ data }) => data),
          ['{"where":"here"}', 'as it is', '{"text":"é"}', '7'],
        );
      }
    });

    test('a user is text, however the application wrote it', () => {
      const of = read[delivery].flatMap(({ body }) => body.events).filter(({ channel }) => channel === names.numbered);
      assert.deepEqual(of.filter((event) => 'user_id' in event).map(({ name, user_id: id }) => [name, id]), [['member_added', '7'], ['member_removed', '7']]);
    });

    for (const [withKey, key] of [['with', undefined], ['without', '']]) {
      test(`are read by the Node library ${withKey} a master key`, () => {
        const library = serverLibrary(server, key === '' ? { encryptionMasterKeyBase64: undefined } : {});
        for (const { headers, rawBody, body } of read[delivery]) {
          const webhook = library.webhook({ headers, rawBody });
          assert.ok(webhook.isValid(), rawBody);
          assert.deepEqual(webhook.getEvents(), body.events);
          assert.equal(webhook.getTime().getTime(), body.time_ms);
        }
      });

      // It cannot read events of encrypted channels, which have nothing to decrypt, so the
      // requests with them are theirs alone.
      test(`are read by the Go library ${withKey} a master key`, async () => {
        const library = new GoLibrary(server, key === '' ? { key } : {});
        const got = [];
        for (const request of read[delivery]) {
          const { time_ms: time, events } = request.body;
          if (events.every(isEncrypted)) {
            await assert.rejects(library.webhook(request), key === '' ? /master encryption key/ : /decrypt/);
            continue;
          }
          const webhook = await library.webhook(request).catch((error) => assert.fail(`${error.message}: ${request.rawBody}`));
          assert.equal(webhook.time_ms, time);
          got.push(...webhook.events);
        }
        await library.stop();
        const want = read[delivery].flatMap(({ body }) => body.events).filter((event) => !isEncrypted(event));
        assert.deepEqual(byNameAndChannel(got), byNameAndChannel(want.map(forGo)));
      });
    }
  });
}
