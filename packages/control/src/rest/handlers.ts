// What each operation of the table does. Answers are made from the registry's own objects; lists are JSON text already.
import { METRICS_CONTENT_TYPE, metricsFormatFor } from '@heddle/runtime/node';
import { countHealth } from '../admin/health-counts.ts';
import { selectInstances, selectServices } from '../admin/selection.ts';
import { routeRows } from '../admin/routes.ts';
import { NO_FILE, readMeshText } from '../mesh-file/read.ts';
import { listAddresses } from '../discovery-server/listing.ts';
import { administrationHandlers } from './administration-handlers.ts';
import { TEXT_BYTES_MAX } from './body.ts';
import type { Handlers } from './handler.ts';
import { identityHandlers } from './identity-handlers.ts';
import { meshFileHandlers } from './mesh-file-handlers.ts';
import { instanceHandlers } from './instance-handlers.ts';
import { instanceAfter, instanceCursor, itemsAfter, pageJson, serviceAfter } from './listing.ts';
import { eventText, instanceText, presentProxies, presentServiceDetail, scrapeTargets, serviceText, time } from './present.ts';
import { ProblemError } from './problems.ts';
import { STREAM_HEADERS } from './watch/stream.ts';
import { trafficHandlers } from './traffic-handlers.ts';

export const HANDLERS: Handlers = {
  ...instanceHandlers,
  ...administrationHandlers,
  ...identityHandlers,
  ...trafficHandlers,
  ...meshFileHandlers,
  getHealth: (_, { isStopping }) => ({ status: 200, value: { status: isStopping() ? 'stopping' : 'serving' } }),
  getReadiness: (_, { isStopping }) => {
    if (isStopping()) throw new ProblemError('UNAVAILABLE', 'the control plane is stopping');
    return { status: 200, value: { status: 'serving' } };
  },
  getDocument: (_, { document }) => ({ status: 200, text: document() }),
  getMesh: (_, context) => {
    const { registry, mesh, version, startedMs, proxies, meshFile } = context;
    const { origin, splits, differences } = meshFile.status();
    const view = registry.snapshot();
    const value = {
      mesh: mesh.name,
      trustDomain: mesh.trustDomain,
      version,
      revision: view.revision,
      started: time(startedMs),
      services: view.services.size,
      instances: countHealth(selectInstances(view)),
      proxies: proxies.proxies().length,
      ...{ origin, splits: splits.length, differences: differences.length },
    };
    return { status: 200, value };
  },
  validateMeshFile: async ({ text }) => {
    const { mesh, problems } = await readMeshText(text.slice(0, TEXT_BYTES_MAX), NO_FILE);
    return { status: 200, value: { valid: mesh !== undefined, problems } };
  },
  listServices: ({ query }, { registry, epoch }) => {
    const view = registry.snapshot();
    const services = selectServices(view, query.namespace, serviceAfter(query.cursor));
    const cursorOf = ({ namespace, name }: { namespace: string; name: string }): string => `${namespace}/${name}`;
    const text = pageJson({ revision: view.revision }, services, query.limit, serviceText, ({ service }) => cursorOf(service));
    return { status: 200, text, tag: listTag(epoch, view.revision) };
  },
  getService: ({ path }, { registry, epoch }) => {
    const key = `${path.namespace}/${path.service}`;
    const view = registry.service(key);
    if (view === undefined) throw new ProblemError('NOT_FOUND', `there is no service ${key}`);
    return { status: 200, value: presentServiceDetail(view, registry.revision), tag: listTag(epoch, registry.revision) };
  },
  listAddresses: ({ query }, { registry, epoch }) => {
    const view = registry.snapshot();
    const services = new Map(
      [...view.services].filter(([, { service }]) => query.namespace === undefined || service.namespace === query.namespace),
    );
    const value = { revision: view.revision, services: listAddresses({ revision: view.revision, services }) };
    return { status: 200, value, tag: listTag(epoch, view.revision) };
  },
  listRoutes: ({ query }, { registry }) => {
    const { namespace, service } = query;
    const wanted = { ...(namespace === undefined ? {} : { namespace }), ...(service === undefined ? {} : { service }) };
    return { status: 200, value: { items: routeRows(wanted, registry) } };
  },
  listInstances: ({ query }, { registry, epoch }) => {
    const view = registry.snapshot();
    const labels = query.label?.map((text): [string, string] => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]);
    const filter = { ...query, ...(labels === undefined ? {} : { labels }) };
    const instances = selectInstances(view, filter, instanceAfter(query.cursor));
    const text = pageJson({ revision: view.revision }, instances, query.limit, instanceText, instanceCursor);
    return { status: 200, text, tag: listTag(epoch, view.revision) };
  },
  getMetrics: (_, { metrics }, { accept }) => {
    const format = metricsFormatFor(accept);
    return { status: 200, text: metrics.expose(format), headers: { 'content-type': METRICS_CONTENT_TYPE[format] } };
  },
  listScrapeTargets: (_, { proxies }) => ({ status: 200, value: scrapeTargets(proxies.proxies()) }),
  listProxies: ({ query }, { proxies }) => {
    const all = presentProxies(proxies).filter(({ node }) => query.node === undefined || node === query.node);
    return {
      status: 200,
      text: pageJson(
        {},
        itemsAfter(all, query.cursor, ({ id }) => id),
        query.limit,
        (proxy) => JSON.stringify(proxy),
        ({ id }) => id,
      ),
    };
  },
  getProxy: ({ path }, { proxies }) => {
    const newest = presentProxies(proxies).findLast(({ node }) => node === path.node);
    if (newest === undefined) throw new ProblemError('NOT_FOUND', `no data plane of the name ${JSON.stringify(path.node)} is connected`);
    return { status: 200, value: newest };
  },
  listLoad: ({ query }, { proxies }) => {
    const loads = proxies.loads(query.node);
    const name = ({ source, destination }: { source: string; destination: string }): string => `${source} ${destination}`;
    const textOf = ({ updatedMs, ...load }: (typeof loads)[number]): string => JSON.stringify({ ...load, updated: time(updatedMs) });
    return { status: 200, text: pageJson({}, itemsAfter(loads, query.cursor, name), query.limit, textOf, name) };
  },
  listEvents: ({ query }, { events }) => {
    const { limit, ...filter } = query;
    // One more than asked for tells whether there are more.
    const found = events.list({ ...filter, limit: query.after === undefined ? limit : limit + 1 });
    return { status: 200, text: pageJson({}, found, limit, eventText, ({ id }) => id) };
  },
  watch: ({ query }, { watches }, { lastEventId }) => ({
    status: 200,
    stream: watches.open({ kinds: query.kinds, namespace: query.namespace, lastEventId }),
    headers: STREAM_HEADERS,
  }),
};

/** What a list says depends on nothing but the revision. */
function listTag(epoch: string, revision: number): string {
  return `${epoch}-${revision}`;
}
