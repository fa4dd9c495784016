// A live view in a table: a snapshot, then every change in order. This is all a client of
// views has to do.

import { command } from './command.js';
import { at, socketAt } from './place.js';

const { key, table: view } = document.documentElement.dataset;
const $ = (id) => document.getElementById(id);
const rows = new Map(); // key -> entity
const shown = new Map(); // key -> row of the table
const traffic = { frames: 0, bytes: 0 };
const calm = matchMedia('(prefers-reduced-motion: reduce)');
let sort = { field: ['change'], order: 'desc' };
let socket;
let delay = 500;

function connect() {
  socket = new WebSocket(socketAt(`views/${encodeURIComponent(key)}`));
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => {
    delay = 500;
    socket.send(JSON.stringify({ type: 'subscribe', view }));
  };
  let turn = Promise.resolve(); // unpacking takes time and must not change the order
  socket.onmessage = ({ data }) => {
    turn = turn.then(async () => receive(await unpack(data)));
  };
  socket.onclose = () => {
    $('traffic').textContent = 'Connection lost, trying again';
    setTimeout(connect, delay);
    delay = Math.min(2 * delay, 8000);
  };
}

// unpack reads a frame: JSON in a binary message, gzip if it begins like gzip.
async function unpack(data) {
  if (typeof data === 'string') return JSON.parse(data);
  traffic.frames++;
  traffic.bytes += data.byteLength;
  const bytes = new Uint8Array(data);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return JSON.parse(new TextDecoder().decode(bytes));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
}

function receive(frame) {
  const before = new Map([...rows].map(([name, row]) => [name, row]));
  switch (frame.op) {
    case 'subscribed':
      sort = frame.sort ?? sort;
      return;
    case 'snapshot':
      if (frame.whole) rows.clear(); // what left while we were away is not told
      frame.data.forEach(({ key: name, data }) => rows.set(name, data));
      break;
    case 'upsert':
      rows.set(frame.key, frame.data);
      break;
    case 'patch':
      rows.set(frame.key, { ...rows.get(frame.key), ...frame.data }); // quotes are flat
      break;
    case 'delete':
      rows.delete(frame.key);
      break;
    default:
      return;
  }
  draw(before);
}

function draw(before) {
  const value = ([, row]) => sort.field.reduce((at, name) => at?.[name], row) ?? -Infinity;
  const sign = sort.order === 'desc' ? -1 : 1;
  const list = [...rows].sort((a, b) => sign * (value(a) - value(b)) || (a[0] < b[0] ? -1 : 1));
  const tops = new Map([...shown].map(([name, tr]) => [name, tr.getBoundingClientRect().top]));
  for (const [name, tr] of shown) {
    if (!rows.has(name)) {
      tr.remove();
      shown.delete(name);
    }
  }
  const body = $('rows');
  list.forEach(([name, row], i) => {
    const tr = shown.get(name) ?? element(name);
    fill(tr, name, row);
    if (body.children[i] !== tr) body.insertBefore(tr, body.children[i] ?? null);
    if (!before.has(name)) flash(tr, 'entered');
    else if (before.get(name) !== row) flash(tr, 'changed');
    glide(tr, tops.get(name));
  });
  $('traffic').textContent = `${rows.size} rows · ${traffic.frames} frames · ${traffic.bytes.toLocaleString()} bytes received`;
}

function element(name) {
  const tr = document.createElement('tr');
  tr.dataset.key = name;
  tr.append(...['', '', 'number', 'number', 'number'].map((className) => Object.assign(document.createElement('td'), { className })));
  shown.set(name, tr);
  return tr;
}

function fill(tr, name, { name: title, price, change, volume }) {
  const [symbol, full, money, percent, traded] = tr.children;
  symbol.textContent = name;
  full.textContent = title ?? '';
  money.textContent = typeof price === 'number' ? price.toFixed(2) : price ?? '';
  percent.textContent = typeof change === 'number' ? `${change > 0 ? '+' : ''}${change.toFixed(2)} %` : change ?? '';
  percent.className = `number ${change > 0 ? 'up' : change < 0 ? 'down' : ''}`;
  traded.textContent = volume?.toLocaleString() ?? '';
}

function flash(tr, kind) {
  tr.classList.remove('entered', 'changed');
  void tr.offsetWidth; // so that the animation starts anew
  tr.classList.add(kind);
}

// glide moves a row from where it was to where it is.
function glide(tr, from) {
  const moved = from - tr.getBoundingClientRect().top;
  if (moved && !calm.matches) tr.animate([{ transform: `translateY(${moved}px)` }, { transform: 'none' }], { duration: 350, easing: 'ease-out' });
}

let trading = true;
async function trade() {
  if (trading && !document.hidden) await fetch(at('trade'), { method: 'POST' }).catch(() => {});
  setTimeout(trade, 700);
}

$('trade').addEventListener('click', () => {
  trading = !trading;
  $('trade').textContent = trading ? 'Stop trading' : 'Go on trading';
  $('trade').setAttribute('aria-pressed', String(trading));
});

$('cmd-put').textContent = `${command('view patch', ['app', 'key', 'secret'])} Quote GOLD '{"name":"Gold","price":99.5,"change":42,"volume":1,"halted":false}'`;
$('cmd-watch').textContent = `${command('view watch', ['app', 'key', 'secret'])} ${view}`;
connect();
trade();
