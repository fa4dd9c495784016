// Node 20's WebSocket says "error" and never "close" when it cannot be opened. Clients wait for the
// close before they try again, as the standard has it, and so would never come back to a server
// that takes a moment to start.

export class StandardWebSocket extends globalThis.WebSocket {
  constructor(...args) {
    super(...args);
    let isOver = false;
    this.addEventListener('open', () => { isOver = true; }); // from here on Node does as it should
    this.addEventListener('close', () => { isOver = true; });
    this.addEventListener('error', () => setImmediate(() => {
      if (!isOver) this.dispatchEvent(Object.assign(new Event('close'), { code: 1006, reason: '', wasClean: false }));
    }));
  }
}
