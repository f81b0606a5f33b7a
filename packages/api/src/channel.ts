// What everybody who calls the control plane goes by, whatever library of gRPC they use: its name, and when its connection counts as dead.

/** Sent as SNI and `:authority`; the control plane's certificate carries it too. An IP address must not stand there (RFC 6066 3). */
export const CONTROL_SERVER_NAME = 'control.mesh.internal';

/**
 * When a connection to the control plane counts as dead: it is asked for a sign of life so long after the last one, and has so long to give
 * it. Together below 5 s, within which everything heals. One PING of 17 bytes every 2 s for each connection: for 1,000 data planes some
 * 500 a second, which the control plane's HTTP/2 answers below JavaScript.
 */
export const CONTROL_KEEPALIVE = { timeMs: 2_000, timeoutMs: 2_500 } as const;

/** `host:port`; IPv6 addresses get their brackets. */
export function controlTarget(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
