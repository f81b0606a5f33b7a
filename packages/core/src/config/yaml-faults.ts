// The YAML library's errors in our words: each with a mend.
import type { YAMLError } from 'yaml';
import type { Fault } from './fault.ts';

type Explanation = readonly [reason: string, mend: string];

const EXPLANATIONS: Readonly<Partial<Record<YAMLError['code'], Explanation>>> = {
  TAB_AS_INDENT: ['a tab is used for indentation', 'indent with spaces'],
  BAD_INDENT: [
    'the indentation does not fit the lines around it',
    'let keys of the same level begin in the same column, and close every bracket',
  ],
  MULTIPLE_DOCS: [
    'the file holds more than one YAML document',
    'keep one document per file; remove the line "---" and what belongs to the other one',
  ],
  BLOCK_AS_IMPLICIT_KEY: ['a second ": " stands in the same line', 'put the value in quotes, or begin a new line with deeper indentation'],
  MULTILINE_IMPLICIT_KEY: ['a key spans several lines', 'write the key in one line, followed by ":"'],
  KEY_OVER_1024_CHARS: ['a key is longer than 1,024 characters', 'shorten the key, or close the quote or bracket before it'],
  NON_STRING_KEY: ['a list or map is used as a key', 'use a plain name as the key; text that begins with "[" or "{" needs quotes'],
  RESOURCE_EXHAUSTION: ['lists or maps are nested too deeply', 'close the brackets; a mesh file needs six levels'],
  BAD_ALIAS: ['an alias is malformed', 'write "*name"; text that begins with "*" needs quotes'],
  ALIAS_PROPS: ['an alias cannot carry an anchor or a tag', 'remove what stands before the "*"'],
  MULTIPLE_ANCHORS: ['a value has two anchors', 'keep one'],
  BAD_DQ_ESCAPE: ['an escape in double quotes is not known to YAML', 'write "\\\\" for a backslash, or use single quotes'],
};

export function syntaxFault(error: YAMLError): Fault {
  const [reason, mend] = explain(error);
  return { path: [], on: 'value', reason, mend };
}

/** The first is the cause: from there on the file is read in another way than it was meant. */
export function withoutFollowing<E extends YAMLError>(errors: readonly E[]): E[] {
  const first = errors.findIndex(({ code }) => code === 'UNEXPECTED_TOKEN');
  return errors.filter(({ code }, index) => code !== 'UNEXPECTED_TOKEN' || index === first);
}

function explain(error: YAMLError): Explanation {
  const known = EXPLANATIONS[error.code];
  if (known !== undefined) return known;
  // The message may quote the file at any length.
  const message = error.message.length > 120 ? `${error.message.slice(0, 119)}…` : error.message;
  const detail = message.charAt(0).toLowerCase() + message.slice(1);
  switch (error.code) {
    case 'TAG_RESOLVE_FAILED':
      return [`the tag cannot be used here (${detail})`, 'remove the tag; text that begins with "!" needs quotes'];
    case 'BAD_SCALAR_START':
      return [detail, 'put the value in quotes'];
    case 'MISSING_CHAR':
      if (error.message.includes('quote')) return ['a quote is not closed', 'add the closing quote'];
      if (error.message.includes('Implicit map key')) return ['a key has no ":" after it', 'write "key: value"'];
      return [detail, 'add what is missing, or put the value in quotes'];
    case 'UNEXPECTED_TOKEN':
      if (error.message.includes('flow-map-start at node end'))
        return ['a "{" stands in a text without quotes', 'put the text in quotes, for example "/orders/{id}"'];
      return [detail, 'correct the YAML at this place; values with special signs need quotes'];
    case 'BAD_DIRECTIVE':
      return [detail, 'remove the line that begins with "%"'];
    default:
      return [detail, 'correct the YAML at this place; values with special signs need quotes'];
  }
}
