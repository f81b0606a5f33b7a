// How much one service may say about requests to it: every data plane that calls it holds that, and looks through it for each request.

export const POLICY_LIMITS = {
  /** Of one service: far more than people write, few enough to be looked through one after the other. */
  rules: 256,
  /** Of one rule; each is a route. */
  matches: 32,
  /** Methods, headers and parameters of one match. */
  conditions: 32,
  /** Of one rule: more sides than anybody splits between. */
  destinations: 32,
  mirrors: 8,
  rateLimits: 32,
  hashSources: 8,
  /** Changes of one kind to the headers of one side. */
  headerChanges: 64,
  statuses: 64,
  textChars: 4_096,
  headerValueChars: 8_192,
  /** Of an answer that stands in a rule: it is kept in every data plane. */
  bodyBytes: 4_096,
  /** A day: a request that takes longer is no request. */
  durationMs: 86_400_000,
  /** What browsers keep a cookie for at most: 400 days. */
  cookieTtlMs: 34_560_000_000,
  /** Of the whole mesh. */
  egressHosts: 10_000,
  /** Who may call whom, of the whole mesh, as JSON: some ten thousand rules. */
  securityChars: 8_388_608,
  accessRules: 10_000,
  /** Subjects, permissions, targets and what each lists. */
  ruleParts: 1_024,
  issuers: 32,
  deniedIdentities: 10_000,
  outboundTokens: 1_000,
} as const;
