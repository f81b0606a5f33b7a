// Generated reference pages must be what their generator writes now, every link between our own pages must lead somewhere, and every command in the
// documentation must be run by a test or excused, with the reason.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { listFiles } from '../files.ts';
import { readPage } from '../docs/pages.ts';
import { documents } from '../docs.ts';
import type { CheckResult } from './check.ts';

export async function checkDocs(root: string): Promise<CheckResult> {
  const problems: string[] = [];
  const generated = await documents(root);
  for (const { path, text } of generated) {
    const present = existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined;
    if (present !== text) problems.push(`${path} is ${present === undefined ? 'missing' : 'out of date'}: run \`npm run docs\``);
  }
  const pages = listFiles(root, /\.md$/, ['']);
  for (const page of pages) problems.push(...deadLinks(root, page));
  for (const page of documentedPages(root)) problems.push(...readPage(page, readFileSync(join(root, page), 'utf8')).problems);
  return { ok: problems.length === 0, detail: `${generated.length} generated, ${pages.length} pages`, output: problems.join('\n') };
}

/** Pages for users of the mesh, relative to the root: what they tell people to type is tried. */
export function documentedPages(root: string): string[] {
  return listFiles(root, /^(README\.md|docs\/.*\.md|examples\/.*README\.md)$/, ['']);
}

/** Relative links of a page whose file, or whose heading in that file, does not exist. */
export function deadLinks(root: string, page: string): string[] {
  const text = readFileSync(join(root, page), 'utf8');
  const problems: string[] = [];
  for (const [, target = ''] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [file = '', heading] = target.split('#');
    const path = file === '' ? page : normalize(join(dirname(page), file));
    if (!existsSync(join(root, path))) problems.push(`${page}: the link to ${target} leads nowhere`);
    else if (heading !== undefined && path.endsWith('.md') && !headings(readFileSync(join(root, path), 'utf8')).has(heading)) {
      problems.push(`${page}: ${path} has no heading for #${heading}`);
    }
  }
  return problems;
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
}

/** Anchors as code hosts make them: lower case, punctuation dropped, spaces as dashes. */
function headings(text: string): Set<string> {
  const titles = text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...titles].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .trim()
        .replace(/ /g, '-'),
    ),
  );
}
