// Headless Chromium as the system provides it.

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { Inbox } from './deadline.js';

const candidates = [process.env.CHROMIUM_BIN, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export function launch() {
  const executablePath = candidates.find((path) => path && existsSync(path));
  if (!executablePath) {
    throw new Error('no Chromium: run make e2e as root, install the package chromium, or set CHROMIUM_BIN');
  }
  return chromium.launch({
    executablePath,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
}

// BrowserClient is pusher-js on the backend's page, seen through inboxes.
export class BrowserClient {
  #inboxes = new Map();

  static async open(browser, world, user) {
    const client = new BrowserClient();
    client.page = await browser.newPage();
    await client.page.exposeFunction('report', (where, what) => client.inbox(where).push(what));
    await client.page.goto(world.backend.url);
    const { server } = world;
    await client.page.evaluate((options) => start(options), { key: server.app.key, host: server.host, port: server.port, user });
    await client.connected();
    return client;
  }

  inbox(name) {
    if (!this.#inboxes.has(name)) this.#inboxes.set(name, new Inbox(name));
    return this.#inboxes.get(name);
  }

  connected({ from = 0, ms } = {}) {
    return this.inbox('state').find(({ current }) => current === 'connected', 'state "connected"', { from, ms });
  }

  follow(name) {
    return this.page.evaluate((channel) => follow(channel), name);
  }

  async join(name) {
    await this.follow(name);
    await this.event(name, 'pusher:subscription_succeeded');
  }

  whisper(name, event, data) {
    return this.page.evaluate(([n, e, d]) => whisper(n, e, d), [name, event, data]);
  }

  event(name, event, { from = 0, ms } = {}) {
    return this.inbox(name).find((item) => item.event === event, `event ${event}`, { from, ms });
  }

  named(name, event) {
    return this.inbox(name).items.filter((item) => item.event === event).map((item) => item.data);
  }
}
