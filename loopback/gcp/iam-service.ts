/** google.iam.v1.IAMPolicy: TestIamPermissions of topics. The one account has every permission. */
import { status, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Broker } from './broker.ts';
import { type Gate, Refusal, unary } from './calls.ts';

interface TestRequest {
  resource: string;
  permissions: string[];
}

export function iamService({ broker, gate }: { broker: Broker; gate: Gate }): UntypedServiceImplementation {
  return {
    testIamPermissions: unary<TestRequest, Pick<TestRequest, 'permissions'>>(
      gate,
      ({ resource, permissions }) => {
        if (broker.hasTopic(resource)) return { permissions };
        throw new Refusal(status.NOT_FOUND, `Resource not found (resource=${resource.split('/').at(-1)}).`);
      },
    ),
  };
}
