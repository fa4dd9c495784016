// How long pusher-js is away when its server goes and comes back, by the close code that it was
// told: one bare server per code and outage, which closes its port with the connection and opens
// it again after the outage. Prints a table in Markdown: seconds from the close to the next
// connection. Usage: node measure/reconnect.js

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import PusherJS from 'pusher-js';

const codes = [4200, 4100, 1001, 1012];
const outages = [0.3, 2, 10]; // seconds
const host = '127.0.0.1';

// frame is one unmasked WebSocket frame of less than 126 bytes, or of less than 64 KiB.
function frame(opcode, payload) {
  const size = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 255];
  return Buffer.concat([Buffer.from([0x80 | opcode, ...size]), payload]);
}

const message = (event, data) => frame(1, Buffer.from(JSON.stringify({ event, data })));

function closing(code) {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return frame(8, payload);
}

// BareServer accepts connections of pusher-js and answers nothing on them.
class BareServer {
  #sockets = new Set();
  port = 0;

  async open() {
    this.http = createServer();
    this.http.on('upgrade', (request, socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
      socket.write(message('pusher:connection_established', JSON.stringify({ socket_id: '1.1', activity_timeout: 120 })));
    });
    this.http.listen(this.port, host);
    await once(this.http, 'listening');
    this.port = this.http.address().port;
  }

  // leave closes the port first, so that no client finds it open, and then says goodbye.
  leave(code) {
    this.http.close();
    for (const socket of this.#sockets) {
      if (code >= 4000) socket.write(message('pusher:error', { code, message: 'The server is shutting down' }));
      socket.end(closing(code));
    }
    this.#sockets.clear();
  }
}

function connect(port) {
  return new PusherJS('key', { cluster: '', wsHost: host, wsPort: port, forceTLS: false, enabledTransports: ['ws'], enableStats: false });
}

function connected(client) {
  return new Promise((resolve) => {
    const look = ({ current }) => {
      if (current !== 'connected') return;
      client.connection.unbind('state_change', look);
      resolve();
    };
    client.connection.bind('state_change', look);
  });
}

const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

async function measure(code, outage) {
  const server = new BareServer();
  await server.open();
  const client = connect(server.port);
  await connected(client);
  const back = connected(client);
  const from = performance.now();
  server.leave(code);
  await pause(outage);
  await server.open();
  await back;
  const took = (performance.now() - from) / 1000;
  client.disconnect();
  server.http.close();
  return took;
}

const rows = await Promise.all(codes.map(async (code) => {
  const times = await Promise.all(outages.map((outage) => measure(code, outage)));
  return `| ${code} | ${times.map((time) => `${time.toFixed(1)} s`).join(' | ')} |`;
}));
console.log(`| close code | ${outages.map((outage) => `away for ${outage} s`).join(' | ')} |`);
console.log(`|---|${outages.map(() => '---|').join('')}`);
rows.forEach((row) => console.log(row));
process.exit(0);
