// The development page, in two tabs of headless Chromium.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { Inbox, within } from '../support/deadline.js';
import { launch } from '../support/chromium.js';
import { environment, Millrace } from '../support/millrace.js';
import { World } from '../support/world.js';

let world;
let browser;
const children = new Set();
before(async () => {
  world = await World.start();
  browser = await launch();
});
after(async () => {
  children.forEach((child) => child.kill());
  await browser?.close();
  await world?.stop();
});

class Tab {
  complaints = [];
  requests = new Inbox('requests');

  static async open(context, name, address = world.server.url) {
    const tab = new Tab();
    tab.page = await context.newPage();
    tab.page.on('console', (message) => { if (message.type() === 'error') tab.complaints.push(message.text()); });
    tab.page.on('pageerror', (error) => tab.complaints.push(String(error)));
    tab.page.on('request', (request) => tab.requests.push(request.url()));
    await tab.page.goto(address);
    await tab.state('connected');
    await tab.sees('#messages', 'joined as');
    await tab.rename(name);
    return tab;
  }

  state(state) {
    return this.page.locator(`#state[data-state=${state}]`).waitFor({ timeout: 60_000 });
  }

  sees(where, text, extra = '') {
    return this.page.locator(`${where} li${extra}`).filter({ hasText: text }).last().waitFor({ timeout: 60_000 });
  }

  async rename(name) {
    await this.page.fill('#name', name);
    await this.page.click('#naming button');
    await this.sees('#members', name, '.me');
  }

  async say(text, way = 'client') {
    await this.page.check(`input[value=${way}]`);
    await this.page.fill('#text', text);
    await this.page.locator('#composer button:enabled').click();
  }

  count(n) {
    return this.page.waitForFunction((want) => document.querySelector('#count').textContent === String(want), n, { timeout: 60_000 });
  }

  messages(text) {
    return this.page.locator('#messages li.message').filter({ hasText: text }).count();
  }
}

// shell runs a command as a developer would paste it where the server was started.
function shell(command) {
  const child = spawn('sh', ['-c', `exec ${command}`], { stdio: ['ignore', 'pipe', 'inherit'], env: environment });
  children.add(child);
  child.lines = new Inbox(command);
  createInterface({ input: child.stdout }).on('line', child.lines.push);
  return child;
}

suite('development page', () => {
  test('two tabs see each other, talk, and find the server again', async () => {
    const context = await browser.newContext();
    const ida = await Tab.open(context, 'Ida');
    const bo = await Tab.open(context, 'Bo');
    await Promise.all([ida.count(2), bo.count(2)]);
    await ida.sees('#members', 'Bo');
    await bo.sees('#members', 'Ida');

    await bo.page.locator('#text').pressSequentially('hi');
    await ida.page.locator('#typing').filter({ hasText: 'Bo is typing' }).waitFor({ timeout: 60_000 });

    await ida.say('hello from Ida <b>&amp;</b>');
    await bo.sees('#messages', 'hello from Ida <b>&amp;</b>');
    await bo.say('through the server', 'server');
    await Promise.all([ida.sees('#messages', 'through the server'), bo.sees('#messages', 'through the server')]);
    assert.equal(await ida.messages('hello from Ida'), 1);
    assert.equal(await bo.messages('through the server'), 1);

    await world.pusher.trigger('presence-lobby', 'message', { text: 'from the backend' });
    await Promise.all([ida.sees('#messages', 'from the backend'), bo.sees('#messages', 'from the backend')]);

    assert.deepEqual([...ida.complaints, ...bo.complaints], [], 'no script error, no violation of the content policy');

    await world.server.kill();
    await ida.state('waiting');
    await world.server.start();
    await Promise.all([ida.state('connected'), bo.state('connected'), ida.count(2), bo.count(2)]);
    await bo.say('back again');
    await ida.sees('#messages', 'back again');

    await bo.page.close();
    await ida.count(1);
    const strange = ida.requests.items.filter((url) => !url.startsWith(world.server.url));
    assert.deepEqual(strange, [], 'the page asks nobody but its server');
    await context.close();
  });

  test('below a prefix the page is the same', async () => {
    const server = await Millrace.start({ MILLRACE_HTTP_PATH_PREFIX: '/realtime' });
    const context = await browser.newContext();
    try {
      for (const path of ['/realtime', '/realtime/']) {
        const tab = await Tab.open(context, 'Ida', server.url + path);
        await tab.say('through the server', 'server');
        await tab.sees('#messages', 'through the server');
        await tab.page.locator('#rows tr').nth(7).waitFor({ timeout: 60_000 });
        const listener = shell(await tab.page.locator('#cmd-subscribe').textContent());
        await tab.count(2);
        listener.kill();
        await tab.count(1);
        assert.match(await tab.page.locator('#cmd-js').textContent(), /wsPath: '\/realtime',/);
        assert.deepEqual(tab.complaints, []);
        const others = tab.requests.items.filter((url) => !url.startsWith(`${server.url}/realtime`));
        assert.deepEqual(others, [], 'the page asks for nothing outside its prefix');
        await tab.page.close();
      }
    } finally {
      await context.close();
      await server.stop();
    }
  });

  test('a member whose id is a number is there, talks and goes', async () => {
    const context = await browser.newContext();
    world.backend.numbers = new Set(['42']);
    const client = await world.client({ user: '42', name: 'Bo' });
    const { channel } = await client.join('presence-lobby');
    const tab = await Tab.open(context, 'Ida');
    await tab.sees('#members', 'Bo');
    assert.ok(channel.trigger('client-message', { text: 'hello from a number' }));
    await tab.sees('#messages', 'hello from a number');
    client.close();
    await tab.sees('#messages', 'Bo left');
    await tab.count(1);
    assert.deepEqual(tab.complaints, []);
    await context.close();
  });

  test('the commands that the page shows work as they stand', async () => {
    const context = await browser.newContext();
    const tab = await Tab.open(context, 'Eve');
    const listener = shell(await tab.page.locator('#cmd-subscribe').textContent());
    await tab.count(2);
    const publisher = shell(await tab.page.locator('#cmd-publish').textContent());
    assert.equal((await within(once(publisher, 'exit'), 'end of millrace publish'))[0], 0);
    await tab.sees('#messages', 'Hello from a terminal');
    await listener.lines.find((line) => line.includes('Hello from a terminal'), 'the message');
    listener.kill();
    await tab.count(1);
    await context.close();
  });

  test('the live table moves by itself, stays sorted, and shows what a terminal puts on top', async () => {
    const context = await browser.newContext();
    const tab = await Tab.open(context, 'Cy');
    const rows = tab.page.locator('#rows tr');
    await rows.nth(7).waitFor({ timeout: 60_000 });
    const table = () => rows.evaluateAll((list) => list.map((tr) => [tr.dataset.key, parseFloat(tr.children[3].textContent)]));
    const first = JSON.stringify(await table());
    await tab.page.waitForFunction(
      (before) => JSON.stringify([...document.querySelectorAll('#rows tr')].map((tr) => [tr.dataset.key, parseFloat(tr.children[3].textContent)])) !== before,
      first, { timeout: 60_000 },
    );
    await tab.page.click('#trade'); // no more changes but ours
    const command = shell(await tab.page.locator('#cmd-put').textContent());
    assert.equal((await within(once(command, 'exit'), 'end of millrace view patch'))[0], 0);
    await tab.page.locator('#rows tr[data-key=GOLD]').waitFor({ timeout: 60_000 });
    const shown = await table();
    assert.equal(shown[0][0], 'GOLD');
    assert.equal(shown.length, 8);
    assert.deepEqual(shown.map(([, change]) => change), shown.map(([, change]) => change).toSorted((a, b) => b - a));
    assert.deepEqual(tab.complaints, []);
    await context.close();
  });

  test('a front-end development server may sign, and no other page', async () => {
    const pages = createServer((request, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html>'));
    await once(pages.listen(0, '127.0.0.1'), 'listening');
    const origin = `http://localhost:${pages.address().port}`;
    const server = await Millrace.start({ MILLRACE_DEVELOPMENT_ORIGINS: origin });
    const context = await browser.newContext();
    const page = await context.newPage();
    const sign = (url) => page.evaluate(async (to) => {
      const body = new URLSearchParams({ socket_id: '1.1', channel_name: 'private-x' });
      const plain = await fetch(to, { method: 'POST', body }).then((r) => r.status, () => 'failed');
      const headers = { 'X-CSRF-Token': 'x' }; // asks first
      return [plain, await fetch(to, { method: 'POST', body, headers, credentials: 'include' }).then((r) => r.status, () => 'failed')];
    }, url);
    try {
      await page.goto(origin);
      assert.deepEqual(await sign(`http://localhost:${server.port}/auth`), [200, 200]);
      assert.deepEqual(await sign(`http://localhost:${world.server.port}/auth`), ['failed', 'failed']);
      await page.goto(`http://127.0.0.1:${pages.address().port}`);
      assert.deepEqual(await sign(`http://localhost:${server.port}/auth`), ['failed', 'failed'], 'the page of another origin');
    } finally {
      await context.close();
      await server.stop();
      pages.close();
    }
  });

  for (const colorScheme of ['light', 'dark']) {
    test(`narrow and ${colorScheme}: nothing is cut off`, async () => {
      const context = await browser.newContext({ colorScheme, viewport: { width: 360, height: 740 } });
      const tab = await Tab.open(context, 'Eve');
      const overflow = await tab.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `the page is ${overflow} pixels too wide`);
      await context.close();
    });
  }
});
