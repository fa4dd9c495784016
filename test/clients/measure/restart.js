// How long pusher-js is away when bin/millrace is restarted: from SIGTERM to the next connection,
// with a port of its own, also beside a client that is gone without a word, and with a socket that
// is handed over. Prints a table in Markdown, the
// median and the longest of several clients and restarts. Usage: node measure/restart.js

import PusherJS from 'pusher-js';
import { Handover } from '../support/handover.js';
import { Millrace } from '../support/millrace.js';
import { mute } from '../support/mute.js';

const clients = 20;
const restarts = 5;
const host = '127.0.0.1';

function connected(client) {
  if (client.connection.state === 'connected') return Promise.resolve();
  return new Promise((resolve) => client.connection.bind('connected', resolve));
}

async function open(port) {
  const all = Array.from({ length: clients }, () => new PusherJS('app-key', {
    cluster: '', wsHost: host, wsPort: port, forceTLS: false, enabledTransports: ['ws'], enableStats: false,
  }));
  await Promise.all(all.map(connected));
  return all;
}

// gaps restarts a server again and again and resolves to the seconds that clients were away.
async function gaps(port, restart) {
  const all = await open(port);
  const times = [];
  for (let i = 0; i < restarts; i++) {
    const from = performance.now();
    const back = all.map((client) => new Promise((resolve) => {
      const look = () => {
        client.connection.unbind('connected', look);
        times.push((performance.now() - from) / 1000);
        resolve();
      };
      client.connection.bind('connected', look);
    }));
    await restart();
    await Promise.all(back);
  }
  all.forEach((client) => client.disconnect());
  return times.sort((a, b) => a - b);
}

async function withItsOwnPort() {
  const server = await Millrace.start();
  const times = await gaps(server.port, async () => {
    await server.stop();
    await server.start();
  });
  await server.stop();
  return times;
}

async function besideOneWhoIsGone() {
  const server = await Millrace.start();
  const times = await gaps(server.port, async () => {
    await mute(server);
    await server.stop();
    await server.start();
  });
  await server.stop();
  return times;
}

async function handedOver() {
  const server = await Handover.start();
  const times = await gaps(server.port, () => server.restart());
  await server.stop();
  return times;
}

console.log('| socket | median | longest |');
console.log('|---|---|---|');
for (const [name, measure] of [['opened by Millrace', withItsOwnPort], ['opened by Millrace, one client is gone without a word', besideOneWhoIsGone], ['handed over', handedOver]]) {
  const times = await measure();
  console.log(`| ${name} | ${times[times.length >> 1].toFixed(2)} s | ${times.at(-1).toFixed(2)} s |`);
}
process.exit(0);
