// Every label of a metric: what it says. One name means one thing in all metrics.

interface LabelMeaning {
  readonly meaning: string;
  /** Its values are a list in the code, and not names that configuration, peers or instances bring. */
  readonly isClosed?: true;
}

export const METRIC_LABELS = {
  action: { meaning: 'What was done; of the REST API the operation.', isClosed: true },
  by: { meaning: 'What decided: `rule`, `default`, `token`, `authorizer`, `form` or `caller`.', isClosed: true },
  class: {
    meaning:
      '`1xx` to `5xx`; `other` for a status outside of these; `none` without a status: the client went first, or it was no HTTP. gRPC counts by the HTTP status that stands for its own: `UNAVAILABLE` is `5xx`.',
    isClosed: true,
  },
  cluster: { meaning: 'Name of the xDS cluster; `outbound/<namespace>/<service>` for services of the mesh.' },
  code: { meaning: 'Status of the answer.', isClosed: true },
  decision: { meaning: '`allowed`, `denied`, `would-allow`, `would-deny` or `unavailable`.', isClosed: true },
  destination: { meaning: '`<namespace>/<service>` that is called; `unknown` where none was found.' },
  destination_instance: { meaning: 'Name of the called instance. (`instance` is what Prometheus calls the target that it reads.)' },
  direction: {
    meaning: '`outbound`: at the caller; `inbound`: at the called side; `mirror`: copies that nobody waits for.',
    isClosed: true,
  },
  error: { meaning: '[Code](errors.md) of the error that a data plane made; `CLIENT_GONE`; empty when the application answered.' },
  issuer: { meaning: 'Name of the issuer of tokens.' },
  kind: { meaning: 'Which kind of it.', isClosed: true },
  limit: { meaning: 'Which limit was reached.', isClosed: true },
  listener: { meaning: 'Name of the xDS listener.' },
  metric: { meaning: 'Name of a metric.', isClosed: true },
  protocol: {
    meaning: 'What the caller speaks to this data plane: `http1`, `http2`, `grpc`, or `tcp` for bytes of any other kind.',
    isClosed: true,
  },
  rcode: { meaning: 'Response code of DNS.' },
  reason: { meaning: 'Why.', isClosed: true },
  result: { meaning: 'What came of it.', isClosed: true },
  route: { meaning: 'Name of the route rule; `default` where no rule is written, `none` where no route was found.' },
  rule: { meaning: 'Name of the rule.' },
  service: { meaning: '`<namespace>/<service>`.' },
  source: { meaning: '`<namespace>/<service>` of the caller; `unknown` where it did not prove to be one.' },
  state: { meaning: 'In which state.', isClosed: true },
  stream: { meaning: '`configuration` or `registration`.', isClosed: true },
  token: { meaning: 'Name of the token for outgoing calls.' },
  type: { meaning: 'Type of DNS record.' },
  verdict: { meaning: '`retry`, or why not.', isClosed: true },
  where: { meaning: 'Part of the code.', isClosed: true },
  workload: { meaning: '`<namespace>/<service>/<instance>`.' },
} as const satisfies Record<string, LabelMeaning>;

export type MetricLabel = keyof typeof METRIC_LABELS;

/** In place of names for which there is no room. */
export const OTHER = 'other';

/** What a series is called that is one too many for its metric: names become `other`, the rest stays. */
export function foldedLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  const closed: Readonly<Record<string, LabelMeaning>> = METRIC_LABELS;
  return Object.fromEntries(
    Object.entries(labels).map(([name, value]) => [name, closed[name]?.isClosed === true || value === '' ? value : OTHER]),
  );
}
