// What the README tells people to paste works as it stands, but for the port.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { World } from '../support/world.js';

let world;
let readme;
before(async () => {
  world = await World.start();
  readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8');
});
after(() => world?.stop());

suite('README', () => {
  test('the demo with pusher-js and pusher receives its own event', async () => {
    const [, code] = readme.match(/```js\n(.*?)```/s);
    const cwd = fileURLToPath(new URL('..', import.meta.url)); // where the libraries are installed
    const { stdout } = await promisify(execFile)(
      process.execPath, ['--input-type=module', '--eval', code.replaceAll('6001', world.server.port)], { cwd, timeout: 60_000 },
    );
    assert.equal(stdout.trim(), 'received { eurusd: 1.08 }');
  });

  test('its terminal commands are those that the binary has', async () => {
    const cwd = fileURLToPath(new URL('../../..', import.meta.url));
    const [publish] = readme.match(/bin\/millrace publish [^#\n]*/);
    const received = (await (await world.client()).join('prices')).event('tick');
    await promisify(execFile)('sh', ['-c', publish.replace('publish', `publish --url ${world.server.url}`)], { cwd, timeout: 60_000 });
    assert.deepEqual((await received).data, { eurusd: 1.08 });
  });
});
