// What needs somebody: the worst first. Empty is the best that can be said of a mesh.
import type { Authority, Instance, IssuedCertificate, MeshEvent, Proxy, Service } from '../api/types.ts';
import type { GraphEdge } from '../api/traffic.ts';
import { href, serviceHref } from '../state/routes.ts';
import { percent, plural, rate, shortName, span } from './format.ts';
import { identityName, type Tone } from './words.ts';

export interface Attention {
  readonly tone: Exclude<Tone, 'good' | 'calm'>;
  readonly text: string;
  readonly why: string;
  readonly href: string;
}

export interface AttentionFacts {
  readonly services: readonly Service[];
  readonly instances: readonly Instance[];
  readonly proxies: readonly Proxy[];
  readonly certificates: readonly IssuedCertificate[];
  readonly authority: Authority | undefined;
  readonly events: readonly MeshEvent[];
  readonly edges: readonly GraphEdge[];
  readonly nowMs: number;
}

/** A certificate is renewed at half its life: one that has less left than this of it is late. */
const LATE_SHARE = 0.25;
/** Fewer errors, in number and as a share of the calls, are what retries are for. */
const ERRORS_MIN = 0.2;
const ERROR_SHARE_MIN = 0.02;
const ERROR_SHARE_BAD = 0.2;
/** Anomalies are shown for so long. */
const ANOMALY_MS = 15 * 60_000;
/** Data planes apply a change within milliseconds. */
const BEHIND_MS = 10_000;

export function attentionOf(facts: AttentionFacts): Attention[] {
  const found = [...ofServices(facts), ...ofEdges(facts), ...ofProxies(facts), ...ofIdentities(facts), ...ofEvents(facts)];
  return found.sort((a, b) => Number(a.tone === 'warn') - Number(b.tone === 'warn'));
}

function ofServices({ services, instances }: AttentionFacts): Attention[] {
  const found: Attention[] = [];
  for (const { namespace, name, instances: counts } of services) {
    if (counts.healthy > 0) continue;
    const key = `${namespace}/${name}`;
    const why = counts.total === 0 ? 'no instance is registered' : `${plural(counts.total, 'instance')}, none is healthy`;
    found.push({ tone: 'bad', text: `${shortName(key)} has nobody to answer`, why, href: serviceHref(key) });
  }
  for (const { namespace, service, instance, health, healthReason } of instances) {
    if (health !== 'unhealthy') continue;
    found.push({ tone: 'bad', text: `${instance} is unhealthy`, why: healthReason, href: serviceHref(`${namespace}/${service}`) });
  }
  return found;
}

function ofEdges({ edges }: AttentionFacts): Attention[] {
  return edges.flatMap(({ source, destination, requestsPerSecond, errorsPerSecond, errors }): Attention[] => {
    if (errorsPerSecond < ERRORS_MIN || errorsPerSecond < requestsPerSecond * ERROR_SHARE_MIN) return [];
    const codes = Object.entries(errors).sort(([, a], [, b]) => b - a);
    const why = codes
      .slice(0, 3)
      .map(([code, count]) => `${code} ${rate(count)}`)
      .join(', ');
    const text = `${shortName(source)} → ${shortName(destination)}: ${percent(errorsPerSecond, requestsPerSecond)} of the calls fail`;
    return [{ tone: errorsPerSecond >= requestsPerSecond * ERROR_SHARE_BAD ? 'bad' : 'warn', text, why, href: serviceHref(destination) }];
  });
}

function ofProxies({ proxies, nowMs }: AttentionFacts): Attention[] {
  return proxies.flatMap(({ node, sync }): Attention[] => {
    const rejected = sync.find(({ state }) => state === 'rejected');
    const to = href('proxies');
    if (rejected !== undefined) return [{ tone: 'bad', text: `${node} has refused its configuration`, why: rejected.rejection, href: to }];
    const behind = sync.find(({ behindSince }) => behindSince !== null && nowMs - Date.parse(behindSince) > BEHIND_MS);
    if (behind === undefined) return [];
    const why = `it has not acknowledged its ${behind.kind} for ${span(nowMs - Date.parse(behind.behindSince ?? ''))}`;
    return [{ tone: 'warn', text: `${node} is behind`, why, href: to }];
  });
}

/** Of each identity that is at work the newest: who has left renews nothing, and who came back has another one. As `heddle check` has it. */
function overdue({ certificates, instances, proxies, nowMs }: AttentionFacts): IssuedCertificate[] {
  const atWork = new Set([
    ...instances.map(({ namespace, service }) => `${namespace}/${service}`),
    ...proxies.map(({ identity }) => identityName(identity)),
  ]);
  const newest = new Map<string, IssuedCertificate>();
  for (const one of certificates) {
    const known = newest.get(one.identity);
    if (known === undefined || Date.parse(known.issued) <= Date.parse(one.issued)) newest.set(one.identity, one);
  }
  return [...newest.values()].filter(({ identity, issued, notAfter, denied, why }) => {
    const [from, until] = [Date.parse(issued), Date.parse(notAfter)];
    const isLate = until > nowMs && until - nowMs < (until - from) * LATE_SHARE;
    return isLate && !denied && why !== 'control' && atWork.has(identityName(identity));
  });
}

function ofIdentities(facts: AttentionFacts): Attention[] {
  const { authority, nowMs } = facts;
  const to = href('identities');
  const late = overdue(facts);
  const [first] = late;
  const found: Attention[] =
    first === undefined
      ? []
      : [
          {
            tone: 'warn',
            text: `${plural(late.length, 'certificate')} should have been renewed by now`,
            why: `that of ${shortName(identityName(first.identity))} ends in ${span(Date.parse(first.notAfter) - nowMs)}`,
            href: to,
          },
        ];
  if (authority === undefined) return found;
  if (authority.logFailing)
    found.push({
      tone: 'bad',
      text: 'The log of issued certificates cannot be written',
      why: 'is the disk of the control plane full?',
      href: to,
    });
  if (authority.phase !== 'none')
    found.push({
      tone: 'warn',
      text: 'The root is being replaced',
      why: authority.obstacles[0] ?? `the next step is ${authority.step ?? 'none'}`,
      href: to,
    });
  return found;
}

function ofEvents({ events, nowMs }: AttentionFacts): Attention[] {
  const anomalies = events.filter(({ kind, time }) => kind === 'anomaly' && nowMs - Date.parse(time) < ANOMALY_MS);
  return anomalies.map(({ subject, message }) => ({
    tone: 'warn',
    text: `${shortName(subject)}: out of the ordinary`,
    why: message,
    href: href('events', { subject }),
  }));
}
