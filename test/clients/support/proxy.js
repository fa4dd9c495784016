// nginx, HAProxy and Caddy from the system, with the configurations that deploy/ recommends.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { answered, Inbox, within } from './deadline.js';
import { environment, freePort } from './millrace.js';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

// configured is a file of deploy/ with other addresses and files than those it recommends. All
// else stands as it is; what is to be replaced must be there.
function configured(file, replacements) {
  let text = readFileSync(new URL(`../../../deploy/${file}`, import.meta.url), 'utf8');
  for (const [from, to] of replacements) {
    if (!text.includes(from)) throw new Error(`deploy/${file} lacks ${JSON.stringify(from)}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

// certificate makes one that the suites do not check, and returns its files.
function certificate(folder) {
  const [chain, key] = [join(folder, 'fullchain.pem'), join(folder, 'privkey.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-keyout', key, '-out', chain], { stdio: 'ignore' });
  return { chain, key };
}

const kinds = {
  nginx(folder, port, server) {
    const { chain, key } = certificate(folder);
    writeFileSync(join(folder, 'millrace.conf'), configured('nginx/millrace.conf', [
      ['server 127.0.0.1:6001;', `server ${server};`],
      ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
      ['/etc/ssl/millrace/fullchain.pem', chain],
      ['/etc/ssl/millrace/privkey.pem', key],
    ]));
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => {
      mkdirSync(join(folder, name));
      return `${name}_temp_path ${join(folder, name)};`;
    });
    const main = join(folder, 'nginx.conf');
    writeFileSync(main, `worker_processes 1; daemon off; master_process off; error_log stderr;
pid ${join(folder, 'pid')}; events { worker_connections 1024; }
http { access_log off; ${temporary.join(' ')} include ${join(folder, 'millrace.conf')}; }`);
    return ['nginx', '-p', folder, '-c', main];
  },
  haproxy(folder, port, server) {
    const { chain, key } = certificate(folder);
    const pair = join(folder, 'millrace.pem');
    writeFileSync(pair, readFileSync(chain, 'utf8') + readFileSync(key, 'utf8'));
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(file, configured('haproxy/haproxy.cfg', [
      ['maxconn 100000 ', 'maxconn 1000 '], // as many descriptors as tests have
      ['bind :443 ', `bind 127.0.0.1:${port} `],
      ['/etc/haproxy/millrace.pem', pair],
      ['server millrace 127.0.0.1:6001 ', `server millrace ${server} `],
    ]));
    return ['haproxy', '-db', '-f', file];
  },
  caddy(folder, port, server) {
    const file = join(folder, 'Caddyfile');
    const global = '{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n';
    writeFileSync(file, global + configured('caddy/Caddyfile', [
      ['ws.example.com {', `https://127.0.0.1:${port} {\n\ttls internal`],
      ['127.0.0.1:6001', server],
    ]));
    return ['caddy', 'run', '--adapter', 'caddyfile', '--config', file];
  },
};

export class Proxy {
  host = '127.0.0.1';
  log = new Inbox('the log of the proxy');

  // start runs a proxy of a kind before a server.
  static async start(kind, server) {
    const proxy = new Proxy();
    proxy.folder = mkdtempSync(join(tmpdir(), `millrace-${kind}-`));
    proxy.port = await freePort();
    const [command, ...args] = kinds[kind](proxy.folder, proxy.port, `127.0.0.1:${server.port}`);
    proxy.child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'pipe'], env: { ...environment, HOME: proxy.folder, XDG_DATA_HOME: proxy.folder, XDG_CONFIG_HOME: proxy.folder },
    });
    running.add(proxy.child);
    proxy.exited = once(proxy.child, 'exit').finally(() => running.delete(proxy.child));
    createInterface({ input: proxy.child.stderr }).on('line', proxy.log.push);
    const failed = proxy.exited.then(([code]) => {
      throw new Error(`${kind} ended with ${code}: ${proxy.log.items.join('\n')}`);
    });
    failed.catch(() => {});
    await Promise.race([failed, answered(() => proxy.get('/up').then(({ status }) => status === 200, () => false), `answer through ${kind}`)]);
    return proxy;
  }

  // get asks through the proxy, from an address of its own if one is given.
  async get(path, { headers, localAddress } = {}) {
    const asked = request({ host: this.host, port: this.port, path, headers, localAddress, agent: false });
    asked.end();
    const [event, ...rest] = await within(Promise.race([
      once(asked, 'response').then(([response]) => ['response', response]),
      once(asked, 'upgrade').then(([response, socket]) => ['upgrade', response, socket]),
    ]), `answer to ${path}`);
    const [response, socket] = rest;
    if (event === 'upgrade') return { status: response.statusCode, socket };
    response.resume();
    await once(response, 'end');
    return { status: response.statusCode };
  }

  async stop() {
    this.child.kill('SIGTERM');
    await within(this.exited, 'end of the proxy');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
