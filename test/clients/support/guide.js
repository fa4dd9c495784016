// What the guides tell people to type, run as it stands: a folder in which bin/millrace,
// millrace and make are found, and whose commands reach one server.

import { execFile } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { answered, waitLimit } from './deadline.js';
import { binary, environment } from './millrace.js';

const repository = fileURLToPath(new URL('../../..', import.meta.url));

// blocks are the code blocks of a document, in their order.
export function blocks(document) {
  const text = readFileSync(join(repository, document), 'utf8');
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(({ 1: language, 2: code, index }) => ({
    language, code, name: `${document}:${text.slice(0, index).split('\n').length} ${code.split('\n')[0]}`,
  }));
}

// examples are the code blocks of one language below a heading of a document, up to the next heading
// of the same or a higher level.
export function examples(document, heading, language) {
  const text = readFileSync(join(repository, document), 'utf8');
  const level = heading.indexOf(' ');
  const found = [];
  let inside = false;
  for (const [whole, kind, code, marks] of text.matchAll(/^```(\w*)\n(.*?)^```$|^(#+) [^\n]*$/gms)) {
    if (marks === undefined) {
      if (inside && kind === language) found.push(code.slice(0, -1));
    } else if (marks.length <= level) {
      inside = whole === heading;
    }
  }
  if (found.length === 0) throw new Error(`${document} has no ${language} below "${heading}"`);
  return found;
}

// fill replaces what an example cannot know; everything named must be in it.
export function fill(text, replacements) {
  for (const [from, to] of Object.entries(replacements)) {
    if (!text.includes(from)) throw new Error(`the example says nothing of ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

// Commands that run until they are told to end are left running, and the server is there already.
const wrapper = (url, folder, flags) => `#!/bin/sh
case "$1 $2" in
  serve*) exit 0 ;;
  config*|check*|token*|context*) exec '${binary}' "$@" ;;
esac
for arg in "$@"; do case "$arg" in --url|--config) given=1 ;; esac; done
[ -n "$given" ] || set -- "$@" --url '${url}' ${flags}
case "$1 $2" in
  subscribe*|"view watch") '${binary}' "$@" >>'${folder}/watched' 2>&1 & echo $! >>'${folder}/pids' ;;
  *) exec '${binary}' "$@" ;;
esac
`;

export class Terminal {
  constructor(server, flags = '') {
    this.server = server;
    this.folder = mkdtempSync(join(tmpdir(), 'guide-'));
    mkdirSync(join(this.folder, 'bin'));
    for (const name of ['watched', 'pids']) writeFileSync(join(this.folder, name), '');
    writeFileSync(join(this.folder, 'bin/millrace'), wrapper(server.url, this.folder, flags), { mode: 0o755 });
    writeFileSync(join(this.folder, 'bin/make'), `#!/bin/sh\nexec /usr/bin/env -i PATH=/usr/bin:/bin make -n -C '${repository}' "$@"\n`, { mode: 0o755 });
  }

  // run is what a shell makes of a block; any command that fails fails it.
  run(code) {
    const text = code.replaceAll('http://127.0.0.1:6001', this.server.url);
    const env = { ...environment, XDG_CONFIG_HOME: this.folder, PATH: `${join(this.folder, 'bin')}:${environment.PATH}`, MILLRACE_METRICS_LISTEN: `127.0.0.1:${this.server.metricsPort}` };
    return new Promise((resolve, reject) => {
      execFile('bash', ['-ec', text], { cwd: this.folder, env, timeout: waitLimit }, (error, stdout, stderr) => {
        if (error) reject(new Error(`${code}\n${stdout}${stderr}${error.message}`));
        else resolve(stdout);
      });
    });
  }

  // watched resolves when a command that was left running has said something.
  watched(text) {
    return answered(async () => {
      await new Promise(setImmediate);
      return readFileSync(join(this.folder, 'watched'), 'utf8').includes(text);
    }, `${text} on the screen`);
  }

  // checkWatched fails when a command that was left running has complained.
  checkWatched() {
    const said = readFileSync(join(this.folder, 'watched'), 'utf8');
    if (/^(millrace: )?error/im.test(said)) throw new Error(said);
  }

  write(name, text) {
    writeFileSync(join(this.folder, name), text);
    return join(this.folder, name);
  }

  close() {
    for (const pid of readFileSync(join(this.folder, 'pids'), 'utf8').split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid));
      } catch {
        // it has ended
      }
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const known = new Set(['millrace', 'bin/millrace', 'curl', 'make', 'echo']);

// isCommands says whether a block is something to type.
export function isCommands(block) {
  const [first] = block.code.trim().split(/\s/);
  return block.language === '' && (known.has(first) || /^\w+=\$\(millrace /.test(block.code));
}

// requests reads the HTTP requests of a block: a method and a path, headers, a body.
export function requestOf(block) {
  const match = block.code.match(/^(GET|POST|PATCH|PUT|DELETE) (\S+)\n(?:[A-Z][\w-]+: .*\n)*\n?(.*)$/s);
  if (!match) return null;
  const [, method, path, body] = match;
  return { method, path, body: body.trim() };
}

// documents are the JSON documents of a block.
export function documents(block) {
  const found = [];
  let text = '';
  for (const line of block.code.split('\n')) {
    text += line;
    try {
      found.push(JSON.parse(text));
      text = '';
    } catch {
      text += '\n';
    }
  }
  if (text.trim()) throw new Error(`${block.name}: not JSON: ${text}`);
  return found;
}

// shape is what a document is made of, without its values.
export function shape(value) {
  if (Array.isArray(value)) return value.length ? [shape(value[0])] : [];
  if (value === null || typeof value !== 'object') return typeof value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, shape(member)]));
}
