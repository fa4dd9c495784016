// Live views in Chromium with hyperstack-typescript, and over protocol 7 with pusher-js.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';
import { launch } from '../support/chromium.js';
import { auctions, definitions, Feed, viewsUrl } from '../support/table.js';
import { World } from '../support/world.js';

const require = createRequire(import.meta.url);
const modules = {
  '/hyperstack.js': fileURLToPath(import.meta.resolve('hyperstack-typescript')),
  '/pako.js': join(dirname(require.resolve('pako')), 'dist/pako.esm.mjs'),
};

const html = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="importmap">{"imports":{"pako":"/pako.js"}}</script>
<script type="module">
import { HyperStack } from '/hyperstack.js';
window.open_ = async (stack, url) => {
  window.hs = await HyperStack.connect(stack, { url });
  return hs.connectionState;
};
window.watch = (view, options = {}) => { hs.getSubscriptionRegistry().subscribe({ view, ...options }); };
window.rows = (view) => hs.store.getAllSync(view) ?? [];
window.ready = true;
</script>`;

let world;
let feed;
let browser;
let http;
before(async () => {
  world = await World.start();
  feed = new Feed(world.server);
  for (const definition of definitions) await feed.define(definition);
  browser = await launch();
  http = createServer(async (request, response) => {
    const file = modules[request.url];
    if (!file) {
      response.writeHead(200, { 'content-type': 'text/html' }).end(html);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(await readFile(file));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
});
after(async () => {
  await browser?.close();
  http?.close();
  await world?.stop();
});

async function open() {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${http.address().port}/`);
  await page.waitForFunction(() => window.ready);
  assert.equal(await page.evaluate(([stack, url]) => open_(stack, url), [auctions, viewsUrl(world.server)]), 'connected');
  return page;
}

suite('hyperstack-typescript in Chromium', () => {
  test('K02 a large gzip snapshot followed at once by patches: the patches survive', async () => {
    const lots = Array.from({ length: 2000 }, (_, i) => ({ entity: 'Auction', key: `lot-${i}`, data: { title: `Lot number ${i}`, bid: { amount: i }, log: [0] } }));
    for (let i = 0; i < lots.length; i += 500) await feed.apply(lots.slice(i, i + 500));
    const page = await open();
    await page.evaluate(() => watch('Auction/list'));
    let last;
    for (let i = 1; i <= 50; i++) last = await feed.patch('lot-7', { log: [i], n: i }, ['log']);
    await page.waitForFunction((seq) => rows('Auction/list').some((row) => row._seq === seq), last, { timeout: 60_000 });
    const shown = await page.evaluate(() => rows('Auction/list'));
    assert.equal(shown.length, 2000);
    const lot = shown.find((row) => row._seq === last);
    assert.deepEqual(lot.log, Array.from({ length: 51 }, (_, i) => i), 'each appended number once, in order');
    await page.close();
  });

  test('a derived window in the order of the server', async () => {
    const page = await open();
    await page.evaluate(() => watch('Auction/top'));
    await feed.patch('champion', { title: 'Champion', bid: { amount: 1e6 } });
    await page.waitForFunction(() => rows('Auction/top')[0]?.title === 'Champion', null, { timeout: 60_000 });
    const shown = await page.evaluate(() => rows('Auction/top').map((row) => row.bid.amount));
    const { rows: wanted } = await feed.read('Auction/top');
    assert.deepEqual(shown, wanted.map(({ data }) => data.bid.amount));
    await page.close();
  });
});

// Table applies the events of a view channel as an application would.
class Table {
  rows = new Map();

  constructor(followed) {
    const { channel } = followed;
    channel.bind('view:snapshot', ({ data }) => data.forEach(({ key, data: row }) => this.rows.set(key, row)));
    channel.bind('view:upsert', ({ key, data }) => this.rows.set(key, data));
    channel.bind('view:patch', ({ key, data, append = [] }) => this.rows.set(key, merge(this.rows.get(key) ?? {}, data, append)));
    channel.bind('view:delete', ({ key }) => this.rows.delete(key));
  }
}

function merge(target, patch, append, at = '') {
  const result = { ...target };
  for (const [name, value] of Object.entries(patch)) {
    const path = at ? `${at}.${name}` : name;
    const old = result[name];
    if (Array.isArray(value)) result[name] = Array.isArray(old) && append.includes(path) ? [...old, ...value] : value;
    else if (isObject(value) && isObject(old)) result[name] = merge(old, value, append, path);
    else result[name] = value;
  }
  return result;
}

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

suite('pusher-js', () => {
  test('a view is a channel: snapshot, then changes', async () => {
    const client = await world.client();
    const followed = client.follow('private-view-Auction;top');
    const table = new Table(followed);
    await followed.subscribed();
    await followed.event('view:snapshot');
    await feed.patch('second', { title: 'Second', bid: { amount: 999_999 } });
    await followed.inbox.find(({ event, data }) => event !== 'view:delete' && data.key === 'second', 'second comes in');
    await feed.patch('champion', { title: 'Old champion' });
    await followed.inbox.find(({ event, data }) => event.startsWith('view:') && data.data?.title === 'Old champion', 'the new title');
    const { rows } = await feed.read('Auction/top');
    assert.deepEqual(new Map([...table.rows].sort()), new Map(rows.map(({ key, data }) => [key, data]).sort()));
    await feed.delete('second');
    await followed.inbox.find(({ event, data }) => event === 'view:delete' && data.key === 'second', 'second leaves');
  });

  test('take, skip and key come with the signed channel data', async () => {
    world.backend.channelData = { 'private-view-Auction;top': { take: 1, skip: 1 }, 'private-view-Auction;state': { key: 'champion' } };
    const client = await world.client();
    const window = client.follow('private-view-Auction;top');
    const { data } = await window.event('view:snapshot');
    const { rows } = await feed.read('Auction/top', { take: 1, skip: 1 });
    assert.deepEqual(data.data.map(({ key }) => key), rows.map(({ key }) => key));
    const one = client.follow('private-view-Auction;state');
    assert.deepEqual((await one.event('view:snapshot')).data.data.map(({ key }) => key), ['champion']);
    world.backend.channelData = {};
  });

  test('a channel feeds a view without a line of code', async (t) => {
    const { Millrace } = await import('../support/millrace.js');
    const app = { id: 'shop', key: 'shop-key', secret: 'shop-secret-of-16-bytes' };
    const server = await Millrace.configured(`
[[apps]]
id = "shop"
key = "shop-key"
secret = "shop-secret-of-16-bytes"
views.auth = "open"

[[apps.projections]]
channels = "private-orders-*"
events = ["order-placed", "order-changed"]
entity = "Order"
key = "id"

[[apps.projections]]
channels = "private-orders-*"
events = ["order-cancelled"]
entity = "Order"
key = "id"
op = "delete"
`, app);
    t.after(() => server.stop());
    const shop = new Feed(server);
    await shop.library.trigger('private-orders-7', 'order-placed', { id: 'o-1', total: 5 });
    await shop.library.trigger('private-orders-7', 'order-placed', { id: 'o-2', total: 6 });
    await shop.library.trigger('private-orders-7', 'order-changed', { id: 'o-1', paid: true });
    await shop.library.trigger('private-orders-7', 'order-cancelled', { id: 'o-2' });
    const { rows } = await shop.read('Order/list');
    assert.deepEqual(rows.map(({ key, data: { _seq, ...data } }) => [key, data]), [['o-1', { id: 'o-1', total: 5, paid: true }]]);
  });
});
