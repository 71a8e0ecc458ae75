/**
 * `/v1/maintenance`: commands that maintain the ledger beside the running router find it, and tell it of
 * their commits. A commit of another process wakes no feed and makes no receipt due.
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import type { MaintenanceAnswer } from '../../shared/admin-api/maintenance.ts';
import type { AdminChanges, AdminRoute } from '../../shared/admin-server.ts';
import { problemOf } from '../../shared/wire-json.ts';
import type { Feed } from '../feeds/feed.ts';

const notice = z.strictObject({ gateway: z.string().min(1) });

export interface MaintenanceParts {
  dataDir: string;
  feeds: readonly Pick<Feed, 'name' | 'state'>[];
  /** Called with the gateway whose records a command has committed. */
  onCommitElsewhere: (gateway: string) => void;
}

export function maintenanceRoutes({ dataDir, feeds, onCommitElsewhere }: MaintenanceParts): {
  routes: Record<string, AdminRoute>;
  changes: Record<string, AdminChanges>;
} {
  const answer = (): MaintenanceAnswer => ({
    kind: 'maintenance',
    dataDir: resolve(dataDir),
    feeds: feeds.map((feed) => ({ name: feed.name, refused: feed.state().refused })),
  });
  const changes: AdminChanges = {
    // A notice of a command, which has noted the change itself.
    noted: () => null,
    async put(body) {
      const parsed = notice.safeParse(body);
      if (!parsed.success) return { status: 400, body: { error: problemOf(parsed.error) } };
      onCommitElsewhere(parsed.data.gateway);
      return { status: 200, body: answer() };
    },
    delete: () => ({ status: 400, body: { error: 'there is nothing to delete' } }),
  };
  return {
    routes: { '/v1/maintenance': () => ({ status: 200, body: answer() }) },
    changes: { '/v1/maintenance': changes },
  };
}
