// The programs of the README print what it says.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Server } from './server.js';

const folder = new URL('..', import.meta.url);
const readme = readFileSync(new URL('README.md', folder), 'utf8');
const examples = [...readme.matchAll(/```js\n(.*?)```\n\n```text\n(.*?)```/gs)].map(([, code = '', output = '']) => ({ code, output: output.trim().split('\n') }));

let server: Server;
before(async () => {
  server = await Server.start();
  for (const amount of [4, 6, 5, 7]) server.publish('sales', 'sale', { amount });
  for (const item of ['one', 'two', 'three']) server.publish('news', 'item', item);
  server.subscribed = (channel) => {
    first[channel]?.();
    delete first[channel];
  };
});
after(() => server.stop());

// first publishes when a channel has its first subscriber.
const first: Record<string, () => void> = {
  prices: () => server.publish('prices', 'tick', { eurusd: 1.08 }),
  orders: () => server.publish('orders', 'placed', { id: 'a' }),
  trades: () => server.publish('trades', 'trade', 7, { tags: { region: 'eu' } }),
};

// follow does what happens on the server after a program has printed a line.
function follow(line: string): void {
  if (line !== '1 { id: \'a\' }') return;
  server.cut();
  server.publish('orders', 'placed', { id: 'b' });
  server.publish('orders', 'placed', { id: 'c' });
}

suite('README', () => {
  test('has examples', () => assert.equal(examples.length, readme.match(/```js/g)?.length));

  for (const [i, { code, output }] of examples.entries()) {
    test(`example ${i + 1}`, async () => {
      const program = code.replaceAll('127.0.0.1:6001', server.host).replaceAll('127.0.0.1:3000', server.host);
      const child = spawn(process.execPath, ['--experimental-websocket', '--no-warnings', '--input-type=module', '--eval', program], {
        cwd: fileURLToPath(folder), stdio: ['ignore', 'pipe', 'inherit'],
      });
      const printed: string[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        printed.push(line.trim());
        follow(line.trim());
        if (printed.length === output.length) child.kill();
      }
      assert.deepEqual(printed, output);
    });
  }
});
