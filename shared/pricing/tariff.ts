/**
 * What one configured provider charges: its price sheet, and the circumstances of the account that publishes
 * there. An account is often shared by a fleet: free allotments, price tiers, IoT Hub's quota and its fee
 * belong to the account, so a gateway counts on its `share` of each. Plain data: the history keeps it.
 */
import type { SheetBasics } from './sheet.ts';

export interface Tariff {
  /** Of the provider; decides how it bills (metering.ts). */
  readonly type: string;
  readonly sheet: SheetBasics;
  readonly share: number;
}
