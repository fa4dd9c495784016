// hyperstack-typescript in Node against live views that the official server library feeds.

import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';
import { within } from '../support/deadline.js';
import { Millrace } from '../support/millrace.js';
import { definitions, Feed, metric, Viewer, viewsUrl } from '../support/table.js';

let server;
let feed;
let viewers;
before(async () => {
  server = await Millrace.start();
  feed = new Feed(server);
  for (const definition of definitions) await feed.define(definition);
});
beforeEach(async (t) => {
  viewers = [];
  t.after?.(() => viewers.forEach((viewer) => viewer.close()));
});
after(() => server?.stop());

async function connect(options) {
  const viewer = await Viewer.connect(server, options);
  viewers.push(viewer);
  return viewer;
}

// reset deletes every auction.
async function reset() {
  const { rows } = await feed.read('Auction/list');
  for (let i = 0; i < rows.length; i += 500) {
    await feed.apply(rows.slice(i, i + 500).map(({ key }) => ({ entity: 'Auction', key, op: 'delete' })));
  }
}

async function serverRows(view, params) {
  const { rows } = await feed.read(view, params);
  return rows.map(({ data: { _seq, ...data } }) => data);
}

suite('hyperstack-typescript', () => {
  test('K01 a list of 300 entities and live patches: the client shows what the server has, newest first', async () => {
    await reset();
    const lots = Array.from({ length: 300 }, (_, i) => ({ entity: 'Auction', key: `lot-${i}`, data: { n: i, title: `Lot ${i}`, bid: { amount: i } } }));
    for (let i = 0; i < lots.length; i += 100) await feed.apply(lots.slice(i, i + 100));
    const viewer = await connect();
    viewer.watch('Auction/list');
    await viewer.snapshot('Auction/list');
    assert.equal(viewer.rows('Auction/list').length, 300);
    let seq;
    for (let i = 0; i < 50; i++) seq = await feed.patch(`lot-${i * 3}`, { bid: { amount: 1000 + i }, history: [i] }, ['history']);
    await viewer.seen('Auction/list', seq);
    const { rows } = await feed.read('Auction/list');
    const want = new Map(rows.map(({ key, data }) => [key, data]));
    const got = viewer.keys('Auction/list');
    assert.equal(got.length, 300);
    for (const key of got) assert.deepEqual(viewer.store.get('Auction/list', key), want.get(key));
    const seqs = got.map((key) => viewer.store.get('Auction/list', key)._seq);
    assert.deepEqual(seqs, seqs.toSorted().reverse(), 'sorted by _seq as text, descending');
  });

  test('a state view: get, patches with append, a deletion, a new life', async () => {
    await feed.delete('solo');
    await feed.patch('solo', { title: 'Lamp', history: [1] });
    const viewer = await connect();
    viewer.watch('Auction/state', { key: 'solo' });
    await viewer.snapshot('Auction/state');
    await feed.patch('other', { title: 'not subscribed' });
    await viewer.seen('Auction/state', await feed.patch('solo', { history: [2, 3], bid: { amount: 9 } }, ['history']));
    assert.deepEqual(viewer.rows('Auction/state'), [{ title: 'Lamp', history: [1, 2, 3], bid: { amount: 9 } }]);
    await viewer.seen('Auction/state', await feed.delete('solo'));
    assert.deepEqual(viewer.rows('Auction/state'), []);
    await viewer.seen('Auction/state', await feed.patch('solo', { title: 'Again' }));
    assert.deepEqual(viewer.rows('Auction/state'), [{ title: 'Again' }]);
    assert.deepEqual(viewer.keys('Auction/state'), ['solo']);
  });

  test('a key whose entity was deleted while the client was away leaves the screen when it is back', async () => {
    for (const key of ['ghost', 'fence']) {
      await feed.delete(key);
      await feed.patch(key, { title: key });
    }
    const viewer = await connect({ autoReconnect: true });
    viewer.watch('Auction/state', { key: 'ghost' });
    viewer.watch('Auction/list', { key: 'ghost' });
    await Promise.all([viewer.snapshot('Auction/state'), viewer.snapshot('Auction/list')]);
    const from = viewer.states.items.length;
    viewer.drop();
    await feed.delete('ghost');
    await viewer.connected(from);
    const back = viewer.frames.items.length;
    viewer.watch('Auction/append', { key: 'fence' });
    await viewer.snapshot('Auction/append', back);
    assert.deepEqual([viewer.keys('Auction/state'), viewer.keys('Auction/list')], [[], []]);
    await viewer.seen('Auction/state', await feed.patch('ghost', { title: 'Again' }));
    assert.deepEqual(viewer.rows('Auction/state'), [{ title: 'Again' }]);
  });

  test('a key that never was shows nothing, and its entity once it comes', async () => {
    const viewer = await connect();
    const told = [];
    viewer.store.onRichUpdate((view, key, { type }) => told.push(`${type} ${key}`));
    const key = `unborn-${Date.now()}`;
    viewer.watch('Auction/state', { key });
    await viewer.snapshot('Auction/state');
    await viewer.seen('Auction/state', await feed.patch(key, { title: 'Born' }));
    assert.deepEqual(viewer.rows('Auction/state'), [{ title: 'Born' }]);
    assert.deepEqual(told, [`created ${key}`]);
  });

  test('a window: rows enter, move and leave; nothing is sent for what happens outside', async () => {
    await reset();
    for (const [key, amount] of [['a', 1], ['b', 2], ['c', 3], ['d', 4]]) await feed.patch(key, { title: key, bid: { amount } });
    const viewer = await connect();
    viewer.watch('Auction/top');
    await viewer.snapshot('Auction/top');
    assert.deepEqual(viewer.keys('Auction/top'), ['d', 'c', 'b']);

    await feed.patch('a', { title: 'outside' });
    let from = viewer.frames.items.length;
    await feed.patch('e', { title: 'e', bid: { amount: 5 } });
    await viewer.frame((f) => f.op === 'upsert' && f.key === 'e', 'upsert of e', from);
    assert.deepEqual(viewer.frames.items.slice(from).map((f) => `${f.op} ${f.key}`), ['delete b', 'upsert e']);
    assert.deepEqual(viewer.keys('Auction/top'), ['e', 'd', 'c']);

    from = viewer.frames.items.length;
    await feed.patch('c', { bid: { amount: 50 } });
    await viewer.frame((f) => f.key === 'c', 'the change of c', from);
    assert.deepEqual(viewer.keys('Auction/top'), ['c', 'e', 'd']);
    assert.equal(viewer.frames.items.length, from + 1, 'an inner move is one frame');

    await feed.patch('c', { bid: { amount: null } });
    await viewer.frame((f) => f.op === 'upsert' && f.key === 'b', 'b comes back', from);
    assert.deepEqual(viewer.keys('Auction/top'), ['e', 'd', 'b']);
    await feed.delete('e');
    await viewer.frame((f) => f.op === 'upsert' && f.key === 'a', 'a comes in', from);
    assert.deepEqual(viewer.keys('Auction/top'), ['d', 'b', 'a']);
    assert.deepEqual(viewer.rows('Auction/top'), await serverRows('Auction/top'));
  });

  test('a window of one never shows two', async () => {
    await reset();
    await feed.patch('a', { bid: { amount: 1 } });
    const viewer = await connect();
    const sizes = [];
    viewer.store.onUpdate(() => sizes.push(viewer.store.size('Auction/best')));
    viewer.watch('Auction/best');
    await viewer.snapshot('Auction/best');
    for (const [key, amount] of [['b', 2], ['c', 3], ['a', 4]]) {
      await feed.patch(key, { bid: { amount } });
      await viewer.frame((f) => f.entity === 'Auction/best' && f.op !== 'delete' && f.key === key && f.data.bid.amount === amount, `${key} on top`);
      assert.deepEqual(viewer.keys('Auction/best'), [key]);
    }
    assert.ok(sizes.every((size) => size <= 1), `sizes ${sizes}`);
  });

  test('a filter with a projection: entities that stop matching leave', async () => {
    await reset();
    await feed.apply(['c', 'a', 'b'].map((key) => ({ entity: 'Auction', key, data: { title: key, status: 'open', secret: 1 } })));
    const viewer = await connect();
    viewer.watch('Auction/open');
    await viewer.snapshot('Auction/open');
    assert.deepEqual(viewer.rows('Auction/open'), ['a', 'b', 'c'].map((title) => ({ title, status: 'open' })));
    await feed.patch('b', { status: 'closed' });
    await viewer.frame((f) => f.op === 'delete' && f.key === 'b', 'b leaves');
    await feed.patch('b', { status: 'open', title: 'z' });
    await viewer.frame((f) => f.op === 'upsert' && f.key === 'b', 'b returns');
    assert.deepEqual(viewer.keys('Auction/open'), ['a', 'c', 'b']);
  });

  test('an aggregate follows', async () => {
    await reset();
    const viewer = await connect();
    viewer.watch('Auction/totals');
    await viewer.snapshot('Auction/totals');
    assert.deepEqual(viewer.rows('Auction/totals'), [{ n: 0, sum: 0 }]);
    await feed.apply([1, 2, 3].map((amount) => ({ entity: 'Auction', key: `k${amount}`, data: { bid: { amount } } })));
    await viewer.frame((f) => f.entity === 'Auction/totals' && f.data?.sum === 6, 'the sum 6');
    await feed.delete('k2');
    await viewer.frame((f) => f.entity === 'Auction/totals' && f.data?.sum === 4, 'the sum 4');
    assert.deepEqual(viewer.rows('Auction/totals'), [{ n: 2, sum: 4 }]);
  });

  test('K09 an empty view answers at once', async () => {
    const viewer = await connect();
    viewer.watch('Nothing/list');
    const frame = await viewer.snapshot('Nothing/list');
    assert.deepEqual(frame.data, []);
  });

  test('150 keys of a state view, opened at once by one connection, are all live within 2 s', async () => {
    const keys = Array.from({ length: 150 }, (_, i) => `card-${i}`);
    const cards = (n) => keys.map((key) => ({ entity: 'Card', key, data: { n } }));
    await feed.apply(cards(1));
    const first = performance.now();
    const scout = await connect();
    scout.watch('Card/state', { key: keys[0] });
    await scout.snapshot('Card/state');
    const one = performance.now() - first; // on a machine that has other things to do
    const viewer = await connect();
    const begun = performance.now();
    for (const key of keys) viewer.watch('Card/state', { key });
    const arrived = (n) => Promise.all(keys.map((key) => viewer.frame(
      (f) => (f.op === 'snapshot' ? f.entity === 'Card/state' && f.data.some((row) => row.key === key && row.data.n === n) : f.key === key && f.data?.n === n),
      `${key} with ${n}`,
    )));
    await arrived(1);
    const took = performance.now() - begun;
    await feed.apply(cards(2));
    await arrived(2);
    assert.deepEqual(viewer.issues.items, []);
    assert.deepEqual(viewer.rows('Card/state').map(({ n }) => n), keys.map(() => 2));
    assert.ok(took < 2000 + 20 * one, `the snapshots took ${took} ms, one alone ${one} ms`);
  });

  test('gzip: a large snapshot is compressed, a small one is not, and both are binary', async () => {
    await reset();
    await feed.apply(Array.from({ length: 60 }, (_, i) => ({ entity: 'Auction', key: `g${i}`, data: { title: 'the same words again and again' } })));
    const socket = new WebSocket(viewsUrl(server));
    socket.binaryType = 'arraybuffer';
    const messages = [];
    const done = new Promise((resolve) => {
      socket.onmessage = ({ data }) => messages.push(data) === 3 && resolve();
    });
    await new Promise((resolve) => { socket.onopen = resolve; });
    socket.send(JSON.stringify({ type: 'subscribe', view: 'Auction/list' }));
    await within(done, 'subscribed and two batches');
    socket.close();
    assert.ok(messages.every((data) => data instanceof ArrayBuffer));
    const magic = messages.map((data) => Buffer.from(data).subarray(0, 2).toString('hex'));
    assert.deepEqual([magic[0] === '1f8b', magic[1] === '1f8b'], [false, true]);
  });

  test('big integers arrive exactly, and sort by value', async () => {
    await reset();
    await feed.library.post({ path: '/mutations', body: { mutations: [{ entity: 'Auction', key: 'five', data: { bid: { amount: 5 } } }] } });
    const raw = '{"mutations":[{"entity":"Auction","key":"big","data":{"bid":{"amount":9007199254740993}}}]}';
    await raws(raw);
    const viewer = await connect();
    viewer.watch('Auction/top');
    await viewer.snapshot('Auction/top');
    const { data } = viewer.frames.items.find((f) => f.op === 'snapshot');
    assert.deepEqual(data.map((row) => [row.key, row.data.bid.amount]), [['big', '9007199254740993'], ['five', 5]]);
  });

  test('two clients of one window, one unsubscribes, the other goes on', async () => {
    await reset();
    await feed.patch('a', { bid: { amount: 1 } });
    const [one, two] = [await connect(), await connect()];
    const stop = one.watch('Auction/top');
    two.watch('Auction/top');
    await Promise.all([one.snapshot('Auction/top'), two.snapshot('Auction/top')]);
    stop();
    one.watch('Auction/state', { key: 'fence' });
    await one.snapshot('Auction/state');
    const before = one.frames.items.length;
    await feed.patch('b', { bid: { amount: 2 } });
    await two.frame((f) => f.key === 'b', 'b');
    await one.seen('Auction/state', await feed.patch('fence', {}));
    assert.deepEqual(one.frames.items.slice(before).filter((f) => f.entity === 'Auction/top'), []);
  });
});

// raws posts a body whose numbers JavaScript could not hold, signed by the official library.
async function raws(body) {
  const { library } = feed;
  const path = `/apps/${server.app.id}/mutations`;
  const query = library.createSignedQueryString({ method: 'POST', path, body });
  const response = await fetch(`${server.url}${path}?${query}`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  assert.equal(response.status, 200, await response.text());
}

suite('ingest with the official server library', () => {
  test('a batch is atomic', async () => {
    await reset();
    await assert.rejects(
      feed.apply([{ entity: 'Auction', key: 'good', data: { a: 1 } }, { entity: 'Auction', key: 'bad', data: [1] }]),
      ({ status, body }) => status === 400 && /mutations\[1\]/.test(body),
    );
    assert.deepEqual(await serverRows('Auction/list'), []);
  });

  test('an idempotency key applies a batch once', async () => {
    await feed.delete('once');
    await feed.patch('once', { log: [] });
    const batch = [{ entity: 'Auction', key: 'once', data: { log: ['x'] }, append: ['log'] }];
    const seqs = [await feed.apply(batch, 'order-1'), await feed.apply(batch, 'order-1')];
    assert.equal(seqs[0], seqs[1]);
    assert.deepEqual(await serverRows('Auction/state', { key: 'once' }), [{ log: ['x'] }]);
  });

  test('what cannot be done is refused with a reason', async () => {
    for (const mutation of [
      { entity: 'Auction', key: 'k', op: 'increment', data: {} },
      { entity: 'Auction', data: {} },
      { key: 'k', data: {} },
      { entity: 'Auction', key: 'k', data: { l: 5 }, append: ['l'] },
    ]) {
      await assert.rejects(feed.apply([mutation]), ({ status, body }) => status === 400 && /mutations\[0\]/.test(body), JSON.stringify(mutation));
    }
    await assert.rejects(feed.define({ id: 'Auction/round', source: 'Auction/round' }), ({ status }) => status === 400);
    await assert.rejects(feed.define({ id: 'Auction/x', source: 'Auction/list', filter: { field: 'a', op: 'like', value: 1 } }), ({ status, body }) => status === 400 && /op/.test(body));
  });

  test('a read has an ETag and a position from which a subscription goes on', async () => {
    await reset();
    await feed.patch('a', { title: 'A' });
    const read = async (etag) => {
      const path = `/apps/${server.app.id}/views/Auction/list`;
      const query = feed.library.createSignedQueryString({ method: 'GET', path });
      return fetch(`${server.url}${path}?${query}`, { headers: etag ? { 'if-none-match': etag } : {} });
    };
    const first = await read();
    const etag = first.headers.get('etag');
    assert.ok(etag);
    assert.equal((await read(etag)).status, 304);
    const { position } = await first.json();
    const seq = await feed.patch('b', { title: 'B' });
    await feed.delete('a');
    assert.equal((await read(etag)).status, 200);

    const viewer = await connect();
    viewer.watch('Auction/list', { after: position });
    await viewer.frame((f) => f.op === 'delete' && f.key === 'a', 'the deletion of a');
    assert.deepEqual(viewer.rows('Auction/list'), [{ title: 'B' }]);
    assert.equal(viewer.store.get('Auction/list', 'b')._seq, seq);
  });

  test('metrics count mutations and connections', async () => {
    assert.ok(await metric(server, 'millrace_entity_mutations_total') > 0);
  });
});
