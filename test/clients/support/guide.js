// The examples of the guides, as they stand there.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const docs = fileURLToPath(new URL('../../../docs/', import.meta.url));

// blocks are the code blocks of one language below a heading of a guide, up to the next heading of
// the same or a higher level.
export function blocks(guide, heading, language) {
  const lines = readFileSync(`${docs}${guide}`, 'utf8').split('\n');
  const level = heading.indexOf(' ');
  const found = [];
  let inside = false;
  let block = null;
  for (const line of lines) {
    if (block) {
      if (line === '```') {
        if (block.language === language) found.push(block.lines.join('\n'));
        block = null;
      } else {
        block.lines.push(line);
      }
      continue;
    }
    if (line.startsWith('```')) {
      block = { language: inside ? line.slice(3) : null, lines: [] };
    } else if (/^#+ /.test(line) && line.indexOf(' ') <= level) {
      inside = line === heading;
    }
  }
  if (found.length === 0) throw new Error(`${guide} has no ${language} below "${heading}"`);
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
