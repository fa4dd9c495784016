// A client of Pusher protocol 7 in one file: enough for this page, and a short reading of the
// protocol for whoever wants to write their own. Real applications use pusher-js.

const firstDelay = 250;
const longestDelay = 5000;
const pongTimeout = 10000;

export class Client {
  #url;
  #authorize;
  #on;
  #socket = null;
  #channels = new Set();
  #attempt = 0;
  #retryTimer = 0;
  #lifeTimer = 0;
  #activityTimeout = 120000;
  #pinged = [];

  socketId = null;
  state = 'idle';

  // authorize(socketId, channel) resolves to { auth, channel_data }.
  // on.state(state, detail) and on.event(event, channel, data, frame) report.
  constructor({ url, authorize, on }) {
    this.#url = url;
    this.#authorize = authorize;
    this.#on = on;
  }

  connect() {
    clearTimeout(this.#retryTimer);
    if (this.#socket) return;
    this.#setState('connecting');
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(socket, JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#lost(socket, code, reason);
  }

  subscribe(channel) {
    this.#channels.add(channel);
    if (this.state === 'connected') this.#join(channel);
  }

  unsubscribe(channel) {
    this.#channels.delete(channel);
    this.#send({ event: 'pusher:unsubscribe', data: { channel } });
  }

  // Client events go to everybody else in the channel, never back to the sender.
  trigger(channel, event, data) {
    return this.#send({ event, channel, data });
  }

  // Resolves to the round trip in milliseconds.
  ping() {
    return new Promise((resolve) => {
      const started = performance.now();
      if (this.#send({ event: 'pusher:ping' })) this.#pinged.push(() => resolve(performance.now() - started));
    });
  }

  #send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #receive(socket, frame) {
    if (socket !== this.#socket) return;
    this.#live();
    // Protocol events carry their data as JSON in a string; a client event carries any value.
    const data = parse(frame.data);
    switch (frame.event) {
      case 'pusher:connection_established':
        this.socketId = data.socket_id;
        this.#activityTimeout = data.activity_timeout * 1000;
        this.#attempt = 0;
        this.#setState('connected');
        this.#channels.forEach((channel) => this.#join(channel));
        return;
      case 'pusher:ping':
        this.#send({ event: 'pusher:pong' });
        return;
      case 'pusher:pong':
        this.#pinged.splice(0).forEach((done) => done());
        return;
    }
    this.#on.event(frame.event, frame.channel, data, frame);
  }

  async #join(channel) {
    const socket = this.#socket;
    try {
      const signed = /^(private|presence)-/.test(channel) ? await this.#authorize(this.socketId, channel) : {};
      if (socket === this.#socket && this.#channels.has(channel)) {
        this.#send({ event: 'pusher:subscribe', data: { channel, ...signed } });
      }
    } catch (err) {
      if (socket !== this.#socket) return;
      this.#on.event('pusher:subscription_error', channel, { error: String(err.message ?? err) }, {});
    }
  }

  // Anything received is a sign of life; silence is answered with a ping, then with a new connection.
  #live() {
    clearTimeout(this.#lifeTimer);
    this.#lifeTimer = setTimeout(() => {
      this.#send({ event: 'pusher:ping' });
      const socket = this.#socket;
      this.#lifeTimer = setTimeout(() => {
        this.#lost(socket, 4201, 'no answer to a ping');
        socket?.close();
      }, pongTimeout);
    }, this.#activityTimeout);
  }

  // The range of the close code says what to do: 4000-4099 stay away, 4200-4299 come back at
  // once, everything else back off.
  #lost(socket, code, reason) {
    if (socket !== this.#socket) return;
    clearTimeout(this.#lifeTimer);
    this.#socket = null;
    this.socketId = null;
    this.#pinged = [];
    if (code >= 4000 && code <= 4099) {
      this.#setState('refused', { code, reason });
      return;
    }
    const atOnce = code >= 4200 && code <= 4299 && this.#attempt === 0;
    const delay = atOnce ? 0 : Math.min(firstDelay * 2 ** this.#attempt, longestDelay) * (0.75 + Math.random() / 2);
    this.#attempt++;
    this.#setState('waiting', { code, reason, delay });
    this.#retryTimer = setTimeout(() => this.connect(), delay);
  }

  #setState(state, detail = {}) {
    this.state = state;
    this.#on.state(state, detail);
  }
}

function parse(data) {
  if (typeof data !== 'string') return data;
  try {
    return JSON.parse(data);
  } catch {
    return data;
  }
}
