// What `security` means as a whole: how encrypted calls are, who is denied; its parts have checks of their own.
import type { ConditionCompiler } from '../../authz/index.ts';
import { deniedId } from '../build/security.ts';
import { SYSTEM_NAMESPACE } from '../../model/service.ts';
import type { Fault, Path } from '../fault.ts';
import { shown } from '../fault.ts';
import { checkAccess } from './access.ts';
import { checkIssuers } from './issuers.ts';
import { checkOutbound } from './outbound.ts';
import { arrayOf, keyFault, noEffect, recordOf, valueFault, warning, type Raw } from './raw.ts';
import type { SecurityFiles } from './security-files.ts';
import { SecurityNames } from './security-names.ts';
import { WHO_WORDS } from './who.ts';

/** What is lost. */
const MODES: Readonly<Record<string, string>> = {
  permissive: 'callers without TLS are taken as well: what they send is not encrypted, and nobody knows who they are',
  off: 'nothing is encrypted, and nobody has an identity: whoever reaches the port may read, change and send what they like',
};

/** @param root the file as it was written. */
export function checkSecurity(root: Raw, files: SecurityFiles, conditions?: ConditionCompiler): Fault[] {
  const security = recordOf(root['security']);
  const path = ['security'];
  const names = new SecurityNames(root);
  const issuers = arrayOf(security['issuers']).flatMap((issuer) => {
    const { name } = recordOf(issuer);
    return typeof name === 'string' && name !== '' ? [name] : [];
  });
  const isOff = modesOf(security, names.services).every((mode) => mode === 'off');
  return [
    ...checkMode(security['mtls'], [...path, 'mtls'], 'all services'),
    ...Object.entries(names.services).flatMap(([name, service]) =>
      checkMode(recordOf(service)['mtls'], ['services', name, 'mtls'], shown(name)),
    ),
    ...(isOff && security['tls'] !== undefined ? [noEffect([...path, 'tls'], 'with "mtls: off" nothing between workloads uses TLS')] : []),
    ...checkIssuers(security['issuers'], files, [...path, 'issuers']),
    ...checkAccess(security['access'], { names, issuers, conditions }, [...path, 'access']),
    ...checkDenied(security['deny'], names, isOff, [...path, 'deny']),
    ...checkOutbound(security['outbound'], { names, files, egress: root['egress'], hasIssuers: issuers.length > 0 }, [...path, 'outbound']),
    // They have all been seen by now.
    ...names.oddNamespaces(),
  ];
}

/** Of each service, or of the mesh where there is none. */
function modesOf(security: Raw, services: Raw): unknown[] {
  const standard = security['mtls'] ?? 'strict';
  const own = Object.values(services).map((service) => recordOf(service)['mtls'] ?? standard);
  return own.length === 0 ? [standard] : own;
}

function checkMode(mode: unknown, path: Path, whose: string): Fault[] {
  const lost = typeof mode === 'string' && Object.hasOwn(MODES, mode) ? MODES[mode] : undefined;
  if (lost === undefined) return [];
  return [warning(valueFault(path, `at ${whose}, ${lost}`, 'write "strict" as soon as all callers are in the mesh'))];
}

function checkDenied(deny: unknown, names: SecurityNames, isOff: boolean, path: Path): Fault[] {
  const seen = new Set<string>();
  const list = arrayOf(deny);
  const faults = list.flatMap((written, index): Fault[] => {
    if (typeof written !== 'string' || written === '') return [];
    const at = [...path, index];
    if (WHO_WORDS.includes(written) && !Object.hasOwn(names.services, written)) return [ownFault(written, at)];
    const found = written.includes('://') ? names.checkIdentity(written, at, false) : checkDeniedName(written, names, at);
    if (found.some(({ severity }) => severity === undefined)) return found;
    const id = deniedId(written, names.trustDomain);
    if (id.startsWith(`spiffe://${names.trustDomain}/ns/${SYSTEM_NAMESPACE}/`)) return [ownFault(written, at)];
    if (seen.has(id)) return [valueFault(at, `${shown(written)} is listed twice`, 'remove one of the two')];
    seen.add(id);
    return found;
  });
  if (!isOff || list.length === 0) return faults;
  return [...faults, warning(keyFault(path, 'has no effect: with "mtls: off" nobody has an identity', 'write "mtls: strict"'))];
}

function ownFault(written: string, path: Path): Fault {
  if (written === 'anyone' || written === 'mesh')
    return valueFault(path, `${shown(written)} is not an identity`, 'list each identity; rules with "effect: deny" are for many');
  const reason = `${shown(written)} is an identity of the mesh itself, without which nobody could mend anything`;
  return valueFault(path, reason, 'remove it');
}

/** A service that is gone from the file may well stand here; one that was misspelled would go on. */
function checkDeniedName(written: string, names: SecurityNames, path: Path): Fault[] {
  if (written.includes('*'))
    return [valueFault(path, `${shown(written)} stands for many`, 'list each identity; rules with "effect: deny" are for many')];
  return names.checkService(written, path).map((fault): Fault => {
    if (!fault.reason.startsWith('there is no service')) return fault;
    const known = `write "${deniedId(written, names.trustDomain)}" if it is meant`;
    const hint = fault.mend.startsWith('did you mean') ? `${fault.mend} ${known[0]?.toUpperCase()}${known.slice(1)}` : known;
    return warning({ ...fault, mend: hint });
  });
}
