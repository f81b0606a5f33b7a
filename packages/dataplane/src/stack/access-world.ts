// Everything about access that one data plane has once: what is loaded when a policy needs it, the tables of route configurations, the lines of its
// log, and how many requests wait for an answer from elsewhere.
import { AccessPolicyError, hasConditions, RouteConfigError } from '@heddle/core';
import type { ConditionCompiler, OutboundToken, RouteConfig, TokenPolicy, VirtualHost } from '@heddle/core';
import type { AuthnDoor, TokenGates, TokenSupplies } from './access-gate.ts';
import { AccessLines } from './access-record.ts';
import { AccessTable, AttachedTokens, CallerGate, keyOf } from './access-table.ts';
import type { HostAccess } from './access-table.ts';
import type { WaitingRoom } from './access-wait.ts';
import { OutsideAuthorizer } from './authorizer.ts';
import type { AuthorizerDoor } from './authorizer.ts';
import type { Context } from './context.ts';
import { InboundAccess } from './inbound-access.ts';
import type { ClusterSlots } from './routes.ts';

/** How the parts that most data planes never need are loaded. */
export interface AccessDoors {
  authn(): Promise<AuthnDoor>;
  authorizer(): Promise<AuthorizerDoor>;
  conditions(): Promise<ConditionCompiler>;
}

export class AccessWorld implements WaitingRoom {
  waiting = 0;
  heldBytes = 0;
  readonly lines: AccessLines;
  private readonly context: Context;
  private readonly clusters: ClusterSlots;
  private readonly doors: AccessDoors;
  private conditions: ConditionCompiler | undefined;
  private authorizer: AuthorizerDoor | undefined;
  private tokens: TokenGates | undefined;
  private supplies: TokenSupplies | undefined;

  constructor(context: Context, clusters: ClusterSlots, doors: AccessDoors) {
    this.context = context;
    this.clusters = clusters;
    this.doors = doors;
    this.lines = new AccessLines(context);
  }

  /** Room for one more that waits. */
  get hasRoom(): boolean {
    return this.waiting < this.context.limits.accessWaitsMax;
  }

  /** Loads what the configurations need. @throws RouteConfigError when that is not to be had. */
  async prepare(configs: readonly RouteConfig[]): Promise<void> {
    const hosts = configs.flatMap(({ virtualHosts }) => virtualHosts);
    if (!hosts.some(asksSomething)) return;
    try {
      if (this.conditions === undefined && hosts.some(({ access }) => access !== undefined && hasConditions(access)))
        this.conditions = await this.doors.conditions();
      if (this.authorizer === undefined && hosts.some(({ access }) => access?.external !== undefined))
        this.authorizer = await this.doors.authorizer();
      const needsTokens = this.tokens === undefined && hosts.some(({ tokens }) => tokens !== undefined);
      const needsSupplies = this.supplies === undefined && hosts.some(({ attach = [] }) => attach.length > 0);
      const authn = needsTokens || needsSupplies ? await this.doors.authn() : undefined;
      if (needsTokens) this.tokens = authn!.createTokenGates(this.context);
      if (needsSupplies) this.supplies = authn!.createTokenSupplies(this.context);
    } catch (error) {
      throw new RouteConfigError(`what the access policies need could not be loaded: ${(error as Error).message}`);
    }
  }

  /** After `prepare`. Undefined: nothing is asked. @param before the table that this one replaces. @throws RouteConfigError */
  tableOf(config: RouteConfig, before: AccessTable | undefined): AccessTable | undefined {
    const asking = config.virtualHosts.filter(asksSomething);
    if (asking.length === 0) return undefined;
    const known = before?.byKey();
    return new AccessTable(new Map(asking.map((host) => [host, this.hostOf(config, host, known)])));
  }

  /** What belongs to none of the configurations is let go. */
  retain(configs: Iterable<RouteConfig>): void {
    if (this.tokens === undefined && this.supplies === undefined) return;
    const policies: TokenPolicy[] = [];
    const attached: OutboundToken[] = [];
    for (const { virtualHosts } of configs) {
      for (const { tokens, attach = [] } of virtualHosts) {
        if (tokens !== undefined) policies.push(tokens);
        for (const { token } of attach) attached.push(token);
      }
    }
    this.tokens?.retain(policies);
    this.supplies?.retain(attached);
  }

  close(): void {
    this.tokens?.close();
    this.supplies?.close();
  }

  private hostOf(config: RouteConfig, host: VirtualHost, known: ReadonlyMap<string, HostAccess> | undefined): HostAccess {
    const { name, access, tokens, callers, attach = [] } = host;
    const key = JSON.stringify([access, tokens, callers, attach]);
    const same = known?.get(keyOf(name, key));
    if (same !== undefined) return same;
    try {
      return {
        key,
        inbound: access === undefined && tokens === undefined ? undefined : this.inboundOf(access, tokens),
        callers: callers && new CallerGate(callers),
        attached: attach.length === 0 ? undefined : new AttachedTokens(attach, (token) => this.supplies!.supplyFor(token)),
      };
    } catch (error) {
      if (!(error instanceof AccessPolicyError)) throw error;
      throw new RouteConfigError(`route configuration "${config.name}", virtual host "${name}": ${error.message}`);
    }
  }

  private inboundOf(access: VirtualHost['access'], tokens: VirtualHost['tokens']): InboundAccess {
    const { external } = access ?? {};
    return new InboundAccess(
      access,
      tokens && this.tokens!.gateFor(tokens),
      external && new OutsideAuthorizer(this.context, this.authorizer!, external, this.clusters.slot(external.cluster)),
      this.conditions,
    );
  }
}

function asksSomething({ access, tokens, callers, attach = [] }: VirtualHost): boolean {
  return access !== undefined || tokens !== undefined || callers !== undefined || attach.length > 0;
}
