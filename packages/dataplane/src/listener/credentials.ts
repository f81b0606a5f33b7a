// Whose identity a call through the shared outbound proxy carries. The credential is the user name of Basic authentication
// (RFC 7617); the form that clients send for `http://<credential>@host` is looked up as it is, others are decoded first.

export class Credentials {
  /** For calls without a credential; undefined: they are refused. */
  anonymousWorkload: string | undefined;
  private readonly workloads = new Map<string, string>();
  private readonly byHeader = new Map<string, string>();

  set(credential: string, workload: string): void {
    this.workloads.set(credential, workload);
    this.byHeader.set(headerOf(credential), workload);
  }

  remove(credential: string): void {
    this.workloads.delete(credential);
    this.byHeader.delete(headerOf(credential));
  }

  /** Undefined: the call is refused. A credential that names nobody is not the same as none. */
  workloadOf(proxyAuthorization: string | undefined): string | undefined {
    if (proxyAuthorization === undefined) return this.anonymousWorkload;
    return this.byHeader.get(proxyAuthorization) ?? this.decode(proxyAuthorization);
  }

  private decode(proxyAuthorization: string): string | undefined {
    const encoded = /^basic +([A-Za-z0-9+/=]{1,1024})$/i.exec(proxyAuthorization)?.[1];
    if (encoded === undefined) return undefined;
    const pair = Buffer.from(encoded, 'base64').toString('utf8');
    const colon = pair.indexOf(':');
    return this.workloads.get(colon === -1 ? pair : pair.slice(0, colon));
  }
}

function headerOf(credential: string): string {
  return `Basic ${Buffer.from(`${credential}:`).toString('base64')}`;
}
