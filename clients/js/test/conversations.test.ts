// Every conversation, in each format: what the client says and does depends on the encoding in nothing.

import { readdirSync, readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { json } from '@millrace/client';
import { msgpack } from '@millrace/client/msgpack';
import { protobuf } from '@millrace/client/protobuf';
import { Stage } from './stage.js';

const folder = new URL('../test/conversations/', import.meta.url);

for (const codec of [json, msgpack, protobuf]) {
  suite(`conversations in ${codec.format}`, () => {
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.txt'))) {
      const script = readFileSync(new URL(name, folder), 'utf8');
      test(name.replace('.txt', ''), (context) => new Stage(context, codec).play(script));
    }
  });
}
