// Every limit of a data plane in one table: what a peer can make it hold, spend or wait for. The limit applies before
// the memory is spent. `docs` and the proxy read the same rows.

export type LimitUnit = 'bytes' | 'count' | 'ms';

export interface Limit {
  readonly value: number;
  readonly unit: LimitUnit;
  readonly reason: string;
}

export const LIMITS = {
  requestLineBytesMax: {
    value: 16_384,
    unit: 'bytes',
    reason: 'RFC 9112 §3 asks for at least 8,000; longer targets are almost always a fault or an attack.',
  },
  headerBytesMax: {
    value: 65_536,
    unit: 'bytes',
    reason: 'All header fields of one message; Envoy refuses beyond 60 KiB, large cookies and tokens stay below.',
  },
  headerCountMax: {
    value: 128,
    unit: 'count',
    reason: 'Bounds the work per head; Envoy refuses beyond 100, browsers and tracing together send fewer than 60.',
  },
  chunkLineBytesMax: {
    value: 4_096,
    unit: 'bytes',
    reason: 'A chunk size needs 16 characters; the rest is for extensions, which nobody uses and which carry no information for us.',
  },
  trailerBytesMax: {
    value: 16_384,
    unit: 'bytes',
    reason: 'Trailers arrive after the body has passed; they are held until they are complete.',
  },
  requestBodyBytesMax: {
    value: 1_099_511_627_776,
    unit: 'bytes',
    reason:
      'Bodies pass through without being held, so that their size costs no memory; this only ends requests that never end. gRPC calls may stream without an end.',
  },
  bodyReplayBytesMax: {
    value: 65_536,
    unit: 'bytes',
    reason:
      'A request body is kept for another try up to here; beyond it the request is sent once only. Times pending requests it bounds memory.',
  },
  connectionBufferBytesMax: {
    value: 65_536,
    unit: 'bytes',
    reason: "Unsent bytes of one direction before its source is paused; what fills the network is the kernel's buffer, which comes on top.",
  },
  discardedBytesMax: {
    value: 262_144,
    unit: 'bytes',
    reason: 'Rest of a message that nobody wants, read so that its connection can be used again; beyond it a new connection is cheaper.',
  },
  pipelinedBytesMax: {
    value: 65_536,
    unit: 'bytes',
    reason: 'Bytes of further requests that a client sends before the running one is answered; then the connection is paused.',
  },
  connectionsPerListenerMax: {
    value: 10_000,
    unit: 'count',
    reason: 'Some 10 kB each: about 100 MB at worst; further ones are closed at once.',
  },
  connectionsPerEndpointMax: {
    value: 1_024,
    unit: 'count',
    reason:
      'Connections of one workload to one instance, busy and idle; keeps a caller from exhausting the ports and descriptors of the called side.',
  },
  pendingRequestsPerClusterMax: {
    value: 1_024,
    unit: 'count',
    reason:
      'Requests of one data plane that wait for a connection to any instance of a service; beyond it a quick OVERLOADED is better than a queue nobody waits for. Envoy has the same default.',
  },
  handshakesPerListenerMax: {
    value: 512,
    unit: 'count',
    reason:
      'TLS handshakes under way, about 1 ms of CPU and 50 kB each; more at once is an attack or a stampede, and a queue helps no one.',
  },
  streamsPerConnectionMax: {
    value: 256,
    unit: 'count',
    reason:
      'Requests under way on one HTTP/2 connection: at 10 ms each that is 25,000 a second. RFC 9113 §6.5.2 asks for at least 100. Further ones are refused in a way that lets them be sent again.',
  },
  streamWindowBytes: {
    value: 262_144,
    unit: 'bytes',
    reason: 'Of one HTTP/2 stream whose reader is slow, this much is held; enough for 1 Gbit/s at 2 ms.',
  },
  clientWindowBytes: {
    value: 1_048_576,
    unit: 'bytes',
    reason: 'Of all streams of one HTTP/2 connection of an application together, this much is held.',
  },
  peerWindowBytes: {
    value: 16_777_216,
    unit: 'bytes',
    reason:
      'The same between two data planes and towards applications, where one connection carries the requests of many: slow readers of some streams must not stop the others. 64 streams may stand still.',
  },
  requestsPerConnectionMax: {
    value: 1_000_000,
    unit: 'count',
    reason: 'A connection is renewed now and then, so that counters and buffers never live for ever.',
  },
  resetsPerConnectionMax: {
    value: 200,
    unit: 'count',
    reason:
      'Requests taken back on one HTTP/2 connection to an instance, for all clients together; then a new one is used. Servers end connections with too many of them (CVE-2023-44487), from about 500 on, which would hurt all who share it.',
  },
  retriesPerClusterMax: {
    value: 128,
    unit: 'count',
    reason: 'Retries under way at once; keeps retries from multiplying an outage of a whole cluster.',
  },
  hedgesPerRequestMax: {
    value: 5,
    unit: 'count',
    reason:
      'Tries that one request may have beside its first at the same time, each with a connection or stream; gRPC allows as many in all.',
  },
  retryAfterTimeoutMs: {
    value: 5_000,
    unit: 'ms',
    reason:
      'So long a request with its body is held because an answer asks to come again later; after longer waits nobody listens any more, so the answer goes to the client, who may wait.',
  },
  rateLimitKeysMax: {
    value: 10_000,
    unit: 'count',
    reason:
      'Callers or header values that one rate limit of one data plane tells apart, some 250 bytes each; the one seen longest ago is forgotten first and begins with a full bucket when it comes back.',
  },
  tokenBytesMax: {
    value: 16_384,
    unit: 'bytes',
    reason: 'One token of a caller. Those with many groups have 4 to 8 KiB; longer ones are refused before anything is done with them.',
  },
  tokensKeptMax: {
    value: 10_000,
    unit: 'count',
    reason:
      'Tokens of callers that are known to be valid until they end, for each set of issuers; the one checked first is forgotten first. To check one takes 0.2 ms.',
  },
  tokensKeptBytesMax: {
    value: 16_777_216,
    unit: 'bytes',
    reason: 'The same in bytes, for tokens that say much.',
  },
  tokensRefusedKeptMax: {
    value: 1_000,
    unit: 'count',
    reason: 'Tokens that their issuer has called invalid when it was asked, so that it is not asked again for each request.',
  },
  tokenChecksMax: {
    value: 1_024,
    unit: 'count',
    reason:
      'Tokens that are being checked at once, for each set of issuers; further requests with tokens that are not known get a quick 503.',
  },
  introspectionsMax: {
    value: 64,
    unit: 'count',
    reason:
      'Questions about tokens, or for one by exchange, that are under way to one issuer, each a connection; as many as tokenChecksMax wait, the others get a quick 503.',
  },
  issuerAnswerBytesMax: {
    value: 262_144,
    unit: 'bytes',
    reason: 'One answer of an issuer. Twenty keys with certificates have some 60 KiB, a discovery document 5.',
  },
  issuerTimeoutMs: {
    value: 5_000,
    unit: 'ms',
    reason: 'For an issuer to give its keys, to answer about a token or to issue one: requests wait for it.',
  },
  spanQueueBytesMax: {
    value: 4_194_304,
    unit: 'bytes',
    reason:
      'Spans that wait for the collector, encoded: some 7,000. A collector that is away for a minute costs no more memory than this; what does not fit is counted and lost.',
  },
  accessLogQueueBytesMax: {
    value: 1_048_576,
    unit: 'bytes',
    reason:
      'Lines of the access log that wait for a disk or a reader: some 2,500. Traffic does not wait for them; what does not fit is counted and lost.',
  },
  accessWaitsMax: {
    value: 1_024,
    unit: 'count',
    reason:
      'Requests of one data plane that wait for a decision from elsewhere: keys of an issuer, an introspection, an outside authorizer. Their bodies together hold no more than 64 KiB for each (bodyReplayBytesMax); beyond it a quick OVERLOADED is better.',
  },
  accessWaitTimeoutMs: {
    value: 10_000,
    unit: 'ms',
    reason:
      'For each such answer: nobody waits longer, and whoever asks has limits of his own below it. What is not known by then is refused.',
  },
  workloadsPerProxyMax: {
    value: 256,
    unit: 'count',
    reason: 'Each has certificates, sockets and subscriptions; a machine runs fewer processes of a mesh than this.',
  },
  outboundsPerWorkloadMax: {
    value: 1_024,
    unit: 'count',
    reason: 'Each is a listening socket; the usual limit of open files is 1,048,576 and of ports 28,232.',
  },
  metadataEntriesMax: {
    value: 64,
    unit: 'count',
    reason: 'Of one instance or service; the registry keeps them in memory and tells them to everybody who lists it.',
  },
  metadataBytesMax: {
    value: 8_192,
    unit: 'bytes',
    reason: 'Names and values of the metadata of one instance or service together: 20,000 instances with so much need 160 MB.',
  },
  portsPerInstanceMax: {
    value: 32,
    unit: 'count',
    reason: 'Named ports of one instance besides the one that the mesh carries; programs with more than a handful are rare.',
  },
  resourcesPerTypeMax: {
    value: 100_000,
    unit: 'count',
    reason: 'Resources of one xDS type held by one data plane: ten times the largest mesh that is measured.',
  },
  endpointsPerClusterMax: { value: 10_000, unit: 'count', reason: 'Every update sorts them; ten thousand take some 10 ms.' },
  discoveryMessageBytesMax: { value: 67_108_864, unit: 'bytes', reason: 'One xDS response; 10,000 endpoints need about 1 MB.' },
  requestHeadTimeoutMs: {
    value: 10_000,
    unit: 'ms',
    reason: 'From the first byte of a request head to its end, against clients that drip bytes (slowloris).',
  },
  downstreamIdleTimeoutMs: {
    value: 60_000,
    unit: 'ms',
    reason: 'A kept-alive client connection without a request; longer than the 50 to 55 s most clients keep theirs.',
  },
  upstreamIdleTimeoutMs: {
    value: 30_000,
    unit: 'ms',
    reason:
      'A kept-alive connection to an instance without a request; shorter than what the called side allows, so that it never closes under a request.',
  },
  applicationIdleTimeoutMs: {
    value: 4_000,
    unit: 'ms',
    reason: 'A kept-alive connection to the application without a request; below 5 s, after which Node and others close without asking.',
  },
  streamIdleTimeoutMs: {
    value: 300_000,
    unit: 'ms',
    reason: 'A request without a time limit of its own on which no byte moves in either direction; Envoy has the same default.',
  },
  tcpIdleTimeoutMs: {
    value: 14_400_000,
    unit: 'ms',
    reason:
      'A TCP stream or upgraded connection without a byte; hours, since databases keep idle connections and the kernel finds dead peers.',
  },
  discardTimeoutMs: {
    value: 2_000,
    unit: 'ms',
    reason:
      'For taking the rest of an HTTP/2 request that was answered before it was complete (discardedBytesMax); then its stream is reset.',
  },
  lingerTimeoutMs: {
    value: 2_000,
    unit: 'ms',
    reason: 'After a last response: time for the client to read it before the connection is dropped (RFC 9112 §9.6).',
  },
  pingAfterMs: {
    value: 10_000,
    unit: 'ms',
    reason:
      'An HTTP/2 connection to an instance with requests under way from which nothing came for so long is asked whether it still lives.',
  },
  pingTimeoutMs: {
    value: 5_000,
    unit: 'ms',
    reason: 'For the answer to that; then its requests fail and others get a new connection, rather than all waiting for TCP to give up.',
  },
  protocolDetectionTimeoutMs: {
    value: 100,
    unit: 'ms',
    reason:
      'A connection whose protocol is found out, on which the client has sent nothing: then the server speaks first, and its bytes are carried as they are. Longer would be felt at every connection of such protocols.',
  },
  tlsHandshakeTimeoutMs: {
    value: 10_000,
    unit: 'ms',
    reason: 'A client that connects and never finishes its handshake holds a descriptor.',
  },
  dnsUdpBytesMax: {
    value: 1_232,
    unit: 'bytes',
    reason:
      'A DNS answer in one datagram: fits any IPv6 path without fragments, as the operators of DNS agreed in 2020. Longer ones go by TCP.',
  },
  dnsAnswersMax: {
    value: 256,
    unit: 'count',
    reason: 'Records of one DNS answer. Of a service with more instances, some are drawn for each answer; no client tries so many.',
  },
  dnsConnectionsMax: {
    value: 512,
    unit: 'count',
    reason: 'TCP connections to the DNS server; further ones are closed at once. A stub resolver opens one for an answer that was cut.',
  },
  dnsConnectionsPerClientMax: {
    value: 64,
    unit: 'count',
    reason: 'Of these, those of one address other than loopback, so that one machine cannot take all.',
  },
  dnsPipelineMax: {
    value: 32,
    unit: 'count',
    reason: 'Queries of one TCP connection that wait for answers; then the connection is not read (RFC 7766 §6.2.1.1).',
  },
  dnsQueryBytesMax: {
    value: 4_096,
    unit: 'bytes',
    reason: 'A query by TCP: one name and options, padding included. Who announces more is cut off.',
  },
  dnsIdleTimeoutMs: {
    value: 10_000,
    unit: 'ms',
    reason: 'A DNS connection without a query; RFC 7766 §6.2.3 asks for seconds.',
  },
  dnsQueriesPerSecondMax: {
    value: 1_000,
    unit: 'count',
    reason:
      'Of one client address (IPv6: /64); twice as many at once. Beyond it answers are cut or left out, so that nobody floods by our hand.',
  },
  dnsLocalQueriesPerSecondMax: {
    value: 50_000,
    unit: 'count',
    reason: 'The same for loopback, where one address stands for all programs of the machine.',
  },
  dnsClientsMax: {
    value: 4_096,
    unit: 'count',
    reason: 'Client addresses whose queries are counted, some 100 bytes each; the one that was silent longest is forgotten first.',
  },
  dnsForwardedMax: {
    value: 1_024,
    unit: 'count',
    reason: 'Queries that wait for an answer from elsewhere, each with a socket at most; further ones get SERVFAIL at once.',
  },
  dnsForwardTimeoutMs: {
    value: 5_000,
    unit: 'ms',
    reason: 'For a forwarded query, all resolvers together: most stub resolvers give up after five seconds.',
  },
  dnsTryTimeoutMs: {
    value: 1_500,
    unit: 'ms',
    reason: 'For one resolver before the next is asked; a cold name takes a resolver up to a second.',
  },
  dnsCacheEntriesMax: {
    value: 10_000,
    unit: 'count',
    reason: 'Answers of other resolvers that are kept; a machine asks for some hundred names.',
  },
  dnsCacheBytesMax: {
    value: 8_388_608,
    unit: 'bytes',
    reason: 'The same in bytes, for long answers.',
  },
  dnsDemandMax: {
    value: 1_024,
    unit: 'count',
    reason:
      'Services whose instances a data plane follows only because their addresses were asked for; the one asked for longest ago goes first.',
  },
  dnsDemandTimeoutMs: {
    value: 2_000,
    unit: 'ms',
    reason: 'For instances that were asked for and have not come; then SERVFAIL, before the client gives up.',
  },
  metricSeriesMax: {
    value: 10_000,
    unit: 'count',
    reason:
      'Combinations of label values of one metric; some 500 bytes each at most, and what reads them pays as well. Beyond it names count as `other`, and `heddle_metrics_folded_total` says so.',
  },
  metricSourcesMax: {
    value: 1_000,
    unit: 'count',
    reason: 'Callers and rules of one destination that metrics tell apart; further ones count as `other`. More is no mesh but an attack.',
  },
} as const satisfies Record<string, Limit>;

export type LimitName = keyof typeof LIMITS;

/** Plain numbers by name, for code that takes its limits as an argument and for tests that want smaller ones. */
export type Limits = Readonly<Record<LimitName, number>>;

export const DEFAULT_LIMITS: Limits = Object.freeze(
  Object.fromEntries(Object.entries(LIMITS).map(([name, limit]) => [name, limit.value])) as Record<LimitName, number>,
);
