// What the REST API answers with, as types: derived from its own schema. The code of the schema is not part of the pages.
import type * as schema from '@heddle/control/schema';
import type { z } from 'zod';

export type Caller = z.output<typeof schema.CallerView>;
export type MadeAdminToken = z.output<typeof schema.MadeAdminToken>;
export type Role = Caller['role'];
export type Problem = z.output<typeof schema.Problem>;

export type Health = z.output<typeof schema.Health>;
export type Service = z.output<typeof schema.Service>;
export type ServiceDetail = schema.ServiceDetail;
export type Instance = z.output<typeof schema.Instance>;
export type InstanceDetail = z.output<typeof schema.InstanceDetail>;
export type DrainAnswer = z.output<typeof schema.DrainAnswer>;
export type RouteList = z.output<typeof schema.RouteList>;
export type Policies = z.output<typeof schema.Policies>;
export type AccessRule = Policies['rules'][number];

export type Proxy = z.output<typeof schema.Proxy>;
export type KindSync = z.output<typeof schema.KindSync>;
export type MeshEvent = z.output<typeof schema.Event>;
export type EventList = z.output<typeof schema.EventList>;
export type AuditEntry = z.output<typeof schema.AuditEntry>;
export type AuditList = z.output<typeof schema.AuditList>;

export type IssuedCertificate = z.output<typeof schema.IssuedCertificate>;
export type IdentityList = z.output<typeof schema.IdentityList>;
export type DeniedList = z.output<typeof schema.DeniedList>;
export type Authority = z.output<typeof schema.Authority>;

export type WatchSnapshot = z.output<typeof schema.WatchSnapshot>;
export type WatchChanges = z.output<typeof schema.WatchChanges>;
export type WatchResync = z.output<typeof schema.WatchResync>;
