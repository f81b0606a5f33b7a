// Whether a client has already what it asks for.

/** Whether `if-none-match` names the tag, which is without its quotes (RFC 9110 §13.1.2: compared weakly). */
export function isKnown(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((part) => part.trim() === '*' || part.trim().replace(/^W\//, '') === `"${tag}"`);
}
