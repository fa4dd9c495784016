// Every code block of the README and of the guides is run against the real binary, in its order. A
// block that nothing here runs fails.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import Pusher from 'pusher-js';
import { Backend, serverLibrary } from '../support/backend.js';
import { answered } from '../support/deadline.js';
import { blocks, documents, examples, isCommands, requestOf, shape, Terminal } from '../support/guide.js';
import { Hooks } from '../support/hooks.js';
import { freePort, Millrace } from '../support/millrace.js';
import { Feed, Viewer } from '../support/table.js';

const cleanups = [];
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

// app is what stands before tables that belong to one.
const app = { id: 'app-id', key: 'app-key', secret: 'secret-of-the-guides-0123456789' };
const appAlone = `[[apps]]\nid = "${app.id}"\nkey = "${app.key}"\nsecret = "${app.secret}"\n\n`;
const appTable = `${appAlone}[apps.views]\nauth = "open"\n\n`;
const filled = (toml) => toml.replaceAll('secret = "..."', `secret = "${app.secret}"`); // what the reader is to choose
const completed = (toml) => (/^\[\[apps\]\]/m.test(toml) ? toml : /^\[\[?apps[.]/m.test(toml) ? appTable + toml : `${toml}\n${appTable}`);

async function started(...args) {
  const server = await Millrace.start(...args);
  cleanups.push(() => server.stop());
  return server;
}

function terminalOf(server, flags) {
  const terminal = new Terminal(server, flags);
  cleanups.push(() => terminal.close());
  return terminal;
}

// evaluated runs a script of the guides, in which the names of scope are known.
function evaluated(code, scope, result = 'undefined') {
  const AsyncFunction = (async () => {}).constructor;
  return new AsyncFunction(...Object.keys(scope), `${code}\nreturn ${result};`)(...Object.values(scope));
}

// ask sends a request of a guide, signed by the official library.
async function ask(server, { method, path, body }) {
  const library = serverLibrary(server);
  const at = path.replace('{app_id}', server.app.id);
  const query = library.createSignedQueryString({ method, path: at, body: body || undefined });
  const response = await fetch(`${server.url}${at}?${query}`, { method, body: body || undefined, headers: { 'content-type': 'application/json' } });
  const text = await response.text();
  assert.equal(response.status, 200, `${method} ${at}: ${text}`);
  return JSON.parse(text);
}

// usual is what runs a block whose kind says how.
async function usual(block, context) {
  if (isCommands(block)) return context.terminal.run(block.code);
  if (block.language === 'toml') {
    return context.terminal.run(`bin/millrace check ${context.terminal.write('checked.toml', completed(filled(block.code)))}`);
  }
  if (block.language === 'json') return documents(block);
  const request = block.language === '' && requestOf(block);
  if (request && request.path.startsWith('/apps/')) return ask(context.server, request);
  throw new Error(`nothing runs ${block.name}; add it to suites/guides.test.js`);
}

// guide makes a test of each block. Steps are [beginning of a block, what to do]; the first that
// fits runs it, otherwise usual does. context is made before the first block.
function guide(document, makeContext, steps = []) {
  suite(document, () => {
    let context;
    const used = new Set();
    for (const block of blocks(document)) {
      test(block.name, async () => {
        context ??= await makeContext();
        const step = steps.find(([begins]) => block.code.startsWith(begins));
        used.add(step);
        await (step ? step[1](block, context) : usual(block, context));
      });
    }
    test('what this suite has of it is still there', () => {
      assert.deepEqual(steps.filter((step) => !used.has(step)).map(([begins]) => begins), []);
    });
    test('what was left running has not failed', () => context.terminal.checkWatched());
  });
}

async function development() {
  const server = await started();
  return { server, terminal: terminalOf(server) };
}

const drawn = () => {}; // a picture
const elsewhere = () => {}; // another suite runs it

guide('README.md', development, [
  ['import Client', elsewhere], // suites/readme.test.js, as a process
  ['client  --WebSocket-->', drawn],
]);

guide('docs/views.md', development, [
  ['[apps.views]\nauth = "session"', async ({ code }, { terminal }) => {
    const [, key] = examples('docs/views.md', '### From zero', 'toml')[0].match(/^(signing_key = .*)$/m);
    const file = terminal.write('checked.toml', appAlone + code.replace('auth = "session"', `auth = "session"\n${key}`));
    await terminal.run(`bin/millrace check ${file}`);
  }],
  // suites/views-tokens.test.js runs these, in a browser where they are for one
  ['millrace check millrace.toml', elsewhere],
  ['<!doctype html>', elsewhere],
  ['import { createPrivateKey', elsewhere],
  ['const body = { mutations', elsewhere],
  ['await pusher.post', async ({ code }, { server }) => {
    await evaluated(code, { pusher: serverLibrary(server) });
    const [{ data }] = (await new Feed(server).read('Auction/list', { key: 'lot-7' })).rows;
    assert.equal(data.status, 'closed');
  }],
  ['filtr: unknown', async ({ code }, { server }) => {
    const wrong = { id: 'wrong', source: 'Auction/list', filtr: {}, filter: { and: [{ field: 'a', op: 'exists' }, { field: 'b', op: 'equals', value: 1 }] } };
    const text = await new Feed(server).define(wrong).then(() => 'it was accepted', (error) => JSON.parse(error.body).error);
    for (const line of code.trim().split('\n')) assert.ok(text.includes(line), `${line} is not in ${text}`);
  }],
  ['all  {', async ({ code }, { terminal }) => {
    await terminal.watched('lot-9');
    assert.ok((await terminal.run('millrace view get Auction/totals')).includes(code.trim()));
  }],
  ['{"view":"Auction/top"', async (block, { server }) => {
    assert.deepEqual(shape(await new Feed(server).read('Auction/top')), shape(documents(block)[0]));
  }],
  ['{"type":"subscribe"', async (block, { server }) => {
    const [frame] = documents(block);
    const viewer = await Viewer.connect(server);
    cleanups.push(() => viewer.close());
    viewer.client.connection.ws.send(JSON.stringify(frame));
    await viewer.snapshot(frame.view);
    await new Feed(server).delete('lot-3');
    await new Feed(server).apply([{ entity: 'Auction', key: 'lot-8', data: { title: 'Clock', status: 'open', bid: { amount: 70 } } }]);
    await viewer.frame((f) => f.key === 'lot-8', 'lot-8');
    frames = viewer.frames.items;
  }],
  ['{"op":"subscribed"', (block) => {
    for (const want of documents(block)) {
      const got = frames.find(({ op }) => op === want.op);
      assert.deepEqual(Object.keys(got).filter((name) => name !== 'seq').sort(), Object.keys(want).sort(), want.op);
    }
  }],
  ['{"type":"error"', async (block) => {
    const server = await configured('[views]\ndefault_max_subscriptions = 3');
    const viewer = await Viewer.connect(server);
    cleanups.push(() => viewer.close());
    for (const key of ['a', 'b', 'c', 'lot-9']) viewer.watch('Auction/state', { key });
    assert.deepEqual(shape(await rawIssue(server)), shape(documents(block)[0]));
    const issue = await viewer.issues.find(() => true, 'an issue');
    assert.equal(issue.message, documents(block)[0].message);
  }],
  ['const rows = new Map()', ({ code }) => liveTable(code)],
  ['millrace publish private-orders-7', async ({ code }) => {
    const [projections] = blocks('docs/views.md').filter((block) => block.code.startsWith('[[apps.projections]]'));
    const server = await configured('', projections.code);
    await terminalOf(server, `--secret ${app.secret}`).run(code);
    const row = await answered(async () => (await new Feed(server).read('Order/list')).rows.at(0), 'the order');
    assert.deepEqual([row.key, row.data.total], ['o-1', 5]);
  }],
]);

let frames;

// configured is a server of one app, with more in its configuration.
async function configured(before, behind = '') {
  const server = await Millrace.configured(`${before}\n${appTable}${behind}`, app);
  cleanups.push(() => server.stop());
  return server;
}

// rawIssue is the first issue that a connection is sent which subscribes four times.
async function rawIssue(server) {
  const socket = new WebSocket(`ws://${server.host}:${server.port}/views/${server.app.key}`);
  await new Promise((resolve) => { socket.onopen = resolve; });
  const issue = new Promise((resolve) => {
    socket.onmessage = ({ data }) => typeof data === 'string' && resolve(JSON.parse(data));
  });
  for (const key of ['a', 'b', 'c', 'lot-9']) socket.send(JSON.stringify({ type: 'subscribe', view: 'Auction/state', key }));
  return issue.finally(() => socket.close());
}

// liveTable runs the guide's table beside a server that changes, and then loses, everything.
async function liveTable(code) {
  const server = await started();
  const feed = new Feed(server);
  const define = () => feed.define({ id: 'Auction/top', source: 'Auction/list', sort: [{ field: 'bid.amount', order: 'desc' }], limit: 3 });
  const bids = (text) => feed.apply(text.split(' ').map((bid) => ({ entity: 'Auction', key: bid[0], data: { title: bid[0], bid: { amount: Number(bid.slice(1)) } } })));
  await define();
  await bids('a5 b40 c300 d2000');
  const backend = await Backend.start(server);
  const client = new Pusher(server.app.key, {
    wsHost: server.host, wsPort: server.port, forceTLS: false, enabledTransports: ['ws'], cluster: '',
    channelAuthorization: { endpoint: `${backend.url}/pusher/auth`, transport: 'ajax' },
  });
  cleanups.push(async () => {
    client.disconnect();
    await backend.stop();
  });
  const { sorted } = await evaluated(code, { client }, '{ rows, sorted }');
  const shows = (text, what) => answered(async () => {
    await new Promise(setImmediate);
    return sorted().map(([key, row]) => key + row.bid.amount).join(' ') === text;
  }, () => `${what}: ${text}, but ${JSON.stringify(sorted())}`);
  await shows('d2000 c300 b40', 'the first rows');
  await bids('a100000');
  await shows('a100000 d2000 c300', 'a row that enters');
  await feed.delete('d');
  await shows('a100000 c300 b40', 'a row that is deleted');
  await server.stop();
  for (const file of readdirSync(server.folder)) rmSync(join(server.folder, file), { recursive: true });
  await server.start();
  await define();
  await bids('x7');
  await shows('x7', 'what a server shows that has lost its store');
}

guide('docs/webhooks.md', async () => {
  const hooks = await Hooks.start();
  cleanups.push(() => hooks.stop());
  const server = await configured('', `[[apps.webhooks]]\nid = "presence"\nurl = "${hooks.url}"\nevent_types = ["channel_occupied"]\n`);
  hooks.library = serverLibrary(server);
  return { server, hooks, terminal: terminalOf(server) };
}, [
  ['POST /hooks/presence', async ({ code }, { server, hooks }) => {
    const client = new Pusher(server.app.key, { wsHost: server.host, wsPort: server.port, forceTLS: false, enabledTransports: ['ws'], cluster: '' });
    client.subscribe('room');
    cleanups.push(() => client.disconnect());
    const { headers, rawBody } = await hooks.requests.find(() => true, 'a webhook');
    for (const [, name] of code.matchAll(/^([A-Z][\w-]+): /gm)) assert.ok(headers[name.toLowerCase()], name);
    assert.deepEqual(shape(JSON.parse(rawBody)), shape(JSON.parse(code.trim().split('\n').at(-1))));
  }],
  ['channel_exclude', ({ code }, { terminal }) => {
    const file = terminal.write('checked.toml', `${appTable}[[apps.webhooks]]\nurl = "https://shop.example/hooks"\nevent_types = ["channel_occupied"]\n${code}`);
    return terminal.run(`bin/millrace check ${file}`);
  }],
  ['const webhook =', async ({ code }, { hooks }) => {
    const [{ headers, rawBody }] = hooks.requests.items;
    const events = [];
    await evaluated(code, { pusher: hooks.library, request: { headers }, rawBody, handle: (event) => events.push(event) });
    assert.deepEqual(events.map(({ name, channel }) => [name, channel]), [['channel_occupied', 'room']]);
  }],
]);

guide('docs/api.md', development, [
  ['{"error":"Event name', async (block, { server }) => {
    const path = `/apps/${server.app.id}/events`;
    const body = JSON.stringify({ name: 'x'.repeat(201), channels: ['prices'], data: '{}' });
    const query = serverLibrary(server).createSignedQueryString({ method: 'POST', path, body });
    const response = await fetch(`${server.url}${path}?${query}`, { method: 'POST', body });
    assert.deepEqual(await response.json(), documents(block)[0]);
  }],
  ['{"name":"tick"', ({ code }, { server }) => ask(server, { method: 'POST', path: '/apps/{app_id}/events', body: code.trim() })],
]);

guide('docs/apps.md', async () => {
  const [registry] = blocks('docs/apps.md').filter(({ language }) => language === 'toml');
  const port = await freePort();
  const server = await Millrace.configured(`${filled(registry.code)}\n[http]\nlisten = "127.0.0.1:${port}"\n`, app);
  cleanups.push(() => server.stop());
  const terminal = terminalOf(server);
  const file = join(terminal.folder, 'millrace.toml');
  terminal.write('millrace.toml', readFileSync(server.args.at(-1), 'utf8'));
  terminal.write('soketi.json', JSON.stringify([{ id: 'legacy', key: 'legacy-key', secret: 'legacy-secret-0123456789' }]));
  const [, key] = registry.code.match(/^key = "(.*?)"/m);
  const [, secret] = filled(registry.code).match(/^secret = "(.*?)"/m);
  return { server, terminal, file, admin: { key, secret } };
}, [
  ['millrace apps list', async ({ code }, { terminal, file, server }) => {
    const flags = `--config ${file} --url ${server.metricsUrl}`;
    for (const line of code.trim().split('\n')) {
      const command = line.replace(/\s+#.*/, '').replace(/ --config \S+/, '');
      const old = terminal.created?.match(/key\s*[:=]?\s*"?([\w-]+)/)?.[1] ?? 'OLD-KEY';
      const said = await terminal.run(`${command.replace('OLD-KEY', old)} ${flags}`);
      if (command.includes('apps create')) terminal.created = said;
    }
  }],
  ['PATCH /admin', async (block, { server, admin }) => {
    const { method, path, body } = requestOf(block);
    const query = serverLibrary(server, { appId: 'none', ...admin }).createSignedQueryString({ method, path, body, params: { nonce: randomUUID() } });
    const response = await fetch(`${server.metricsUrl}${path}?${query}`, { method, body });
    assert.equal(response.status, 200, await response.text());
  }],
]);

// Where a block is for a place that is not here, the other suite is named that has it.
guide('docs/ops.md', development, [
  ['install -m 755', () => {}], // it needs systemd; the units are checked by internal/cli
  ['(umask 077; sqlite3', ({ code }, { server, terminal }) => {
    const here = code.replace('/var/lib/millrace/millrace-data', server.folder).replace('/var/backups', terminal.folder);
    return terminal.run(`command -v sqlite3 >/dev/null || exit 0\n${here}\ntest -s '${terminal.folder}/millrace.db'`);
  }],
  ['docker run', async ({ code }) => { // there is no image here: the arguments behind its name
    const flags = code.split('\n')[0].match(/ IMAGE serve (.*)/)[1].split(' ');
    await started(...flags.filter((flag) => flag === '--dev'));
    assert.deepEqual(flags, ['--listen', '0.0.0.0:6001', '--dev']);
  }],
  ["new Pusher('app-key'", async ({ code }, { server }) => {
    const client = await evaluated(`return ${code.replaceAll('6001', server.port).trim()}`, { Pusher });
    cleanups.push(() => client.disconnect());
    await new Promise((resolve, reject) => {
      const channel = client.subscribe('private-guide');
      channel.bind('pusher:subscription_succeeded', resolve);
      channel.bind('pusher:subscription_error', (error) => reject(new Error(JSON.stringify(error))));
    });
  }],
  ['millrace doctor', async ({ code }, { terminal }) => {
    const server = await configured('');
    const file = terminal.write('doctor.toml', `[http]\nlisten = "127.0.0.1:${server.port}"\n${appTable}`);
    await terminal.run(code.replace(/--config \S+/, `--config ${file}`).replace(/--url \S+/, `--url ${server.url}`));
  }],
]);

guide('docs/http.md', development);

guide('docs/cli.md', development);

guide('docs/v2.md', development, [
  ['const socket = new WebSocket', async ({ code }, { server }) => {
    const frames = [];
    await new Promise((resolve, reject) => {
      const log = (frame) => {
        frames.push(JSON.parse(frame).event);
        if (frames.length === 2) resolve();
      };
      evaluated(code.replaceAll('6001', server.port), { console: { log } }, 'socket').then((socket) => {
        cleanups.push(() => socket.close());
        socket.onerror = reject;
      }, reject);
    });
    assert.deepEqual(frames, ['sockudo:connection_established', 'sockudo_internal:subscription_succeeded']);
  }],
  ['{"name": "tick"', ({ code }, { server }) => ask(server, { method: 'POST', path: '/apps/{app_id}/events', body: code })],
]);

suite('the guides', () => {
  test('are all here', () => {
    const docs = readdirSync(fileURLToPath(new URL('../../../docs', import.meta.url))).filter((name) => name.endsWith('.md'));
    const have = ['views.md', 'webhooks.md', 'api.md', 'apps.md', 'ops.md', 'http.md', 'cli.md', 'v2.md'];
    const missing = docs.filter((name) => !have.includes(name) && blocks(`docs/${name}`).length > 0);
    assert.deepEqual(missing, []);
  });
});
