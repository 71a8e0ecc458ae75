/**
 * `/v1/maintenance` of a router, for the commands that work on its ledger beside it. GET tells which router
 * this is; PUT `{ "gateway": … }` tells the router of a commit that a command made.
 */
export interface MaintenanceAnswer {
  kind: 'maintenance';
  /** Absolute path: two routers on one machine differ in it. */
  dataDir: string;
  feeds: Array<{
    name: string;
    /** The one record that the destination refuses, and that holds the feed up; null without one. */
    refused: { id: string; offset: number; error: string } | null;
  }>;
}
