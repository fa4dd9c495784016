// A client that is gone without a word.

import { once } from 'node:events';
import { connect } from 'node:net';

// mute opens a connection that answers nothing, not even a close.
export async function mute({ host, port, app }) {
  const socket = connect({ port, host });
  socket.write(`GET /app/${app.key}?protocol=7 HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`
    + 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bWlsbHJhY2UtdGVzdGtpdA==\r\n\r\n');
  socket.on('error', () => {});
  await once(socket, 'readable');
}
