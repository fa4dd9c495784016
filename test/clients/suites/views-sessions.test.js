// hyperstack-typescript with session tokens: minting, refresh, revocation, limits; and with a
// server that goes away.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { definitions, Feed, metric, Viewer } from '../support/table.js';
import { Inbox, within } from '../support/deadline.js';
import { Millrace } from '../support/millrace.js';

const binary = process.env.SERVER_BIN ?? fileURLToPath(new URL('../../../bin/millrace', import.meta.url));
const app = { id: 'shop', key: 'shop-key', secret: 'shop-secret-of-16-bytes' };
const run = promisify(execFile);

// secured is a server whose views need a session token, minted by its own endpoint.
async function secured() {
  const { stdout } = await run(binary, ['token', 'generate-key', '--json']);
  const { signing_key: signing, public_key: verifying } = JSON.parse(stdout);
  const server = await Millrace.configured(`
[[apps]]
id = "${app.id}"
key = "${app.key}"
secret = "${app.secret}"

[apps.views]
auth = "session"
issuer = "millrace-auth"
audience = "auctions"
public_keys = ["${verifying}"]
signing_key = "${signing}"
publishable_keys = ["pk-demo"]

[[apps.views.access]]
views = "*"
access = "token"
`, app);
  server.signingKey = signing;
  return server;
}

// tokens is a token endpoint of an application: it asks the server's own one and counts.
async function tokens(server, ttl = 300, ...limits) {
  const minted = new Inbox('minted tokens');
  const http = createServer(async (request, response) => {
    const { stdout } = await run(binary, [
      'token', 'mint', '--signing-key', server.signingKey, '--issuer', 'millrace-auth', '--audience', 'auctions', '--sub', 'user:17',
      '--ttl', `${ttl}s`, '--json', ...limits,
    ]);
    const answer = JSON.parse(stdout);
    minted.push(answer);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return { minted, url: `http://127.0.0.1:${http.address().port}/`, stop: () => http.close() };
}

function claims(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
}

suite('sessions', { concurrency: true }, () => {
  test('the server mints for the client, which connects, reads and writes nothing it may not', async (t) => {
    const server = await secured();
    t.after(() => server.stop());
    const feed = new Feed(server);
    await feed.patch('a', { title: 'A' });
    const viewer = await Viewer.connect(server, { auth: { tokenEndpoint: `${server.url}/ws/sessions`, publishableKey: 'pk-demo' } });
    t.after(() => viewer.close());
    viewer.watch('Auction/list');
    await viewer.snapshot('Auction/list');
    assert.deepEqual(viewer.rows('Auction/list'), [{ title: 'A' }]);
    await assert.rejects(Viewer.connect(server, { auth: { tokenEndpoint: `${server.url}/ws/sessions`, publishableKey: 'pk-wrong' } }),
      ({ code }) => code === 'INVALID_API_KEY');
    await assert.rejects(Viewer.connect(server), /WebSocket/, 'without a token the handshake is refused');
    const jwks = await (await fetch(`${server.url}/.well-known/jwks.json`)).json();
    assert.equal(jwks.keys[0].kty, 'OKP');
    assert.equal(jwks.keys[0].x.length, 43);
  });

  test('K03 a token of 62 s is refreshed in band, and the socket stays', async (t) => {
    const server = await secured();
    t.after(() => server.stop());
    const feed = new Feed(server);
    const endpoint = await tokens(server, 62);
    t.after(() => endpoint.stop());
    const viewer = await Viewer.connect(server, { auth: { tokenEndpoint: endpoint.url } });
    t.after(() => viewer.close());
    viewer.watch('Auction/list');
    await viewer.snapshot('Auction/list');
    await endpoint.minted.count(3, () => true, 'minted token');
    await viewer.seen('Auction/list', await feed.patch('a', { n: 1 }));
    assert.equal(await metric(server, 'millrace_session_connections_opened_total'), 1);
    assert.ok(viewer.states.items.every(({ state }) => state === 'connecting' || state === 'connected'), JSON.stringify(viewer.states.items));
  });

  test('K04 R14 a revoked session ends at once and comes back with a new token', async (t) => {
    const server = await secured();
    t.after(() => server.stop());
    const feed = new Feed(server);
    const endpoint = await tokens(server);
    t.after(() => endpoint.stop());
    const viewer = await Viewer.connect(server, { auth: { tokenEndpoint: endpoint.url } });
    t.after(() => viewer.close());
    viewer.watch('Auction/list');
    await viewer.snapshot('Auction/list');
    const [from, seen] = [viewer.states.items.length, viewer.frames.items.length];
    await feed.revoke(claims(endpoint.minted.items[0].token).jti);
    await viewer.connected(from);
    await viewer.snapshot('Auction/list', seen); // from now on changes come as such
    assert.equal(endpoint.minted.items.length, 2);
    await viewer.seen('Auction/list', await feed.patch('b', { n: 2 }));
  });

  test('K06 a client over its message budget is told, closed, and stays away', async (t) => {
    const server = await secured();
    t.after(() => server.stop());
    const endpoint = await tokens(server, 300, '--max-messages', '3');
    t.after(() => endpoint.stop());
    const viewer = await Viewer.connect(server, { auth: { tokenEndpoint: endpoint.url } });
    t.after(() => viewer.close());
    for (let i = 0; i < 4; i++) viewer.watch('Auction/state', { key: `k${i}` });
    const issue = await viewer.issues.find(({ fatal }) => fatal, 'a fatal issue');
    assert.equal(issue.code, 'RATE_LIMIT_EXCEEDED');
    await viewer.states.find(({ state }) => state === 'error', 'state "error"');
  });

  test('K07 C22 one subscription too many is refused, the others go on', async (t) => {
    const server = await secured();
    t.after(() => server.stop());
    const feed = new Feed(server);
    const endpoint = await tokens(server, 300, '--max-subscriptions', '2');
    t.after(() => endpoint.stop());
    const viewer = await Viewer.connect(server, { auth: { tokenEndpoint: endpoint.url } });
    t.after(() => viewer.close());
    viewer.watch('Auction/list');
    viewer.watch('Auction/state', { key: 'a' });
    viewer.watch('Auction/append');
    const issue = await viewer.issues.find(() => true, 'an issue');
    assert.deepEqual([issue.code, issue.fatal, issue.retryable], ['SUBSCRIPTION_LIMIT_EXCEEDED', false, true]);
    await viewer.seen('Auction/list', await feed.patch('a', { n: 1 }));
  });
});

suite('a server that goes away', { concurrency: true }, () => {
  for (const [how, end] of [['kill -9', (server) => server.kill()], ['SIGTERM', (server) => server.stop()]]) {
    test(`S10 ${how}: nothing that was acknowledged is lost, and clients catch up`, async (t) => {
      const server = await Millrace.start();
      t.after(() => server.stop());
      const feed = new Feed(server);
      for (const definition of definitions) await feed.define(definition);
      const viewer = await Viewer.connect(server);
      t.after(() => viewer.close());
      viewer.watch('Auction/list');
      viewer.watch('Auction/top');
      await viewer.snapshot('Auction/list');

      const acknowledged = new Map();
      let stopped = false;
      const writer = (async () => {
        for (let i = 0; !stopped; i++) {
          const key = `lot-${i % 40}`;
          try {
            acknowledged.set(key, await feed.patch(key, { n: i, bid: { amount: i } }));
          } catch {
            return; // the server is gone: this one may or may not have been stored
          }
        }
      })();
      await viewer.frames.count(200, (f) => f.entity === 'Auction/list' && f.op === 'patch', 'patch');
      const from = viewer.states.items.length;
      await end(server);
      stopped = true;
      await within(writer, 'end of the writer');
      const seen = viewer.frames.items.length;
      await server.start();
      await viewer.connected(from);
      await viewer.snapshot('Auction/list', seen); // from now on changes come as such
      await viewer.snapshot('Auction/top', seen);

      const last = await feed.patch('fence', { n: 0 });
      await viewer.seen('Auction/list', last);
      const { rows } = await feed.read('Auction/list', { take: 1000 });
      const stored = new Map(rows.map(({ key, data }) => [key, data]));
      for (const [key, seq] of acknowledged) assert.ok(stored.get(key)._seq >= seq, `${key} is older than acknowledged`);
      assert.ok(rows.every(({ data }) => data._seq <= last), '_seq never goes back');
      for (const [key, data] of stored) assert.deepEqual(viewer.store.get('Auction/list', key), data);
      const top = await feed.read('Auction/top');
      for (const { key, data } of top.rows) assert.deepEqual(viewer.store.get('Auction/top', key), data);
    });
  }
});
