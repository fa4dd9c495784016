// The guide to session tokens, from its configuration to its page, in Chromium: what is tested is
// what stands in docs/views.md.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { launch } from '../support/chromium.js';
import { Inbox } from '../support/deadline.js';
import { examples, fill } from '../support/guide.js';
import { Millrace } from '../support/millrace.js';
import { Feed } from '../support/table.js';

const app = { id: 'shop', key: 'shop-key', secret: '1b5e0c9c7a9f4d6e8f3a' };
const [page] = examples('docs/views.md', '### From zero', 'html');
const [toml] = examples('docs/views.md', '### From zero', 'toml');

let site; // of the guide's page
let stranger; // delivers the same page elsewhere
let server;
let feed;
let browser;
before(async () => {
  site = await deliver(() => fill(page, { 'http://127.0.0.1:6001': server.url }));
  stranger = await deliver(() => fill(page, { 'http://127.0.0.1:6001': server.url }));
  server = await Millrace.configured(fill(toml, { 'http://127.0.0.1:8000': site.origin, 'auth = "session"': 'auth = "session"\ntoken_ttl = "62s"' }), app);
  feed = new Feed(server);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  site?.http.close();
  stranger?.http.close();
  await server?.stop();
});

async function deliver(content) {
  const http = createServer((request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(content()));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return { http, origin: `http://127.0.0.1:${http.address().port}` };
}

// open loads the page and collects what goes to and fro.
async function open(origin) {
  const opened = { tokens: new Inbox('minted tokens'), received: new Inbox('text messages'), sockets: new Inbox('connections'), refused: new Inbox('refused requests'), errors: new Inbox('errors') };
  opened.page = await browser.newPage();
  opened.page.on('console', (message) => message.type() === 'error' && opened.errors.push(message.text()));
  opened.page.on('response', async (response) => {
    if (!response.url().endsWith('/ws/sessions') || response.request().method() !== 'POST') return;
    if (response.ok()) opened.tokens.push((await response.json()).token);
    else opened.refused.push(await response.json());
  });
  opened.page.on('websocket', (socket) => {
    opened.sockets.push(socket.url());
    socket.on('framereceived', ({ payload }) => typeof payload === 'string' && opened.received.push(payload));
  });
  await opened.page.goto(origin);
  return opened;
}

const shows = (opened, ...lines) => opened.page.waitForFunction(
  (want) => JSON.stringify([...document.querySelectorAll('#lots li')].map((line) => line.textContent)) === JSON.stringify(want),
  lines, { timeout: 60_000 },
);
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
const read = (path, token) => fetch(`${server.url}${path}`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
const lot = (key, data, op) => feed.apply([{ entity: 'Lot', key, data, ...(op && { op }) }]);

suite('session tokens as the guide has them', () => {
  test('the page shows the view, follows it, renews its token, and comes back after a revocation', async () => {
    await lot('a', { title: 'Lamp', bid: 120, reserve: 900 });
    const opened = await open(site.origin);
    await shows(opened, 'Lamp: 120');
    await lot('b', { title: 'Bell', bid: 150, reserve: 1 });
    await shows(opened, 'Bell: 150', 'Lamp: 120');
    await lot('a', { bid: 200 });
    await shows(opened, 'Lamp: 200', 'Bell: 150');
    await lot('b', undefined, 'delete');
    await shows(opened, 'Lamp: 200');

    // It is renewed a minute before its end, which is soon.
    await opened.received.find((text) => JSON.parse(text).success === true, 'a renewed token');
    await lot('c', { title: 'Vase', bid: 10 });
    await shows(opened, 'Lamp: 200', 'Vase: 10');

    const first = claims(await opened.tokens.find(() => true, 'a token'));
    assert.deepEqual(first.views, ['Lot/top']);
    assert.equal(first.origin, site.origin);
    assert.equal(opened.sockets.items.length, 1);
    for (const token of opened.tokens.items) await feed.revoke(claims(token).jti);
    await opened.sockets.find(() => true, 'a second connection', { from: 1 });
    await lot('d', { title: 'Clock', bid: 1 });
    await shows(opened, 'Lamp: 200', 'Vase: 10', 'Clock: 1');
    await opened.page.close();
  });

  test('its token reads over HTTP what it reads on a connection, from the same page', async () => {
    const opened = await open(site.origin);
    const token = await opened.tokens.find(() => true, 'a token');
    const inPage = (view) => opened.page.evaluate(async ([url, bearer]) => {
      const answer = await fetch(url, { headers: { authorization: `Bearer ${bearer}` } });
      return { status: answer.status, body: await answer.json() };
    }, [`${server.url}/apps/shop/views/${view}`, token]);
    const { status, body } = await inPage('Lot/top');
    assert.equal(status, 200);
    assert.ok(body.rows.every(({ data }) => data.reserve === undefined));
    assert.deepEqual(await inPage('Lot/list').then((answer) => [answer.status, answer.body.code]), [403, 'deployment-access-denied']);
    await opened.page.close();
  });

  test('another page gets no token', async () => {
    const opened = await open(stranger.origin);
    assert.equal((await opened.refused.find(() => true, 'a refusal')).code, 'origin-not-allowed');
    assert.equal(await opened.page.evaluate(() => document.querySelectorAll('#lots li').length), 0);
    await opened.page.close();
  });

  test('a backend signs tokens of its own, as the guide does', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'tokens.mjs');
    writeFileSync(file, examples('docs/views.md', '### Tokens of your own', 'js')[0]);
    const { sessionToken } = await import(pathToFileURL(file));
    assert.equal((await read('/apps/shop/views/Lot/top', sessionToken(17, ['Lot/*']))).status, 200);
    assert.equal((await read('/apps/shop/views/Lot/top', sessionToken(17))).status, 200);
    assert.equal((await read('/apps/shop/views/Lot/top', sessionToken(17, ['Bid/*']))).status, 403);
    assert.equal((await read('/apps/shop/views/Lot/list', sessionToken(17, ['*']))).status, 403, 'a claim opens nothing');
    assert.equal((await read('/apps/shop/views/Lot/top')).status, 401);
    const [shown] = examples('docs/views.md', '### Tokens of your own', 'json');
    assert.deepEqual(await (await read('/.well-known/jwks.json')).json(), JSON.parse(shown));
  });

  test('a batch that is sent twice is applied once, as the guide has it', async () => {
    const AsyncFunction = (async () => {}).constructor;
    const run = new AsyncFunction('pusher', `${examples('docs/views.md', '## Entities and mutations', 'js').find((text) => text.includes('idempotency_key'))}\nreturn { first, second };`);
    const { first, second } = await run(feed.library);
    assert.match(first.seq, /^\d{13}:\d{12}$/);
    assert.deepEqual(second, first);
    const { rows } = await feed.read('Lot/state', { key: 'a' });
    assert.deepEqual(rows[0].data.bids, ['u2']);
  });
});
