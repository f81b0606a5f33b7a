// What the order of a trust bundle tells: its first root is the one that certificates come from now. So whoever holds a certificate can tell
// whether one that is asked for now would be another. Told by text, and not by time: a bundle is the same wherever it comes from.
import { decodePem, encodePem } from '@heddle/core';
import { pathToRoot } from '@heddle/runtime/node';
import type { HeldIdentity } from './sign-call.ts';

/** Whether the certificate came from the first of these roots, and together with all of them in this order. What cannot be read is passed over. */
export function isOfRoots({ certificatePem, rootsPem }: Pick<HeldIdentity, 'certificatePem' | 'rootsPem'>, roots: string): boolean {
  const today = decodePem('CERTIFICATE', roots);
  const [first] = today;
  if (first === undefined) return true;
  const atIssue = decodePem('CERTIFICATE', rootsPem);
  if (atIssue.length !== today.length || atIssue.some((der, index) => Buffer.compare(der, today[index] ?? NOTHING) !== 0)) return false;
  const [leafDer, ...intermediates] = decodePem('CERTIFICATE', certificatePem);
  return leafDer !== undefined && pathToRoot({ leafDer, intermediates, rootsPem: encodePem('CERTIFICATE', first) }) !== undefined;
}

const NOTHING = new Uint8Array();
