// The part of the table that is about traffic: who calls whom and how that goes, what was refused, and what would become of a request.
import { z } from 'zod';
import type { Operation } from './operation.ts';
import { namespaceName } from './schema/common.ts';
import { ServicePath } from './schema/services.ts';
import { DecisionList, DecisionQuery, Explanation, ExplainQuestion } from './schema/decisions.ts';
import { TapQuery } from './schema/tap.ts';
import { Graph, SeriesPoints, SeriesQuery, ServiceTraffic, window } from './schema/traffic.ts';

export const TRAFFIC_OPERATIONS = {
  getGraph: {
    method: 'GET',
    url: '/api/v1/graph',
    tag: 'traffic',
    summary: 'Who calls whom, how much, how fast and how well',
    role: 'viewer',
    description:
      'Every service, and every edge on which something went in the window. It ends some seconds ago, where all data planes have reported. After a restart of the control plane it begins anew: `since` says when.',
    query: z.strictObject({ window, namespace: namespaceName.optional() }),
    answers: { 200: { description: 'Sorted by name.', schema: Graph } },
  },
  getSeries: {
    method: 'GET',
    url: '/api/v1/series',
    tag: 'traffic',
    summary: 'How traffic went over time',
    role: 'viewer',
    description:
      'Of an edge (`source` and `destination`), of all calls to a service or from it, of one of its routes or instances, or of the whole mesh.',
    query: SeriesQuery,
    answers: { 200: { description: 'Points, oldest first; null where nothing is known, or nothing was measured.', schema: SeriesPoints } },
  },
  getServiceTraffic: {
    method: 'GET',
    url: '/api/v1/services/{namespace}/{service}/traffic',
    tag: 'traffic',
    summary: 'Callers, callees, routes and instances of one service, with their traffic',
    role: 'viewer',
    path: ServicePath,
    query: z.strictObject({ window }),
    answers: { 200: { description: 'What had any traffic, sorted by name.', schema: ServiceTraffic } },
    problems: ['NOT_FOUND'],
  },
  listDecisions: {
    method: 'GET',
    url: '/api/v1/decisions',
    tag: 'traffic',
    summary: 'Requests that were refused by access rules, or that rules on trial would have refused',
    role: 'viewer',
    description:
      'From what the data planes tell; the newest 2,000, at most 500 of one data plane; `lost` says how many more there were. A restart of the control plane forgets them.',
    query: DecisionQuery,
    answers: { 200: { description: 'Newest first.', schema: DecisionList } },
  },
  explainRequest: {
    method: 'POST',
    url: '/api/v1/explain',
    tag: 'traffic',
    summary: 'What would become of a request',
    role: 'viewer',
    description:
      'As `heddle explain`: a connected data plane that hosts who calls is asked, and answers by what it has applied. Nothing is sent. REFUSED: no data plane of Heddle that could answer is connected.',
    changes: false,
    body: ExplainQuestion,
    answers: { 200: { description: 'The explanation, as `heddle explain -o json` prints it.', schema: Explanation } },
    problems: ['NOT_FOUND', 'REFUSED', 'LIMIT', 'UNAVAILABLE'],
  },
  tap: {
    method: 'GET',
    url: '/api/v1/tap',
    tag: 'traffic',
    summary: 'Live requests',
    role: 'editor',
    description:
      'Server-sent events: `watchers` (TapWatchers), `record` (TapRecord), `lost` (TapLost) and `end` (TapEnd), the last one. Queries, credentials, cookies and what looks like a token are never told. Who looks, and at what, is in the audit log.',
    query: TapQuery,
    answers: { 200: { description: 'A stream that ends when its time is over.', mediaType: 'text/event-stream', schema: z.string() } },
    problems: ['NOT_FOUND', 'LIMIT', 'UNAVAILABLE'],
  },
} as const satisfies Record<string, Operation>;
