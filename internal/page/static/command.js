// The commands of the page, for the shell in which the server was started.

import { server } from './place.js';

const { program, app, key } = document.documentElement.dataset;

// command begins one: the program as it was called, what it does, and to which server. With an
// app that is not the program's default come the flags that name it.
export function command(verb, flags) {
  const own = {
    app: `--app ${quote(app)}`,
    key: `--key ${quote(key)}`,
    secret: '--secret "$MILLRACE_APPS_0_SECRET"',
  };
  return [`${program} ${verb} --url ${server}`, ...(app ? flags.map((name) => own[name]) : [])].join(' ');
}

function quote(text = '') {
  return /^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
