import { Client } from './client.js';
import { command } from './command.js';
import { at, prefix, socketAt } from './place.js';

const { key, lobby, event: published } = document.documentElement.dataset;
const $ = (id) => document.getElementById(id);
const me = loadMe();
const members = new Map();
const typing = new Map(); // user id -> timer
const keepMessages = 200;

const client = new Client({
  url: socketAt(`app/${encodeURIComponent(key)}?protocol=7&client=millrace-page`),
  authorize,
  on: { state: showState, event: receive },
});

// Who I am lives as long as the tab, so that two tabs are two people.
function loadMe() {
  const kept = JSON.parse(sessionStorage.getItem('millrace-me') ?? 'null');
  if (kept) return kept;
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const id = [...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, '0')).join('');
  const name = `${pick(['Calm', 'Brisk', 'Quiet', 'Sunny', 'Bold', 'Gentle', 'Swift', 'Wry'])} ${pick(['Heron', 'Otter', 'Trout', 'Wagtail', 'Beaver', 'Dipper', 'Salmon', 'Newt'])}`;
  return saveMe({ id, name });
}

function saveMe(value) {
  sessionStorage.setItem('millrace-me', JSON.stringify(value));
  return value;
}

async function authorize(socketId, channel) {
  return (await post('auth', { socket_id: socketId, channel_name: channel, user_id: me.id, user_name: me.name })).json();
}

async function post(path, form) {
  const response = await fetch(at(path), { method: 'POST', body: new URLSearchParams(form) });
  if (!response.ok) throw new Error((await response.text()).trim() || `HTTP ${response.status}`);
  return response;
}

// receive takes ids by their text: a member may have a number for an id, and is found in the list by its text.
function receive(event, channel, data, frame) {
  const id = String(frame.user_id ?? data?.user_id ?? '');
  switch (event) {
    case 'pusher_internal:subscription_succeeded':
      members.clear();
      Object.entries(data.presence.hash).forEach(([member, info]) => members.set(member, info));
      showMembers();
      setReady(true);
      measure();
      note('joined as ' + me.name);
      return;
    case 'pusher_internal:member_added':
      members.set(id, data.user_info);
      showMembers();
      note(nameOf(id) + ' came in');
      return;
    case 'pusher_internal:member_removed':
      note(nameOf(id) + ' left');
      members.delete(id);
      stopTyping(id);
      showMembers();
      return;
    case 'pusher:error':
    case 'pusher:subscription_error':
      note(`refused: ${data?.message ?? data?.error ?? 'no reason given'}`, 'error');
      return;
    case 'client-typing':
      startTyping(id);
      return;
    case 'client-message':
      stopTyping(id);
      show({ from: nameOf(id), id, text: data?.text ?? '', way: 'client event' });
      return;
    case published:
      stopTyping(data?.id);
      show({ from: data?.name || 'your backend', id: data?.id || 'backend', text: data?.text ?? JSON.stringify(data), way: 'published' });
      return;
  }
  if (!event.startsWith('pusher')) {
    show({ from: event, id: event, text: typeof data === 'string' ? data : JSON.stringify(data), way: 'event' });
  }
}

function nameOf(id) {
  return members.get(id)?.name ?? (id || 'somebody');
}

function showState(state, { code, reason, delay } = {}) {
  const words = {
    connecting: 'Connecting',
    connected: 'Connected',
    waiting: delay > 0 ? 'Connection lost, trying again' : 'Reconnecting',
    refused: `Refused (${code}): ${reason}`,
  };
  $('state').dataset.state = state;
  $('state-text').textContent = words[state];
  $('retry').hidden = state !== 'waiting' && state !== 'refused';
  $('socket').textContent = client.socketId ?? 'none';
  if (state === 'connected') return;
  setReady(false);
  $('rtt').textContent = '–';
}

// Sending makes sense while the lobby is joined; the text typed meanwhile stays.
function setReady(ready) {
  document.querySelectorAll('button[type=submit]').forEach((button) => { button.disabled = !ready; });
  $('members').classList.toggle('stale', !ready);
}

function showMembers() {
  const list = [...members].sort(([a, x], [b, y]) => (b === me.id) - (a === me.id) || String(x?.name).localeCompare(String(y?.name)));
  $('members').replaceChildren(...list.map(([id, info]) => {
    const item = element('li', { className: id === me.id ? 'me' : '' });
    item.dataset.id = id;
    item.append(avatar(id, info?.name ?? id), element('span', { textContent: info?.name ?? id }));
    if (id === me.id) item.append(element('em', { textContent: 'you' }));
    return item;
  }));
  $('count').textContent = members.size;
}

function show({ from, id, text, way }) {
  const item = element('li', { className: id === me.id ? 'message me' : 'message' });
  const head = element('p', { className: 'by' });
  head.append(element('strong', { textContent: from }), element('span', { textContent: `${way} · ${new Date().toLocaleTimeString()}` }));
  const body = element('div');
  body.append(head, element('p', { className: 'text', textContent: text }));
  item.append(avatar(id, from), body);
  append(item);
}

function note(text, kind = '') {
  append(element('li', { className: `note ${kind}`, textContent: text }));
}

function append(item) {
  const list = $('messages');
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  while (list.children.length > keepMessages) list.firstChild.remove();
  if (follows) list.scrollTop = list.scrollHeight;
}

function avatar(id, name) {
  const hash = [...String(id)].reduce((h, c) => (h * 31 + c.codePointAt(0)) >>> 0, 7);
  const letters = String(name).split(/\s+/).map((word) => [...word][0] ?? '').join('').slice(0, 2).toUpperCase();
  return element('span', { className: `avatar hue-${hash % 8}`, textContent: letters, ariaHidden: 'true' });
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

function startTyping(id) {
  clearTimeout(typing.get(id));
  typing.set(id, setTimeout(() => stopTyping(id), 2500));
  showTyping();
}

function stopTyping(id) {
  clearTimeout(typing.get(id));
  typing.delete(id);
  showTyping();
}

function showTyping() {
  const names = [...typing.keys()].map(nameOf);
  $('typing').textContent = names.length ? `${names.join(', ')} ${names.length > 1 ? 'are' : 'is'} typing…` : '';
}

let typedAt = 0;
$('text').addEventListener('input', () => {
  if (Date.now() - typedAt < 1500) return;
  typedAt = Date.now();
  client.trigger(lobby, 'client-typing', {});
});

$('composer').addEventListener('submit', async (submit) => {
  submit.preventDefault();
  const text = $('text').value.trim();
  if (!text || !members.size) return;
  if (new FormData(submit.target).get('way') === 'server') {
    try {
      await post('publish', { text, user_id: me.id, user_name: me.name });
    } catch (err) {
      note(`not published: ${err.message}`, 'error');
      return;
    }
  } else {
    if (!client.trigger(lobby, 'client-message', { text })) return;
    show({ from: me.name, id: me.id, text, way: 'client event' });
  }
  $('text').value = '';
  typedAt = 0;
});

$('naming').addEventListener('submit', (submit) => {
  submit.preventDefault();
  const name = $('name').value.trim();
  if (!name || name === me.name) return;
  me.name = name;
  saveMe(me);
  showSnippets();
  client.unsubscribe(lobby); // a member's data is fixed when it joins
  client.subscribe(lobby);
});

$('retry').addEventListener('click', () => client.connect());
addEventListener('online', () => client.connect());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && client.state === 'waiting') client.connect();
});

async function measure() {
  if (client.state !== 'connected') return;
  $('rtt').textContent = `${(await client.ping()).toFixed(1)} ms`;
}
setInterval(() => { if (!document.hidden) measure(); }, 10000);

function showSnippets() {
  $('cmd-publish').textContent = `${command('publish', ['app', 'key', 'secret'])} ${lobby} ${published} '{"text":"Hello from a terminal"}'`;
  $('cmd-subscribe').textContent = `${command('subscribe', ['key', 'secret'])} --user terminal ${lobby}`;
  $('cmd-js').textContent = `import Pusher from 'pusher-js';

const pusher = new Pusher('${key}', {
  cluster: '',
  wsHost: '${location.hostname}',
  wsPort: ${location.port || 80},
  wssPort: ${location.port || 443},${prefix && `
  wsPath: '${prefix}',`}
  forceTLS: ${location.protocol === 'https:'},
  enabledTransports: ['ws', 'wss'],
});
pusher.subscribe('news')
  .bind_global(console.log);`;
}

document.querySelectorAll('.snippet').forEach((snippet) => {
  const button = element('button', { type: 'button', className: 'copy quiet', textContent: 'Copy' });
  const code = snippet.querySelector('code');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = 'Copy'; }, 1500);
    } catch {
      getSelection().selectAllChildren(code); // no clipboard without a secure origin
    }
  });
  snippet.querySelector('figcaption').append(button);
});

$('name').value = me.name;
setReady(false);
showSnippets();
client.subscribe(lobby);
client.connect();
